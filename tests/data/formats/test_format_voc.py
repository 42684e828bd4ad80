"""Pascal VOC's segmentation, by the devkit's documentation: two PNGs an image, of objects and of classes.

Section 4.4 of "The PASCAL VOC2012 Development Kit": indices into a palette, 0 background, 255 void, classes in
alphabetical order. `labelmap.txt` and RGB PNGs as the documentation of CVAT's "Segmentation mask 1.1" shows them.
"""

from __future__ import annotations

import logging
import os

import numpy as np
import pytest
from PIL import Image
from round_trips import assert_measured, assert_same_masks, first_images, masks_of, shapes_truth, without_crowds

from thingstuff.data.formats import FORMATS, Source, WriteOptions, format_of
from thingstuff.data.formats.voc import VOC
from thingstuff.data.formats.voc_labels import voc_colors
from thingstuff.data.open_data import open_data
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops, write_png
from thingstuff.structures.png import png_kind, read_label_png, read_palette

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


def labelmap(root, *lines):
    (root / "labelmap.txt").write_text("\n".join(lines))


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


@pytest.fixture
def two(tmp_path):
    for name in ("a", "night/b c"):
        write_set(tmp_path, name)
    Image.new("RGB", (3, 3)).save(tmp_path / "JPEGImages/alone.jpg")
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n\na\n")
    (lists / "val.txt").write_text('\ufeff"night/b c"\r\n', encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("text", ["train", "train.txt", "ImageSets/Segmentation/train.txt", "{}/lists/train"])
def test_a_list_names_the_images(two, text):
    assert [image["file_name"] for image in read(two, list=text.format(two)).images] == ["a.jpg"]
    assert "left out: 2 of the images" in read(two, list="train").notes[0]


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


# ---- labelmap.txt ------------------------------------------------------------------------------------------------

RED, GREEN = [200, 10, 10], [10, 200, 10]
CUSTOM = np.array([[0, 0, 0], RED, GREEN], np.uint8)
TWO = np.where(OBJECTS == 1, 1, np.where(OBJECTS == 3, 2, 0)).astype(np.uint8)  # the classes of the objects 1 and 3


@pytest.mark.parametrize("kind", ["RGB", "palette"])
@pytest.mark.parametrize(
    "lines",
    [
        ["# label:color_rgb:parts:actions", "background:0,0,0::", "cat:200,10,10::", "dog:10,200,10::"],
        ["dog:10,200,10:head,tail:run", "cat:200,10,10::", "ignored:224,224,192::"],
        ["dog:10, 200, 10::", "", "background:1,2,3::", "bird:9,9,9::", "cat:200,10,10"],
        ["unlabelled:0,0,0::", "ignored:224,224,192::", "dog:10,200,10::", "cat:200,10,10::"],
    ],
)
def test_colours_tell_the_classes_in_any_order(tmp_path, lines, kind):
    write_set(tmp_path, classes=TWO, kind=kind, colors=CUSTOM)
    labelmap(tmp_path, *lines)
    truth = read(tmp_path)
    assert labels_of(truth) == ["cat", "dog"]
    by_name = {category["name"]: category for category in truth.categories}
    assert by_name["cat"]["color"] == RED and by_name["dog"]["color"] == GREEN
    assert not {"background", "unlabelled", "ignored"} & by_name.keys()


@pytest.mark.parametrize(
    "lines",
    [
        ["background:0,0,0::", "cat:200,10,10::", "dog:10,200,10::"],  # their colours are not those of the palette
        ["cat:200,10,10::", "background:0,0,0::", "dog:10,200,10::"],
        ["cat:::", "dog:::"],
        ["cat", "_background_", "dog"],
    ],
)
@pytest.mark.parametrize("kind", ["grey", "palette"])
def test_indices_count_from_1_without_the_background(tmp_path, lines, kind):
    labelmap(write_set(tmp_path, classes=TWO, kind=kind), *lines)
    truth = read(tmp_path)
    assert labels_of(truth) == ["cat", "dog"]
    assert [category["id"] for category in truth.categories] == [1, 2]


def test_without_colours_the_classes_have_those_of_voc(tmp_path):
    labelmap(write_set(tmp_path, classes=TWO, kind="RGB"), "background:::", "cat:::", "dog:::")
    assert labels_of(read(tmp_path)) == ["cat", "dog"]


def test_a_palette_goes_by_its_colours_where_they_are_those_of_the_labels(tmp_path):
    """VOC's colours, in a list of another order: colour 1, dark red, is the dog's."""
    labelmap(write_set(tmp_path, classes=TWO), "cat:0,128,0::", "dog:128,0,0::")
    assert labels_of(read(tmp_path)) == ["dog", "cat"]


def test_what_is_black_is_the_background_whatever_its_name(tmp_path):
    labelmap(write_set(tmp_path, classes=TWO, kind="grey"), "cow:0,0,0::", "cat:200,10,10::", "dog:10,200,10::")
    truth = read(tmp_path)
    assert labels_of(truth) == ["cat", "dog"]
    assert "'cow' is black, and so the background" in truth.notes[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["cat:1,2::"], r"labelmap\.txt, line 1: expected name:r,g,b:parts:actions with colours of 0 to 255, got"),
        (["cat:1,2,256::"], "line 1: expected name:r,g,b"),
        (["# x", ":1,2,3::"], "line 2: expected a label, got ''"),
        (["cat:1,2,3::", "cat:3,2,1::"], "line 2: 'cat' is that of a label before"),
        (["cat:1,2,3::", "dog:1,2,3::"], r"line 2: \(1, 2, 3\) is that of a label before: give each label its own"),
        ([f"c{n}:::" for n in range(255)], "255 labels are more than the 254"),
        (["x" * (1 << 20), ""], "expected a line for each label, got more than"),
    ],
)
def test_a_labelmap_that_cannot_be_read(tmp_path, lines, message):
    labelmap(write_set(tmp_path), *lines)
    with pytest.raises(DataError, match=message):
        read(tmp_path, lenient=True)


def test_a_labelmap_that_is_no_text(tmp_path):
    (write_set(tmp_path) / "labelmap.txt").write_bytes(b"cat\xff:::")
    with pytest.raises(DataError, match=r"labelmap\.txt: cannot be read"):
        read(tmp_path)


# ---- faults ------------------------------------------------------------------------------------------------------


def refused_or_left_out(root, kind, example, **options):
    """Refused in one line with that kind, and a note where that is wanted. What is left."""
    with pytest.raises(DataError) as caught:
        read(root, **options)
    text = str(caught.value)
    assert f"1 {kind} (" in text and example in text and text.endswith("leave them out by `lenient`")
    truth = read(root, lenient=True, **options)
    assert any(note.startswith(f"left out: 1 {kind}, the first is ") and example in note for note in truth.notes)
    return truth


def test_an_object_of_several_classes(tmp_path):
    """Object 1 has 12 pixels: 1 of another class is less than a tenth and a bit, 2 are more."""
    classes = CLASSES.copy()
    classes[1, 1] = 7
    assert labels_of(read(write_set(tmp_path, classes=classes))) == ["person", "car"]
    classes[1, 2] = 0
    write_set(tmp_path, classes=classes)
    kind, example = "objects of several classes", "object 1: 10 pixels are person, 1 pixels are"
    assert labels_of(refused_or_left_out(tmp_path, kind, example)) == ["car"]


def test_void_says_nothing_of_a_class(tmp_path):
    classes = CLASSES.copy()
    classes[1:3, 1:4] = 255
    assert labels_of(read(write_set(tmp_path, classes=classes))) == ["person", "car"]


@pytest.mark.parametrize("index", [0, 255])
def test_an_object_without_a_class(tmp_path, index):
    write_set(tmp_path, classes=np.where(OBJECTS == 1, index, CLASSES).astype(np.uint8))
    truth = refused_or_left_out(tmp_path, "objects without a class", "SegmentationObject/a.png: object 1: its pixels")
    assert labels_of(truth) == ["car"]


def test_a_class_without_a_name(tmp_path):
    write_set(tmp_path, classes=np.where(OBJECTS == 1, 21, CLASSES).astype(np.uint8))
    example = "object 1: class 21: name it in labelmap.txt"
    assert labels_of(refused_or_left_out(tmp_path, "objects whose class has no name", example)) == ["car"]


def test_what_has_no_other_half(two):
    (two / "JPEGImages/night/b c.jpg").unlink()
    truth = refused_or_left_out(two, "labels without an image", "'SegmentationObject/night/b c.png', of 'night/b c' in")
    assert [image["file_name"] for image in truth.images] == ["a.jpg"]
    (two / "JPEGImages/a.jpg").unlink()
    with pytest.raises(DataError, match="none of the labels, as .*has an image in .*: say where they are by `images`"):
        read(two, lenient=True)
    assert len(read(two, _images(two / "elsewhere", "a.png", "night/b c.jpg")).images) == 2


def _images(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 8)).save(root / name)
    return root


def test_pngs_and_names_without_the_other(two):
    (two / "SegmentationClass/a.png").unlink()
    refused_or_left_out(two, "PNGs of objects without one of classes", "'SegmentationObject/a.png'")
    (two / "ImageSets/Segmentation/val.txt").write_text("night/b c\n../a\n")
    refused_or_left_out(two, "listed names without a PNG of objects", "'../a' is not in", list="val")


def test_images_of_one_name(two):
    Image.new("RGB", (9, 8)).save(two / "JPEGImages/a.png")
    refused_or_left_out(two, "labels that may be of several images", "both a.jpg and a.png are called 'a'")


def test_an_image_with_two_labels(two):
    for folder in ("SegmentationObject", "SegmentationClass"):
        save(two / f"{folder}/a.jpg.png", OBJECTS if folder.endswith("Object") else CLASSES)
    refused_or_left_out(two, "images with several labels", "'a.jpg' has ")


def test_a_name_that_is_not_utf8(two):
    for folder in ("SegmentationObject", "SegmentationClass"):
        (two / f"{folder}/a.png").rename(two / folder / os.fsdecode(b"\xff.png"))
    with pytest.raises(DataError, match=r"2 file names that are not UTF-8 \('.udcff.png': rename it\)"):
        read(two)
    assert len(read(two, lenient=True).images) == 1


@pytest.mark.parametrize(
    ("name", "pixels", "example"),
    [
        ("Class", CLASSES[1:], "a.png: has 9 x 8 pixels, and "),
        (
            "Class",
            np.full((8, 9, 3), 7, np.uint8),
            "the list of labels does not have the colour (7, 7, 7) of 72 pixels",
        ),
        ("Object", np.full((8, 9, 3), 7, np.uint8), "VOC's colour map does not have the colour (7, 7, 7)"),
    ],
)
def test_pngs_that_cannot_be_read(two, name, pixels, example):
    write_png(two / f"Segmentation{name}/a.png", pixels)
    assert len(refused_or_left_out(two, "PNGs that cannot be read", example).images) == 1


def test_a_picture_and_a_damaged_file(two):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    Image.fromarray(noise).save(two / "SegmentationObject/a.png")
    refused_or_left_out(two, "PNGs that cannot be read", "got 8-bit RGB with alpha")
    (two / "SegmentationObject/a.png").write_bytes(b"no PNG")
    refused_or_left_out(two, "PNGs that cannot be read", "expected a PNG, got no PNG at all")


def test_folders_that_are_none_of_voc(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read(tmp_path / "nowhere")
    (tmp_path / "SegmentationClass").mkdir()
    with pytest.raises(DataError, match="expected SegmentationObject and SegmentationClass in it, found neither"):
        read(tmp_path)
    (tmp_path / "SegmentationObject").mkdir()
    with pytest.raises(DataError, match="SegmentationObject: there are no PNGs of objects in it"):
        read(tmp_path)


# ---- writing -----------------------------------------------------------------------------------------------------


def made(tmp_path, bitmaps, names=("cat",), ids=None, file_name="a.jpg"):
    """A split of one image; the n-th bitmap is of the n-th of `ids`, or all are of the first category."""
    owned = zip(ids or [5] * len(bitmaps), MaskCrops.from_bitmaps(bitmaps).to_rles(), strict=True)
    notes = [
        {"id": n, "image_id": 1, "category_id": own, "segmentation": rle, "iscrowd": 0}
        for n, (own, rle) in enumerate(owned, 1)
    ]
    height, width = bitmaps.shape[1:]
    (tmp_path / file_name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(tmp_path / file_name)
    images = [{"id": 1, "file_name": file_name, "width": width, "height": height}]
    categories = [{"id": 5 * n, "name": name} for n, name in enumerate(names, 1)]
    return SplitTruth("made.json", tmp_path, categories, images, notes)


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    """The shapes lie on each other: what is drawn last has all of its pixels."""
    written = without_crowds(shapes_truth(small_shapes))
    path = VOC.write(written, tmp_path / "out", WriteOptions(copy_images=True))
    again = read(path, list="default")
    assert again.image_root == tmp_path / "out/JPEGImages"
    assert [c["name"] for c in again.categories] == [c["name"] for c in written.categories]
    assert len(again.images) == len(written.images)
    assert masks_of(again).keys() == masks_of(written).keys()
    for name, masks in masks_of(again).items():
        np.testing.assert_array_equal(masks[-1][2], masks_of(written)[name][-1][2])
        assert [mask[0] for mask in masks] == [mask[0] for mask in masks_of(written)[name]]
    assert_same_masks(read(path), again)
    assert_same_masks(read(VOC.write(again, tmp_path / "twice", WriteOptions(copy_images=True))), again)


def test_the_files_are_those_of_voc(tmp_path):
    bitmaps = np.zeros((2, 8, 9), bool)
    bitmaps[0, 1:3, 1:3] = bitmaps[1, 5:7, 5:7] = True
    truth = made(tmp_path, bitmaps, ("cat", "dog"), [10, 5], "night/b c.jpg")
    path = VOC.write(truth, tmp_path / "out", WriteOptions())
    assert (path / "labelmap.txt").read_text().splitlines() == [
        *("# label:color_rgb:parts:actions", "background:0,0,0::", "cat:128,0,0::", "dog:0,128,0::"),
    ]
    assert (path / "ImageSets/Segmentation/default.txt").read_text() == "night/b c\n"
    for folder, values in (("SegmentationObject", [0, 1, 2]), ("SegmentationClass", [0, 2, 1])):
        png = path / folder / "night/b c.png"
        assert png_kind(png) == "8-bit palette"
        np.testing.assert_array_equal(read_palette(png), COLORS)
        expected = values[1] * bitmaps[0] + values[2] * bitmaps[1]
        np.testing.assert_array_equal(read_label_png(png), expected)
        np.testing.assert_array_equal(np.array(Image.open(png)), expected)
        np.testing.assert_array_equal(np.array(Image.open(png).convert("RGB")), COLORS[expected])
    assert_same_masks(read(path, tmp_path), truth)


def test_names_that_differ_in_their_suffix_alone(tmp_path):
    bitmaps = np.ones((1, 4, 4), bool)
    first, second = made(tmp_path, bitmaps), made(tmp_path, bitmaps, file_name="a.png")
    images = [*first.images, {**second.images[0], "id": 2}]
    truth = SplitTruth("made.json", tmp_path, first.categories, images, first.annotations)
    again = read(VOC.write(truth, tmp_path / "out", WriteOptions(copy_images=True)))
    assert_same_masks(again, truth)


def test_what_voc_cannot_hold_is_logged(tmp_path, caplog):
    bitmaps = np.zeros((3, 8, 9), bool)
    bitmaps[0, 1:3, 1:3] = bitmaps[1, 0:4, 0:4] = bitmaps[2, 3:6, 3:6] = True
    truth = made(tmp_path, bitmaps)
    truth.annotations.append({**truth.annotations[0], "iscrowd": 1})
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = VOC.write(truth, tmp_path / "out", WriteOptions())
    # four pixels of the first and one of the second
    assert "lost are 5 pixels below other objects, and 1 whole objects" in caplog.text
    assert "left out: 1 crowd regions, which voc cannot hold" in caplog.text
    again = read(path, tmp_path)
    np.testing.assert_array_equal(masks_of(again)["a.jpg"][0][2], bitmaps[1] & ~bitmaps[2])


def test_an_image_has_254_objects(tmp_path, caplog):
    bitmaps = np.eye(256, dtype=bool).reshape(256, 16, 16)
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = VOC.write(made(tmp_path, bitmaps), tmp_path / "out", WriteOptions())
    assert "left out: 2 objects beyond 254 in an image" in caplog.text
    again = read(path, tmp_path)
    assert [mask.argmax() for _, _, mask in masks_of(again)["a.jpg"]] == list(range(254))


@pytest.mark.parametrize("name", ["a:b", "#a", " a", "a\nb", "background", "\ud800", "x" * 1001])
def test_names_of_classes_that_no_labelmap_can_hold(tmp_path, name):
    with pytest.raises(DataError, match="made.json: the category .* cannot stand in a labelmap.txt: rename it"):
        VOC.write(made(tmp_path, np.ones((1, 4, 4), bool), (name,)), tmp_path / "out", WriteOptions())


def test_a_background_that_nothing_uses_is_no_class(tmp_path):
    truth = made(tmp_path, np.ones((1, 4, 4), bool), ("background", "cat"), [10])
    assert [c["name"] for c in read(VOC.write(truth, tmp_path / "out", WriteOptions()), tmp_path).categories] == ["cat"]


def test_classes_beyond_254_and_names_with_line_breaks(tmp_path, caplog):
    names = [f"class {n}" for n in range(255)]
    with pytest.raises(DataError, match="255 categories are more than the 254 that voc can hold"):
        VOC.write(made(tmp_path, np.ones((1, 4, 4), bool), names), tmp_path / "out", WriteOptions())
    with caplog.at_level(logging.WARNING, "thingstuff"):
        truth = made(tmp_path, np.ones((1, 4, 4), bool), file_name="a\nb.jpg")
        path = VOC.write(truth, tmp_path / "out", WriteOptions())
    assert "default.txt lacks 1 names with line breaks in them" in caplog.text
    assert len(read(path, tmp_path).images) == 1


def test_an_image_without_instances_stays(small_shapes, tmp_path):
    truth = first_images(without_crowds(shapes_truth(small_shapes)), 2)
    bare = SplitTruth(truth.name, truth.image_root, truth.categories, truth.images, [])
    again = read(VOC.write(bare, tmp_path / "out", WriteOptions()), truth.image_root)
    assert (len(again.images), again.annotations) == (2, [])
