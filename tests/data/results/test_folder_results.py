"""Results that are folders, written by hand: Ultralytics' `save_txt save_conf`, and what Cityscapes' evaluation takes.

Ultralytics' page "Predict": a row an object, class, the polygon in fractions of the image, and the confidence.
cityscapesScripts' evalInstanceLevelSemanticLabeling: "<path of a mask> <label id> <confidence>" a line, masks relative
to the text; evalPixelLevelSemanticLabeling: PNGs of label ids.
"""

import numpy as np
import pytest
from result_cases import CATEGORIES, HEIGHT, WIDTH, names_of, read, square

from thingstuff.data.results import TargetImage, Targets, result_format_of
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category, write_png

SQUARE = "0.1 0.2 0.4 0.2 0.4 0.6 0.1 0.6"  # x 2 to 8, y 2 to 6


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


# Ultralytics


def test_polygons_with_confidences(tmp_path):
    path = write(tmp_path / "labels", {"a.txt": f"1 {SQUARE} 0.75\n0 {SQUARE} 0.5\n"})
    assert result_format_of("auto", path).name == "yolo"
    found, notes = read(path)
    image = found["a.jpg"]
    assert names_of(image) == ["dog", "cat"]
    np.testing.assert_allclose(image.detections.scores, [0.75, 0.5])
    np.testing.assert_array_equal(image.detections.masks.bitmap(0), square(2, 2, 8, 6))
    assert image.detections.boxes_xyxy[0].tolist() == [2, 2, 8, 6]
    assert len(found["x/b.png"].detections) == 0
    assert "class numbers are taken for places in the data set's list: 0 is 'cat', 1 is 'dog'" in notes[0]


@pytest.mark.parametrize(
    ("names", "expected"), [({0: "cat", 1: "dog"}, "dog"), ({0: "dog", 1: "cat"}, "cat"), ({1: "cat", 5: "dog"}, "cat")]
)
def test_names_of_the_classes_decide(tmp_path, names, expected):
    found, notes = read(write(tmp_path, {"a.txt": f"1 {SQUARE} 0.75"}), names)
    assert names_of(found["a.jpg"]) == [expected]
    assert notes == []


def test_boxes_alone_have_no_masks_and_beside_polygons_they_are_rectangles(tmp_path):
    box = "0 0.25 0.4 0.3 0.4 0.9"
    found, _ = read(write(tmp_path / "boxes", {"a.txt": box}), {0: "cat"})
    assert found["a.jpg"].detections.masks is None
    np.testing.assert_allclose(found["a.jpg"].detections.boxes_xyxy, [[2, 2, 8, 6]])
    found, _ = read(write(tmp_path / "both", {"a.txt": box, "b.txt": f"0 {SQUARE} 0.5"}), {0: "cat"})
    np.testing.assert_array_equal(found["a.jpg"].detections.masks.bitmap(0), square(2, 2, 8, 6))


def test_objects_without_a_confidence_are_told(tmp_path):
    found, notes = read(write(tmp_path, {"x/b.txt": f"0 {SQUARE}"}), {0: "cat"})
    assert found["x/b.png"].detections.scores.tolist() == [1]
    assert notes == ["1 objects have no confidence, and the score 1: predict with save_conf=True"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.txt": f"0 {SQUARE} 0.5\n5 {SQUARE} 0.5"},
            "1 results of classes that the data set has not .*a.txt:2: class",
        ),
        ({"a.txt": f"0 {SQUARE} 0.5", "c.txt": ""}, r"1 results without an image \(c.txt\)"),
        ({"a.txt": f"0 {SQUARE} 1.5"}, "1 lines that are no objects"),
        ({"a.txt": f"0 {SQUARE} 0.5\n0 0.1 2 3 4 5 6 0.5"}, "1 objects with coordinates outside 0 to 1"),
        ({"b.txt": f"0 {SQUARE} 0.5", "x/b.txt": ""}, "1 results of one of several images .*are both of x/b.png"),
    ],
)
def test_what_is_wrong_is_named_or_left_out(tmp_path, files, message):
    path = write(tmp_path, files)
    with pytest.raises(DataError, match=message):
        read(path)
    found, notes = read(path, lenient=True)
    assert len(found) == 2
    assert any(note.startswith("left out: 1 x") for note in notes)


def test_a_folder_of_other_images(tmp_path):
    with pytest.raises(DataError, match=r"none of its files is called as an image of pets_val \(the first: z.txt\)"):
        read(write(tmp_path, {"z.txt": f"0 {SQUARE} 0.5"}))


def test_an_image_name_in_two_folders_is_told_apart_by_its_path(tmp_path):
    images = tuple(TargetImage(n, name, HEIGHT, WIDTH) for n, name in enumerate(("x/a.jpg", "y/a.jpg")))
    targets = Targets("pets", CATEGORIES, images)
    found, _ = read(write(tmp_path / "whole", {"y/a.txt": f"0 {SQUARE} 0.5"}), {0: "cat"}, targets=targets)
    assert [len(image.detections) for image in found.values()] == [0, 1]
    with pytest.raises(DataError, match="'a' is the name of several images, x/a.jpg and y/a.jpg"):
        read(write(tmp_path / "name", {"a.txt": f"0 {SQUARE} 0.5"}), {0: "cat"}, targets=targets)


# Cityscapes

STREET = Categories(
    (Category(1, "car"), Category(2, "person"), Category(3, "road", isthing=False), Category(4, "sky", isthing=False))
)
BASE = "bonn_000001_000019"
STREETS = Targets("streets", STREET, (TargetImage(5, f"bonn/{BASE}_leftImg8bit.png", HEIGHT, WIDTH),))


@pytest.mark.parametrize("name", [f"{BASE}_leftImg8bit_pred", f"{BASE}_pred", f"{BASE}_leftImg8bit"])
def test_texts_of_masks_and_maps_of_labels(tmp_path, name):
    write(tmp_path, {f"{name}.txt": "masks/0.png 26 0.9\nmasks/1.png 24 0.25\n"})
    write_png(tmp_path / "masks/0.png", square(2, 2, 8, 6) * np.uint8(255))
    write_png(tmp_path / "masks/1.png", square(9, 1, 12, 9))
    labels = np.full((HEIGHT, WIDTH), 7, np.uint8)
    labels[:3], labels[5, 5], labels[9, :4] = 23, 26, 8  # sky, a car, and a sidewalk, which these streets have not
    write_png(tmp_path / f"{BASE}_leftImg8bit_pred.png", labels)
    assert result_format_of("auto", tmp_path).name == "cityscapes"
    found, notes = read(tmp_path, targets=STREETS)
    (image,) = found.values()
    assert [STREET.by_id(i).name for i in image.detections.category_ids.tolist()] == ["car", "person"]
    np.testing.assert_array_equal(image.detections.masks.bitmap(1), square(9, 1, 12, 9))
    assert image.detections.boxes_xyxy.tolist() == [[2, 2, 8, 6], [9, 1, 12, 9]]
    assert image.stuff_map[4, 0] == 1 and image.stuff_map[0, 0] == 2  # road and sky, in the order of the categories
    assert image.stuff_map[5, 5] == 0 and image.stuff_map[9, 0] == 65535
    assert notes == []


def test_texts_alone_have_no_stuff_and_maps_alone_no_detections(tmp_path):
    write(tmp_path / "texts", {f"{BASE}_pred.txt": "../masks/0.png 26 0.9"})
    with pytest.raises(DataError, match="1 lines that are no results .*leads out of the folder"):
        read(tmp_path / "texts", targets=STREETS)
    write_png(tmp_path / "masks/0.png", square(2, 2, 8, 6))
    (image,) = read(tmp_path, targets=STREETS)[0].values()  # the folder that holds both
    assert len(image.detections) == 1 and image.stuff_map is None
    write_png(tmp_path / "maps" / f"{BASE}_gtFine_labelIds.png", np.full((HEIGHT, WIDTH), 23, np.uint8))
    (image,) = read(tmp_path / "maps", targets=STREETS)[0].values()
    assert image.detections is None and (image.stuff_map == 2).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("masks/9.png 26 0.9", "1 lines that are no results .*9.png"),
        ("masks/0.png 26", "expected the path of a mask, a label and a score from 0 to 1"),
        ("masks/0.png 26 high", "expected the path of a mask"),
        ("masks/0.png 26 7", "a score from 0 to 1"),
        ("masks/0.png 25 0.9", "1 results of classes that the data set has not .*class 25 is 'rider'"),
        ("masks/0.png 99 0.9", "class 99 has no name"),
        ("masks/small.png 26 0.9", "expected 20 x 10 pixels as its image has, got 3 x 3"),
    ],
)
def test_a_wrong_line_is_named_or_left_out(tmp_path, line, message):
    write(tmp_path, {f"{BASE}_pred.txt": f"masks/0.png 26 0.9\n{line}\n"})
    write_png(tmp_path / "masks/0.png", square(2, 2, 8, 6))
    write_png(tmp_path / "masks/small.png", np.ones((3, 3), np.uint8))
    with pytest.raises(DataError, match=message):
        read(tmp_path, targets=STREETS)
    found, notes = read(tmp_path, lenient=True, targets=STREETS)
    assert len(next(iter(found.values())).detections) == 1
    assert any("left out: 1 x" in note for note in notes)


def test_two_files_for_one_image(tmp_path):
    for folder in ("train", "val"):
        write(tmp_path, {f"{folder}/{BASE}_pred.txt": "../masks/0.png 26 0.9\n"})
    write_png(tmp_path / "masks/0.png", square(2, 2, 8, 6))
    with pytest.raises(DataError, match="1 images with results in several files .*train/.*and val/"):
        read(tmp_path, targets=STREETS)


def test_masks_called_as_their_image_are_no_maps(tmp_path):
    write(tmp_path, {f"{BASE}_pred.txt": f"masks/{BASE}.png 26 0.9"})
    write_png(tmp_path / f"masks/{BASE}.png", square(2, 2, 8, 6))
    (image,) = read(tmp_path, targets=STREETS)[0].values()
    assert len(image.detections) == 1 and image.stuff_map is None
