"""Pascal VOC's segmentation, by the devkit's documentation: two PNGs an image, of objects and of classes.

Section 4.4 of "The PASCAL VOC2012 Development Kit": indices into a palette, 0 background, 255 void, classes in
alphabetical order. `labelmap.txt` and RGB PNGs as the documentation of CVAT's "Segmentation mask 1.1" shows them.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from round_trips import assert_measured, masks_of

from thingstuff.data.formats import FORMATS, Source, format_of
from thingstuff.data.formats.voc import VOC
from thingstuff.data.formats.voc_labels import voc_colors
from thingstuff.data.open_data import open_data
from thingstuff.errors import DataError
from thingstuff.structures import write_png

OBJECTS = np.zeros((8, 9), np.uint8)
OBJECTS[1:3, 1:4], OBJECTS[5:7, 6:9], OBJECTS[4:8, 0:2] = 1, 1, 3  # 1 has two parts, and there is no 2
OBJECTS[0, :] = 255
CLASSES = np.select([OBJECTS == 255, OBJECTS == 1, OBJECTS == 3], [255, 15, 7]).astype(np.uint8)  # person, car
COLORS = voc_colors()


def save(path, indices, kind="palette", colors=COLORS):
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "grey":
        write_png(path, indices)
    elif kind == "RGB":
        write_png(path, colors[indices])
    else:
        image = Image.fromarray(indices, "P")
        image.putpalette(colors.tobytes())
        image.save(path)


def write_set(root, name="a", objects=OBJECTS, classes=CLASSES, kind="palette", colors=COLORS):
    (root / "JPEGImages" / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", objects.shape[::-1]).save(root / f"JPEGImages/{name}.jpg")
    save(root / f"SegmentationObject/{name}.png", objects, kind)
    save(root / f"SegmentationClass/{name}.png", classes, kind, colors)
    return root


def read(path, images=None, lenient=False, **options):
    return VOC.read(Source(path, images, None, options, lenient))


def labels_of(truth):
    names = {category["id"]: category["name"] for category in truth.categories}
    return [names[note["category_id"]] for note in truth.annotations]


# ---- VOC as it is ------------------------------------------------------------------------------------------------


def test_the_colour_map_is_that_of_the_devkit():
    """The first colours and the last one as VOC's page shows them: white bottles' borders are (224, 224, 192)."""
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    expected += [(128, 128, 128), (64, 0, 0)]
    assert COLORS[:9].tolist() == [list(color) for color in expected]
    assert COLORS[20].tolist() == [0, 64, 128] and COLORS[255].tolist() == [224, 224, 192]


@pytest.mark.parametrize("kind", ["palette", "grey", "RGB"])
def test_objects_classes_and_void(tmp_path, kind):
    truth = read(write_set(tmp_path, kind=kind))
    assert truth.images == [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 8}]
    assert truth.image_root == tmp_path / "JPEGImages"
    assert labels_of(truth) == ["person", "car"]
    assert [note["category_id"] for note in truth.annotations] == [15, 7]
    for (_, crowd, mask), number in zip(masks_of(truth)["a.jpg"], [1, 3], strict=True):
        np.testing.assert_array_equal(mask, number == OBJECTS)
        assert not crowd
    assert_measured(truth)
    assert truth.annotation_places == [f"SegmentationObject/a.png: object {n}" for n in (1, 3)]
    assert truth.image_places == ["SegmentationObject/a.png"]
    assert truth.notes == ("void: 9 pixels of 1 images belong to no object",)


def test_the_twenty_classes_have_their_names_and_colours(tmp_path):
    categories = read(write_set(tmp_path)).categories
    assert [category["id"] for category in categories] == list(range(1, 21))
    assert [c["name"] for c in categories][::5] == ["aeroplane", "bus", "diningtable", "pottedplant"]
    assert categories[14] == {"id": 15, "name": "person", "color": [192, 128, 128]}


def test_an_empty_image_has_no_objects(tmp_path):
    empty = np.zeros((4, 5), np.uint8)
    truth = read(write_set(tmp_path, objects=empty, classes=empty))
    assert (len(truth.images), truth.annotations, truth.notes) == (1, [], ())


def test_a_root_is_found_in_the_devkit(tmp_path):
    write_set(tmp_path / "VOCdevkit/VOC2012")
    (tmp_path / "VOCdevkit/VOCcode").mkdir()
    assert VOC.recognises(tmp_path / "VOCdevkit")
    assert read(tmp_path / "VOCdevkit").name == str(tmp_path / "VOCdevkit/VOC2012")
    write_set(tmp_path / "VOCdevkit/VOC2011")
    with pytest.raises(DataError, match="VOCdevkit: holds several data sets, VOC2011 and VOC2012: name one of them"):
        read(tmp_path / "VOCdevkit")


def test_it_is_recognised_before_what_its_pngs_could_be(tmp_path):
    assert format_of("auto", write_set(tmp_path)).name == "voc"
    assert next(name for name, each in FORMATS.items() if each.recognises(tmp_path)) == "voc"
    for other in ("SegmentationClass", "SegmentationObject", "labelmap.txt", "nowhere"):
        assert not VOC.recognises(tmp_path / other)


# ---- lists and pairs ---------------------------------------------------------------------------------------------


def write_two(root):
    """Two images with their PNGs and lists, and one without."""
    for name in ("a", "night/b c"):
        write_set(root, name)
    Image.new("RGB", (3, 3)).save(root / "JPEGImages/alone.jpg")
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n\na\n")
    (lists / "val.txt").write_text('\ufeff"night/b c"\r\n', encoding="utf-8")
    return root


@pytest.fixture
def two(tmp_path):
    return write_two(tmp_path)


@pytest.mark.parametrize("text", ["train", "train.txt", "ImageSets/Segmentation/train.txt", "{}/lists/train"])
def test_a_list_names_the_images(two, text):
    assert [image["file_name"] for image in read(two, list=text.format(two)).images] == ["a.jpg"]
    assert not any("left out" in note for note in read(two, list="train").notes), "they are of the other split"


def test_names_with_blanks_stand_in_quotes(two):
    assert [image["file_name"] for image in read(two, list="val").images] == ["night/b c.jpg"]


def test_without_a_list_all_pngs_are_read(two):
    truth = read(two)
    assert [image["file_name"] for image in truth.images] == ["a.jpg", "night/b c.jpg"]
    assert truth.notes[0] == f"left out: 1 of the images in {two}/JPEGImages, which have no PNG of objects"


def test_a_declaration_tells_its_splits_by_lists(two):
    (two / "pool.yaml").write_text("format: voc\nannotations: .\nlist: '{split}'\nsplits: [train, val]\n")
    opened = open_data(str(two / "pool.yaml"))
    names = {split: [image["file_name"] for image in truth.images] for split, truth in opened.splits.items()}
    assert names == {"train": ["a.jpg"], "val": ["night/b c.jpg"]}
    (two / "bad.yaml").write_text("format: voc\nannotations: .\nlist: train\nsplits: [train, val]\n")
    with pytest.raises(DataError, match="annotations: expected {split} in '.', since there are several splits"):
        open_data(str(two / "bad.yaml"))
    (two / "bad.yaml").write_text("format: voc\nannotations: .\nlist: '{split}'\nsplits: {train: 0.5, val: 0.5}\n")
    with pytest.raises(DataError, match="the splits are parts of one pool, so no path can hold {split}"):
        open_data(str(two / "bad.yaml"))


def test_declared_categories_are_matched_by_name(two):
    text = "format: voc\nannotations: .\nsplits: [train]\ncategories: [{name: person, id: 3}, {name: bus, id: 15}]\n"
    (two / "two.yaml").write_text(text)
    truth = open_data(str(two / "two.yaml")).splits["train"]
    assert labels_of(truth) == ["person"] * 2
    assert {note["category_id"] for note in truth.annotations} == {3}
    assert any("2 annotations of 18 categories that are not declared are left out" in note for note in truth.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test", "list: there is neither 'test' nor such a list in .*ImageSets/Segmentation"),
        ("x" * 300, "list: there is neither"),
        (["train"], "list: expected the name of a list, as train, or its path, got"),
        ("", "list: expected the name of a list"),
    ],
)
def test_a_list_that_is_not_there(two, text, message):
    with pytest.raises(DataError, match=message):
        read(two, list=text)


def test_a_list_that_is_no_text(two):
    (two / "ImageSets/Segmentation/train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"train\.txt: cannot be read"):
        read(two, list="train")
