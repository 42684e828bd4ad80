"""What is wrong in single images of a VOC data set: named and counted, refused or left out."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image
from test_format_voc import CLASSES, OBJECTS, labels_of, read, save, write_set, write_two

from thingstuff.errors import DataError
from thingstuff.structures import write_png


@pytest.fixture
def two(tmp_path):
    return write_two(tmp_path)


def refused_or_left_out(root, kind, example, **options):
    """Refused in one line with that kind, and a note where that is wanted. What is left."""
    with pytest.raises(DataError) as caught:
        read(root, **options)
    text = str(caught.value)
    assert f"1 {kind} (" in text and example in text and "leave them out with --lenient" in text
    truth = read(root, lenient=True, **options)
    assert any(note.startswith(f"left out: 1 x {kind}, the first: ") and example in note for note in truth.notes)
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
