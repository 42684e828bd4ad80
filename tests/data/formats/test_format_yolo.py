"""YOLO segmentation, from files written by hand after Ultralytics' page "Instance Segmentation Datasets Overview".

There: one text file an image, of the same name; a row an object, `<class-index> <x1> <y1> <x2> <y2> ... <xn> <yn>` in
fractions of the image's size, three points or more; no file where nothing is; names by number in a data.yaml.
"""

import logging
import os
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image
from round_trips import assert_measured, assert_same_masks, coco_tiny, masks_of, shapes_truth, without_crowds

from thingstuff.data.convert import convert
from thingstuff.data.formats import Source, WriteOptions, format_of
from thingstuff.data.formats.yolo import YOLO
from thingstuff.data.open_data import open_data
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category

WIDTH, HEIGHT = 20, 10
SQUARE = "0.1 0.2 0.4 0.2 0.4 0.6 0.1 0.6"  # x 2 to 8, y 2 to 6
NAMES = "names: [cat, dog]\n"


def write_set(root, labels, names=NAMES, images=("a.jpg",)):
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in images:
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / name)
    for name, text in labels.items():
        (root / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "labels" / name).write_text(text)
    if names:
        (root / "data.yaml").write_text(names)
    return root / "labels"


def read(path, images=None, categories=None, lenient=False, **options):
    return YOLO.read(Source(path, images, categories, options, lenient))


def labels_of(truth):
    names = {category["id"]: category["name"] for category in truth.categories}
    return [names[note["category_id"]] for note in truth.annotations]


# what the lines say


def test_a_polygon_in_fractions_is_one_in_pixels(tmp_path):
    truth = read(write_set(tmp_path, {"a.txt": f"1 {SQUARE}\n"}))
    (note,) = truth.annotations
    assert note["segmentation"] == [[2, 2, 8, 2, 8, 6, 2, 6]]
    assert (note["bbox"], note["area"], note["iscrowd"]) == ([2, 2, 6, 4], 24, 0)
    assert truth.categories == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert labels_of(truth) == ["dog"]
    assert truth.images == [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}]
    assert truth.image_root == tmp_path / "images"
    assert truth.annotation_place(0) == "a.txt:1"
    assert_measured(truth)


def test_four_numbers_are_a_box(tmp_path):
    """Middle and size: x 0.25 +- 0.15, y 0.4 +- 0.2."""
    (note,) = read(write_set(tmp_path, {"a.txt": "0 0.25 0.4 0.3 0.4"})).annotations
    assert note["bbox"] == [2, 2, 6, 4]
    assert "segmentation" not in note


def test_an_image_without_a_label_file_has_nothing_in_it(tmp_path):
    truth = read(write_set(tmp_path, {"a.txt": f"0 {SQUARE}", "c.txt": ""}, images=("a.jpg", "b.png", "c.png")))
    assert [image["file_name"] for image in truth.images] == ["a.jpg", "b.png", "c.png"]
    assert {note["image_id"] for note in truth.annotations} == {1}
    assert truth.notes == ("1 of 3 images have no label file, so nothing is in them: the first is b.png",)


def test_a_trace_beyond_the_border_is_rounding(tmp_path):
    (note,) = read(write_set(tmp_path, {"a.txt": "0 -0.0004 0 1.0005 0 1 1 0 1"})).annotations
    assert note["bbox"] == [0, 0, WIDTH, HEIGHT]


# names, in every form


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("names: [cat, dog]", "dog"),
        ("names: [dog, cat]", "cat"),  # another order
        ("names: {0: cat, 1: dog}", "dog"),
        ("names: {1: cat, 2: dog}", "cat"),  # counted from 1
        ("names: {0: ant, 1: dog, 7: cat}", "dog"),  # gaps
        ("names: ['0', '1', '2']", "1"),
        ("nc: 3\nnames: [__background__, cat, dog]", "cat"),  # a class 0 that nothing uses
    ],
)
def test_class_numbers_land_on_their_names(tmp_path, names, expected):
    truth = read(write_set(tmp_path, {"a.txt": f"1 {SQUARE}"}, names))
    assert labels_of(truth) == [expected]


def test_an_unused_background_is_no_category_and_a_used_one_is(tmp_path):
    names = "names: [background, cat, dog]"
    unused = read(write_set(tmp_path / "a", {"a.txt": f"2 {SQUARE}"}, names))
    assert [category["name"] for category in unused.categories] == ["cat", "dog"]
    assert labels_of(unused) == ["dog"]
    assert "the class 0, 'background'" in unused.notes[0]
    used = read(write_set(tmp_path / "b", {"a.txt": f"0 {SQUARE}"}, names))
    assert [category["name"] for category in used.categories] == ["background", "cat", "dog"]


@pytest.mark.parametrize("file", ["classes.txt", "labels/classes.txt", "obj.names"])
def test_a_list_of_names_lies_beside_the_labels_or_among_them(tmp_path, file):
    folder = write_set(tmp_path, {"a.txt": f"1 {SQUARE}"}, names=None)
    (tmp_path / file).write_text("cat\ndog\n\n")
    assert labels_of(read(folder)) == ["dog"]


def test_names_are_an_option_a_list_by_number_or_a_file(tmp_path):
    folder = write_set(tmp_path, {"a.txt": f"1 {SQUARE}"})
    (tmp_path / "other.yaml").write_text("names: {0: x, 1: y}")
    assert labels_of(read(folder, names=["ant", "bee"])) == ["bee"]
    assert labels_of(read(folder, names={1: "bee"})) == ["bee"]
    assert labels_of(read(folder, names=str(tmp_path / "other.yaml"))) == ["y"]


def test_declared_categories_are_matched_by_name_or_are_the_names(tmp_path):
    declared = Categories((Category(7, "dog"), Category(3, "cat")))
    folder = write_set(tmp_path, {"a.txt": f"0 {SQUARE}\n1 {SQUARE}"})
    assert [note["category_id"] for note in read(folder, categories=declared).annotations] == [3, 7]
    (tmp_path / "data.yaml").unlink()
    assert [note["category_id"] for note in read(folder, categories=declared).annotations] == [7, 3]


def test_classes_that_nobody_names_are_numbers(tmp_path):
    truth = read(write_set(tmp_path, {"a.txt": f"4 {SQUARE}\n2 {SQUARE}"}, names=None))
    assert truth.categories == [{"id": 3, "name": "class_2"}, {"id": 5, "name": "class_4"}]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("names: 3", "expected a list of names, or names by number, got 3"),
        ("names: [cat, cat]", "two classes share the name 'cat'"),
        ("names: [cat, {a: b}]", "expected a label"),
        ("names: {x: cat}", "expected class numbers from 0 on, got 'x'"),
        ("names: {-1: cat}", "expected class numbers from 0 on, got -1"),
        ("names: [cat]\nkpt_shape: [17, 3]", "its labels are keypoints"),
    ],
)
def test_names_that_are_none(tmp_path, names, message):
    with pytest.raises(DataError, match="data.yaml.*" + message):
        read(write_set(tmp_path, {"a.txt": f"0 {SQUARE}"}, names))


# what is wrong


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.1 0.2 0.3", r"1 lines that are no objects \(a.txt:2: expected 4 numbers of a box .*, got 3 numbers"),
        (f"0 {SQUARE} 0.9", r"1 lines that are no objects .*got 9 numbers"),  # a confidence: a prediction
        (f"x {SQUARE}", "expected a class number and coordinates, got 'x 0.1"),
        (f"-1 {SQUARE}", "expected a class number from 0 on"),
        (f"1.5 {SQUARE}", "expected a class number from 0 on"),
        (f"0 {SQUARE} nan nan", "finite coordinates"),
        ("0 0.1 0.2 1.3 0.2 0.4 0.6", r"1 objects with coordinates outside 0 to 1 \(a.txt:2: 1.3\)"),
        ("0 0.1 0.2 0.3 -0.2 0.4 0.6", r"outside 0 to 1 \(a.txt:2: -0.2\)"),
        ("0 2 2 8 2 8 6 2 6", "outside 0 to 1"),  # pixels
        (f"2 {SQUARE}", r"1 objects of classes beyond the 2 names \(a.txt:2: class 2\)"),
    ],
)
def test_a_wrong_line_is_named_and_counted_or_left_out(tmp_path, line, message):
    folder = write_set(tmp_path, {"a.txt": f"0 {SQUARE}\n{line}\n1 {SQUARE}\n"})
    with pytest.raises(DataError, match=message + ".*: mend them, or leave them out with --lenient"):
        read(folder)
    truth = read(folder, lenient=True)
    assert labels_of(truth) == ["cat", "dog"]
    assert "left out: 1 " in truth.notes[-1]


def test_labels_without_an_image(tmp_path):
    folder = write_set(tmp_path, {"a.txt": f"0 {SQUARE}", "b.txt": "", "c/d.txt": ""})
    with pytest.raises(DataError, match=r"2 labels without an image \('b.txt', of 'b' in "):
        read(folder)
    assert len(read(folder, lenient=True).images) == 1


def test_labels_none_of_which_has_an_image(tmp_path):
    folder = write_set(tmp_path, {"a.txt": ""}, images=("b.jpg",))
    with pytest.raises(
        DataError, match="none of the labels, as 'a.txt', has an image in .*: say where they are by `images`"
    ):
        read(folder)


def test_an_image_that_cannot_be_read(tmp_path):
    folder = write_set(tmp_path, {"a.txt": f"0 {SQUARE}"}, images=("a.jpg", "b.jpg"))
    (tmp_path / "images/b.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 images that cannot be read \(b.jpg\)"):
        read(folder)
    assert [image["file_name"] for image in read(folder, lenient=True).images] == ["a.jpg"]


def test_two_images_of_one_name(tmp_path):
    folder = write_set(tmp_path, {"a.txt": f"0 {SQUARE}"}, images=("a.jpg", "a.png"))
    with pytest.raises(
        DataError, match=r"1 labels that may be of several images \(.*both a.jpg and a.png are called 'a'"
    ):
        read(folder)


def test_names_and_texts_that_are_not_utf8(tmp_path):
    folder = write_set(tmp_path, {"a.txt": f"0 {SQUARE}"}, images=("a.jpg", "b.jpg"))
    (folder / "b.txt").write_bytes(b"0 \xff")
    (tmp_path / "images/b.jpg").rename(tmp_path / "images" / os.fsdecode(b"\xe9.jpg"))
    with pytest.raises(DataError, match=r"1 file names that are not UTF-8 \('.udce9.jpg': rename it\)"):
        read(folder)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images/b.jpg")
    with pytest.raises(DataError, match=r"1 label files that cannot be read \(.*b.txt: not UTF-8 \(byte 2\)"):
        read(folder)
    truth = read(folder, lenient=True)
    assert labels_of(truth) == ["cat"]
    assert len(truth.notes) == 2


def test_labels_of_two_programs_in_one_folder(tmp_path):
    folder = write_set(tmp_path, {"a.txt": f"0 {SQUARE}", "a.json": '{"shapes": [], "imagePath": "a.jpg"}'})
    with pytest.raises(DataError, match=r"labels of several formats, 1 .txt of yolo and 1 .json of labelme"):
        format_of("auto", folder)
    (folder / "a.json").unlink()
    assert format_of("auto", folder) is YOLO


# where things are


def test_a_split_is_named_by_its_folder_too(tmp_path):
    write_set(tmp_path / "train", {"a.txt": f"0 {SQUARE}"})
    assert labels_of(read(tmp_path / "train")) == ["cat"]
    assert format_of("auto", tmp_path / "train") is YOLO


def test_images_in_folders(tmp_path):
    truth = read(write_set(tmp_path, {"x/a.txt": f"0 {SQUARE}"}, images=("x/a.jpg", "y/a.jpg")))
    assert [image["file_name"] for image in truth.images] == ["x/a.jpg", "y/a.jpg"]
    assert truth.annotation_place(0) == "x/a.txt:1"


def test_labels_beside_their_images(tmp_path):
    """Darknet's layout."""
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text(f"0 {SQUARE}")
    (tmp_path / "obj.names").write_text("cat\n")
    assert labels_of(read(tmp_path)) == ["cat"]


def test_a_list_of_images(tmp_path):
    write_set(tmp_path, {"a.txt": f"1 {SQUARE}"}, images=("a.jpg", "b.jpg", "c.jpg"))
    (tmp_path / "train.txt").write_text(f"./images/a.jpg\n{tmp_path}/images/b.jpg\n\n")
    truth = read(tmp_path / "train.txt")
    assert [image["file_name"] for image in truth.images] == ["a.jpg", "b.jpg"]
    assert labels_of(truth) == ["dog"]
    (tmp_path / "train.txt").write_text("images/a.jpg\nimages/x.jpg\nimages/a.jpg\n")
    with pytest.raises(DataError, match=r"1 listed images that are not there \('x.jpg'\); 1 images that are listed tw"):
        read(tmp_path / "train.txt")


# data.yaml in place of a declaration


@pytest.mark.parametrize(
    ("layout", "content"),
    [
        ("{kind}/{split}", "train: images/train\nval: images/val"),
        ("{kind}/{split}", "path: .\ntrain: images/train\nval: images/val"),
        ("{kind}/{split}", "path: /home/somebody/else\ntrain: images/train\nval: images/val"),
        ("{split}/{kind}", "train: ../train/images\nval: ../val/images"),  # Roboflow
        ("{split}/{kind}", "path: ..\ntrain: pets/train/images\nval: pets/val/images\ntest:"),
    ],
)
def test_a_data_yaml_is_a_declaration(tmp_path, layout, content):
    root = tmp_path / "pets"
    for number, split in enumerate(("train", "val")):
        images, labels = (root / layout.format(split=split, kind=kind) for kind in ("images", "labels"))
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(images / "a.jpg")
        (labels / "a.txt").write_text(f"{number} {SQUARE}")
    (root / "data.yaml").write_text(f"{content}\n{NAMES}")
    opened = open_data(str(root / "data.yaml"))
    assert opened.name == "pets"
    assert {split: labels_of(truth) for split, truth in opened.splits.items()} == {"train": ["cat"], "val": ["dog"]}


def test_a_data_yaml_of_lists(tmp_path):
    write_set(tmp_path, {"a.txt": f"1 {SQUARE}"}, names="train: train.txt\nnames: [cat, dog]")
    (tmp_path / "train.txt").write_text("images/a.jpg\n")
    assert labels_of(open_data(str(tmp_path / "data.yaml")).splits["train"]) == ["dog"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: [a, b]\nnames: [x]", "train: expected one folder of images, or a list of them in a .txt file"),
        ("train: a\nnames: [x]\nkpt_shape: [5, 2]", "kpt_shape"),
        ("train: a\nnames: 4", "expected a list of names"),
    ],
)
def test_a_data_yaml_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(DataError, match=f"data.yaml: .*{message}"):
        open_data(str(tmp_path / "data.yaml"))


def test_it_trains_by_that_name(small_shapes, tmp_path):
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from thingstuff.data.declared.declare import register_declared

    convert({"train": shapes_truth(small_shapes)}, "yolo", tmp_path / "yolo_pets", WriteOptions(copy_images=True))
    register_declared([tmp_path / "yolo_pets/data.yaml"])
    assert MetadataCatalog.get("yolo_pets_train").thing_classes[0] == "disc"
    assert len(DatasetCatalog.get("yolo_pets_train")) == len(shapes_truth(small_shapes).images)


# there and back


@pytest.mark.parametrize("set_name", ["shapes", "coco_tiny"])
def test_every_pixel_comes_back(small_shapes, tmp_path, set_name, caplog):
    truth = shapes_truth(small_shapes) if set_name == "shapes" else coco_tiny()
    crowds = sum(note["iscrowd"] for note in truth.annotations)
    with caplog.at_level(logging.WARNING):
        path = YOLO.write(truth, tmp_path / "yolo", WriteOptions())
    again = read(path, truth.image_root)
    assert len(again.images) == len(truth.images)
    assert_same_masks(again, without_crowds(truth))
    assert (f"left out: {crowds} crowd regions" in caplog.text) == (crowds > 0)


def test_parts_and_holes_are_one_polygon(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[1:8, 1:9], mask[3:6, 3:6], mask[2:4, 12:15] = 1, 0, 1
    from thingstuff.structures import rle

    truth = read(write_set(tmp_path / "a", {"a.txt": f"0 {SQUARE}"}))
    note = truth.annotations[0] | {"segmentation": rle.encode(mask)}
    path = YOLO.write(replace(truth, annotations=[note]), tmp_path / "b", WriteOptions())
    again = read(path, truth.image_root)
    assert len(again.annotations) == 1
    np.testing.assert_array_equal(masks_of(again)["a.jpg"][0][2], mask)


def test_a_part_of_a_folder_stays_that_part(tmp_path):
    whole = read(write_set(tmp_path, {"a.txt": f"0 {SQUARE}"}, images=("a.jpg", "b.jpg", "c.jpg")))
    path = YOLO.write(replace(whole, images=whole.images[:2]), tmp_path / "part", WriteOptions())
    again = read(path, whole.image_root)
    assert [image["file_name"] for image in again.images] == ["a.jpg", "b.jpg"]
    assert again.notes == ()


def test_boxes_names_and_empty_images_come_back(tmp_path):
    truth = read(write_set(tmp_path, {"a.txt": "1 0.25 0.4 0.3 0.4"}, images=("a.jpg", "x/b.jpg")))
    truth = replace(truth, categories=[{"id": 1, "name": "a: b\n#"}, {"id": 2, "name": "Käfer"}])
    converted = convert({"data": truth}, "yolo", tmp_path / "out", WriteOptions(copy_images=True))
    again = read(converted.paths["data"])
    assert [category["name"] for category in again.categories] == ["a: b\n#", "Käfer"]
    assert [note["bbox"] for note in again.annotations] == [note["bbox"] for note in truth.annotations]
    assert (tmp_path / "out/data/labels/x/b.txt").read_text() == ""
    content = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert content == {"train": "data/images", "names": {0: "a: b\n#", 1: "Käfer"}}


def test_without_copied_images_a_note_says_what_is_missing(tmp_path):
    truth = read(write_set(tmp_path, {"a.txt": f"0 {SQUARE}"}))
    converted = convert({"data": truth}, "yolo", tmp_path / "out", WriteOptions(), "pets")
    assert "other programs need them copied (--copy-images)" in converted.notes[0]
    assert not (tmp_path / "out/data.yaml").exists()
    assert labels_of(open_data(str(converted.declaration)).splits["data"]) == ["cat"]


def test_images_that_differ_in_their_suffix_alone_cannot_be_written(tmp_path):
    truth = read(write_set(tmp_path, {}, images=("a.jpg", "a.png")))
    with pytest.raises(DataError, match="another image is called 'a.jpg' but for its suffix"):
        YOLO.write(truth, tmp_path / "out", WriteOptions())


def test_splits_with_other_categories_cannot_be_written(tmp_path):
    truth = read(write_set(tmp_path, {"a.txt": f"0 {SQUARE}"}))
    other = replace(truth, categories=truth.categories[::-1])
    with pytest.raises(DataError, match="yolo has one list of categories, and those of val and train differ"):
        convert({"train": truth, "val": other}, "yolo", tmp_path / "out", WriteOptions())


# as Roboflow leaves it


def test_a_test_split_that_was_not_made_is_left_out(tmp_path, caplog):
    for kind in ("images", "labels"):
        (tmp_path / "train" / kind).mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "train/images/a.jpg")
    (tmp_path / "train/labels/a.txt").write_text(f"0 {SQUARE}")
    (tmp_path / "data.yaml").write_text("train: ../train/images\ntest: ../test/images\nnames: [cat]\n")
    with caplog.at_level(logging.WARNING):
        assert list(open_data(str(tmp_path / "data.yaml")).splits) == ["train"]
    assert "the split test is left out" in caplog.text
    (tmp_path / "data.yaml").write_text("train: train/images\nval: valid/images\nnames: [cat]\n")
    with pytest.raises(DataError, match="data.yaml: val: there is no .*valid/images: put the images there, or take"):
        open_data(str(tmp_path / "data.yaml"))


def test_a_data_yaml_without_names(tmp_path):
    (tmp_path / "data.yaml").write_text("train: images\n")
    with pytest.raises(DataError, match="names: expected a list of names"):
        open_data(str(tmp_path / "data.yaml"))


def test_labels_beside_a_json_of_coco(tmp_path):
    folder = write_set(tmp_path, {"a.txt": f"0 {SQUARE}"})
    (folder / "coco.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(DataError, match="labels of several formats, 1 .txt of yolo and 1 .json of coco"):
        format_of("auto", folder)
