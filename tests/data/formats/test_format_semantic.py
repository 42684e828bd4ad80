import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from thingstuff.data.formats.format import Source, WriteOptions
from thingstuff.data.formats.semantic import SEMANTIC
from thingstuff.data.truth import SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category

STREET = Categories((Category(7, "road", False), Category(11, "car", True), Category(23, "sky", False)))
LABELS = np.array([[7, 7, 23], [7, 255, 23]], np.uint8)


def label_map(path, labels=LABELS):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), labels)
    return path


def image(path, size_wh=(3, 2)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size_wh).save(path)


def label_folder(tmp_path):
    """`images/a.jpg`, `images/night/b.jpg` and their label maps; the folder of these."""
    for name in ("a", "night/b"):
        image(tmp_path / "images" / f"{name}.jpg")
        label_map(tmp_path / "labels" / f"{name}.png")
    return tmp_path / "labels"


@pytest.fixture
def folder(tmp_path):
    return label_folder(tmp_path)


def read(annotations, images=None, categories=None, **options):
    return SEMANTIC.read(Source(annotations, images, categories, options))


# ---- files -------------------------------------------------------------------------------------------------------


def test_maps_are_paired_with_images_by_their_paths(folder):
    truth = read(folder, categories=STREET)
    assert truth.image_root == folder.parent / "images"
    assert truth.images == [
        {"id": 1, "file_name": "a.jpg", "width": 3, "height": 2},
        {"id": 2, "file_name": "night/b.jpg", "width": 3, "height": 2},
    ]
    assert truth.annotations is None and truth.panoptic is None
    assert dict(truth.stuff.paths) == {1: folder / "a.png", 2: folder / "night" / "b.png"}
    assert np.array_equal(truth.stuff.read(2), LABELS)
    assert truth.image_place(1) == str(truth.image_root / "night/b.jpg")


def test_images_of_other_splits_and_maps_without_image(folder):
    image(folder.parent / "images" / "other.jpg")
    label_map(folder / "lonely.png")
    truth = read(folder, categories=STREET)
    assert len(truth.images) == 2
    assert "1 label maps have no image, as lonely.png" in truth.notes[0]


def test_names_with_ends(tmp_path):
    """As Cityscapes has it: several maps of each image, and ends on both sides."""
    image(tmp_path / "leftImg8bit" / "train" / "aachen" / "aachen_1_leftImg8bit.png")
    maps = tmp_path / "gtFine" / "train"
    for end in ("labelIds", "labelTrainIds", "instanceIds"):
        label_map(maps / "aachen" / f"aachen_1_gtFine_{end}.png")
    ends = {"suffix": "_gtFine_labelTrainIds", "image_suffix": "_leftImg8bit"}
    truth = read(maps, categories=STREET, **ends)
    assert truth.image_root == tmp_path / "leftImg8bit" / "train"
    assert [i["file_name"] for i in truth.images] == ["aachen/aachen_1_leftImg8bit.png"]
    assert truth.stuff.paths[1].name == "aachen_1_gtFine_labelTrainIds.png"
    assert read(maps, **(ends | {"suffix": "_gtFine_labelTrainIds.png"})).images == truth.images
    with pytest.raises(DataError, match=r"belongs by its name .*try suffix: _.* and image_suffix: _leftImg8bit"):
        read(maps)


def test_maps_beside_their_images(tmp_path):
    image(tmp_path / "a.png")
    label_map(tmp_path / "a_mask.png")
    truth = read(tmp_path, categories=STREET, suffix="_mask")
    assert [i["file_name"] for i in truth.images] == ["a.png"]
    assert truth.image_root == tmp_path


def test_two_maps_of_one_image_are_refused(folder):
    label_map(folder / "a_x.png")
    image(folder.parent / "images" / "a_x.jpg")
    assert len(read(folder).images) == 3
    label_map(folder / "a.jpg.png")
    with pytest.raises(DataError, match=r"a.jpg has two label maps, a.jpg.png and a.png: say which by suffix"):
        read(folder)


@pytest.mark.parametrize(
    ("labels", "kind"), [(LABELS, "grey"), (LABELS, "palette"), (LABELS.astype(np.uint16) * 200, "16 bit")]
)
def test_kinds_of_label_maps(folder, labels, kind):
    if kind == "palette":
        picture = Image.fromarray(labels, "P")
        picture.putpalette([value // 3 for value in range(768)])
        picture.save(folder / "a.png")
    else:
        label_map(folder / "a.png", labels)
    found = read(folder, categories=STREET).stuff.read(1)
    assert found.dtype == labels.dtype and np.array_equal(found, labels)


def test_an_image_that_cannot_be_read_has_no_size(folder):
    (folder.parent / "images" / "a.jpg").write_bytes(b"no image")
    assert read(folder, categories=STREET).images[0] == {"id": 1, "file_name": "a.jpg"}


def test_folders_without_maps_are_refused(tmp_path, folder):
    with pytest.raises(DataError, match="expected a folder of label maps"):
        read(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no label maps \(PNG\) in it"):
        read(tmp_path / "empty")
    with pytest.raises(DataError, match=r"no label maps \(PNG\) whose names end in _seg.png"):
        read(folder, suffix="_seg")
    with pytest.raises(DataError, match=r"say where the images are \(images\)"):
        read(folder, images=tmp_path / "empty")


# ---- labels ------------------------------------------------------------------------------------------------------


def test_declared_ids_are_labels(folder):
    truth = read(folder, categories=STREET)
    assert truth.categories == STREET.to_coco()
    assert truth.stuff.label_ids == {7: 7, 11: 11, 23: 23}
    assert truth.stuff.void_labels == {255}


def test_labels_say_otherwise(folder):
    truth = read(folder, categories=STREET, labels={0: None, 1: "road", 2: "road", 23: "car"}, void=[254, 255])
    assert truth.stuff.label_ids == {0: None, 1: 7, 2: 7, 23: 11}
    assert truth.stuff.void_labels == {254, 255}
    # that was the whole list; without a name there the ids stay labels
    assert read(folder, categories=STREET, labels={0: None}).stuff.label_ids == {0: None, 7: 7, 11: 11, 23: 23}


def test_labels_alone_make_the_categories(folder):
    truth = read(folder, labels={0: None, 7: "road", 8: "road", 23: "sky"}, void=255)
    assert [(c["id"], c["name"], c["isthing"]) for c in truth.categories] == [(7, "road", 0), (23, "sky", 0)]
    assert truth.stuff.label_ids == {0: None, 7: 7, 8: 7, 23: 23}


def test_without_declaration_every_label_is_a_class(folder):
    label_map(folder / "a.png", np.array([[0, 300, 65535]], np.uint16))
    truth = read(folder)
    assert [c["name"] for c in truth.categories] == ["class_0", "class_7", "class_23", "class_300", "class_65535"]
    assert truth.stuff.label_ids == {n: n for n in (0, 7, 23, 300, 65535)}  # 255 is void
    assert "one is made for each of the 5 labels" in truth.notes[0]


def test_maps_that_cannot_be_read_are_left_to_the_checks_but_not_all(folder):
    (folder / "a.png").write_bytes(b"no PNG")
    assert [c["id"] for c in read(folder).categories] == [7, 23]
    (folder / "night" / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match="no PNG at all"):
        read(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suffix": 3}, "suffix: expected the end of names as text"),
        ({"image_suffix": ["x"]}, "image_suffix: expected the end of names as text"),
        ({"void": ["x"]}, "void: expected labels"),
        ({"void": True}, "void: expected labels"),
        ({"void": [70000]}, "void: expected labels"),
        ({"labels": {}}, "labels: expected a mapping"),
        ({"labels": ["road"]}, "labels: expected a mapping"),
        ({"labels": {"7": "road"}}, "labels: expected a mapping"),
        ({"labels": {7: 7}}, "labels: expected a mapping"),
        ({"labels": {7: "lake"}}, "labels: no category is named 'lake'"),
        ({"labels": {255: "sky"}}, "the label 255 is a category's and cannot mean void as well"),
    ],
)
def test_options_of_other_kinds_are_refused(folder, options, message):
    with pytest.raises(DataError, match=message):
        read(folder, categories=STREET, **options)


# ---- writing -----------------------------------------------------------------------------------------------------


def test_round_trip(folder, tmp_path):
    truth = read(folder, categories=STREET, labels={0: None})
    path = SEMANTIC.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    again = read(path)
    assert path == tmp_path / "out" / "labels" and again.image_root == tmp_path / "out" / "images"
    assert (again.images, again.categories) == (truth.images, truth.categories)
    assert again.stuff.label_ids == truth.stuff.label_ids
    assert again.stuff.void_labels == truth.stuff.void_labels
    for name in ("a.png", "night/b.png"):
        assert (path / name).read_bytes() and np.array_equal(cv2.imread(str(path / name), -1), LABELS)


def test_shapes_round_trip(small_shapes, tmp_path):
    """Shapes has labels 0 = things, 1... = stuff; written, they are the ids of the categories."""
    from thingstuff.data.shapes import CATEGORIES

    names = {0: None} | {label: category.name for label, category in enumerate(CATEGORIES.stuff, 1)}
    truth = read(small_shapes / "stuff_val", small_shapes / "val", CATEGORIES, labels=names)
    again = read(SEMANTIC.write(truth, tmp_path / "out", WriteOptions()), small_shapes / "val")
    assert [c["name"] for c in again.categories] == [c.name for c in CATEGORIES.stuff]
    for one in truth.images:
        ids = CATEGORIES.stuff_ids(truth.stuff.read(one["id"]).astype(np.uint16), not_stuff_id=0)
        assert np.array_equal(again.stuff.read(one["id"]), ids)
    third = read(SEMANTIC.write(again, tmp_path / "third", WriteOptions()), small_shapes / "val")
    for one in truth.images:
        assert np.array_equal(third.stuff.read(one["id"]), again.stuff.read(one["id"]))


def made(labels, label_ids, void_labels=frozenset({255}), image_id=1):
    ids = sorted({own for own in label_ids.values() if own is not None})
    return SplitTruth(
        name="made",
        image_root=None,
        categories=[{"id": own, "name": f"c{own}", "isthing": 0} for own in ids],
        images=[{"id": image_id, "file_name": "x.jpg"}],
        stuff=StuffFiles({1: None}, label_ids, void_labels, {1: lambda: np.array(labels)}),
    )


@pytest.mark.parametrize(
    ("label_ids", "written", "dtype"),
    [
        ({0: None, 1: 7, 2: 9}, [[0, 7, 9, 255]], np.uint8),
        ({0: None, 1: 0, 2: 254}, [[253, 0, 254, 255]], np.uint8),  # 0 is a category's
        ({0: None, 1: 255, 2: 9}, [[0, 255, 9, 65535]], np.uint16),
        ({0: 3, 1: 3, 2: 3}, [[3, 3, 3, 255]], np.uint8),
    ],
)
def test_numbers_that_are_written(tmp_path, label_ids, written, dtype):
    path = SEMANTIC.write(made([[0, 1, 2, 255]], label_ids), tmp_path, WriteOptions())
    found = cv2.imread(str(path / "x.png"), -1)
    assert found.dtype == dtype and np.array_equal(found, written)
    meaning = json.loads((path / "labels.json").read_text())
    assert meaning["void"] == [np.iinfo(dtype).max]
    assert {int(k): v for k, v in meaning["labels"].items()} == {
        new: label_ids[old] for old, new in zip((0, 1, 2), written[0], strict=False)
    }


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (made([[5]], {0: None}), "the label 5 is no category's and not void"),
        (made([[0]], {0: 65535}), "the category id 65535 cannot be a label"),
        (made([[0]], {0: -1}), "the category id -1 cannot be a label"),
        (made([[0.5]], {0: 1}), "expected integers, got float64"),
        (made([[0]], {0: 1}, image_id=2), "image 'x.jpg': image 2 has no label map"),
        (replace(made([[0]], {0: 1}), stuff=None), "made has no stuff"),
    ],
)
def test_what_cannot_be_written(tmp_path, truth, message):
    with pytest.raises(DataError, match=message):
        SEMANTIC.write(truth, tmp_path, WriteOptions())
