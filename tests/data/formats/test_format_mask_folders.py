"""One PNG an instance: both layouts, what tells the class, and what is missing."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from helpers import SHARED
from mutated_json import mutated_files
from PIL import Image
from round_trips import (
    assert_measured,
    assert_same_masks,
    assert_survives,
    coco_tiny,
    first_images,
    mutated_bytes,
    shapes_truth,
    without_crowds,
)

from thingstuff.data.formats import Source, WriteOptions, format_of
from thingstuff.data.formats.mask_folders import MASK_FOLDERS
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category, rle

MASK = np.zeros((8, 9), np.uint8)
MASK[1:3, 1:4] = 255


def picture(path, size=(9, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def mask(path, array=MASK, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).convert(mode).save(path)


def read(path, images=None, categories=None, **options):
    return MASK_FOLDERS.read(Source(path, images, categories, options))


def names_of(truth):
    return [image["file_name"] for image in truth.images]


# layouts


def test_a_folder_an_image(tmp_path):
    for name in ("b", "a", "c"):
        picture(tmp_path / name / "images" / f"{name}.png")
        mask(tmp_path / name / "masks/1.png")
    mask(tmp_path / "a/masks/0.png", MASK[::-1])
    (tmp_path / "c/masks/1.png").unlink()
    picture(tmp_path / "d/images/d.png")
    (tmp_path / "e/masks").mkdir(parents=True)
    truth = read(tmp_path)
    assert format_of("auto", tmp_path).name == "mask_folders"
    assert names_of(truth) == [f"{n}/images/{n}.png" for n in "abce"]
    assert truth.image_root == tmp_path
    assert truth.annotation_places == ["a/masks/0.png", "a/masks/1.png", "b/masks/1.png"]
    assert [note["image_id"] for note in truth.annotations] == [1, 1, 2]
    assert truth.images[0] == {"id": 1, "file_name": "a/images/a.png", "width": 9, "height": 8}
    assert "width" not in truth.images[3]
    assert any("left out: 1 images without a folder of masks, such as d" in note for note in truth.notes)
    assert truth.categories == [{"id": 1, "name": "object"}]
    assert read(tmp_path, tmp_path).images == truth.images


@pytest.mark.parametrize("start", ["", "masks"])
def test_images_beside_masks(tmp_path, start):
    picture(tmp_path / "images/a.jpg")
    picture(tmp_path / "images/sub/b.png")
    picture(tmp_path / "images/empty.jpg")
    picture(tmp_path / "images/unseen.jpg")
    mask(tmp_path / "masks/a/1.png")
    mask(tmp_path / "masks/sub/b/1.png", MASK[::-1])
    mask(tmp_path / "masks/lost/1.png")
    (tmp_path / "masks/empty").mkdir()
    truth = read(tmp_path / start)
    assert names_of(truth) == ["a.jpg", "empty.jpg", "lost.jpg", "sub/b.png"]
    assert [note["image_id"] for note in truth.annotations] == [1, 3, 4]
    assert truth.annotation_places[2] == "sub/b/1.png"
    assert truth.annotations[2]["bbox"] == [1, 5, 3, 2]
    assert any("left out: 1 of the images" in note for note in truth.notes)
    elsewhere = read(tmp_path / "masks", tmp_path / "images")
    assert elsewhere.annotations == truth.annotations


def test_masks_are_what_is_not_black(tmp_path):
    picture(tmp_path / "a/images/a.png")
    for number, mode in enumerate(("L", "1", "P", "RGB", "RGBA", "LA")):
        mask(tmp_path / f"a/masks/{number}.png", mode=mode)
    clear = np.dstack([MASK[::-1]] * 3 + [MASK[::-1]])
    clear[0] = (255, 255, 255, 0)  # white, and yet not to be seen
    Image.fromarray(clear).save(tmp_path / "a/masks/6.png")
    Image.fromarray(MASK.astype(np.uint16) * 3).save(tmp_path / "a/masks/7.png")
    masks = [rle.decode(note["segmentation"]) for note in read(tmp_path).annotations]
    for number, found in enumerate(masks):
        np.testing.assert_array_equal(found, (MASK[::-1] if number == 6 else MASK) != 0)


def test_sizes_are_left_to_the_checks(tmp_path):
    picture(tmp_path / "a/images/a.png", (30, 20))
    mask(tmp_path / "a/masks/1.png")
    mask(tmp_path / "a/masks/2.png", np.zeros((5, 5), np.uint8))
    truth = read(tmp_path)
    assert (truth.images[0]["width"], truth.images[0]["height"]) == (30, 20)
    assert [note["segmentation"]["size"] for note in truth.annotations] == [[8, 9], [5, 5]]
    assert (truth.annotations[1]["area"], truth.annotations[1]["bbox"]) == (0, [0, 0, 0, 0])


# classes


def test_classes_from_names_and_folders(tmp_path):
    picture(tmp_path / "p/images/a.jpg")
    mask(tmp_path / "p/masks/a/traffic_light_001.png")
    mask(tmp_path / "p/masks/a/cat_2.png")
    truth = read(tmp_path / "p", class_from="prefix")
    assert [c["name"] for c in truth.categories] == ["cat", "traffic_light"]
    assert [note["category_id"] for note in truth.annotations] == [1, 2]
    picture(tmp_path / "f/images/x/a.jpg")
    mask(tmp_path / "f/masks/x/a/cat/1.png")
    mask(tmp_path / "f/masks/x/a/dog/1.png")
    declared = Categories((Category(5, "dog"),))
    truth = read(tmp_path / "f", categories=declared, class_from="folder")
    assert names_of(truth) == ["x/a.jpg"]
    assert [note["category_id"] for note in truth.annotations] == ["cat", 5]
    picture(tmp_path / "d/a/images/a.jpg")
    mask(tmp_path / "d/a/masks/dog/1.png")
    assert [c["name"] for c in read(tmp_path / "d", class_from="folder").categories] == ["dog"]
    one = read(tmp_path / "p", categories=declared)
    assert {note["category_id"] for note in one.annotations} == {5}


# refusals


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="expected <name>/images and <name>/masks, or images and masks/<name>, found"):
        read(tmp_path)
    picture(tmp_path / "a/images/a.png")
    mask(tmp_path / "a/masks/cat/1.png")
    with pytest.raises(DataError, match=r"cat/1\.png: expected masks/\*\.png"):
        read(tmp_path)
    with pytest.raises(DataError, match="class_from: expected one of none, prefix, folder, got 'x'"):
        read(tmp_path, class_from="x")
    with pytest.raises(DataError, match="class_from: expected a text, got 3"):
        read(tmp_path, class_from=3)
    with pytest.raises(DataError, match="leave out `images`"):
        read(tmp_path, tmp_path / "a", class_from="folder")
    picture(tmp_path / "a/images/b.png")
    with pytest.raises(DataError, match=r"expected one image, found 2, b\.png among them"):
        read(tmp_path, class_from="folder")


def test_masks_side_by_side_that_cannot_be_paired(tmp_path):
    picture(tmp_path / "images/a.jpg")
    mask(tmp_path / "masks/cat/1.png")
    with pytest.raises(DataError, match=r"has the name of an image .*the first is cat\): say .* `class_from: folder`"):
        read(tmp_path)
    mask(tmp_path / "masks/1.png")
    with pytest.raises(DataError, match=r"masks/1\.png: expected it in <name>"):
        read(tmp_path)
    (tmp_path / "masks/1.png").unlink()
    mask(tmp_path / "masks/a/cat.png")
    with pytest.raises(DataError, match=r"a/cat\.png: expected a name such as cat_003\.png"):
        read(tmp_path, class_from="prefix")
    picture(tmp_path / "images/a.bmp")
    with pytest.raises(DataError, match=r"masks of both a\.bmp and a\.jpg"):
        read(tmp_path)
    two = Categories((Category(1, "x"), Category(2, "y")))
    (tmp_path / "images/a.bmp").unlink()
    with pytest.raises(DataError, match="2 categories, and nothing tells them apart: say by `class_from`"):
        read(tmp_path, categories=two)


def test_links_in_a_circle_end(tmp_path):
    picture(tmp_path / "images/a.jpg")
    mask(tmp_path / "masks/a/1.png")
    (tmp_path / "masks/a/loop").symlink_to(tmp_path / "masks")
    (tmp_path / "masks/._a.png").write_bytes(b"of another system")
    assert len(read(tmp_path).annotations) == 1


def test_damaged_files_are_refused_in_one_line_or_read(tmp_path):
    picture(tmp_path / "a/images/a.png")
    mask(tmp_path / "a/masks/1.png")
    path = tmp_path / "a/masks/1.png"
    assert_survives(lambda: read(tmp_path), path, mutated_bytes(path.read_bytes(), 400))
    mask(path)
    beside = {"categories": [{"id": 1, "name": "x"}], "class_from": "none"}
    assert_survives(lambda: read(tmp_path), tmp_path / "instances.json", mutated_files(beside, 200))


# real ones, and writing


def test_the_data_science_bowl(tmp_path):
    root = SHARED / "real/dsb2018_mini"
    if not root.is_dir():
        pytest.skip("../shared/data/real/dsb2018_mini is not there")
    train, val = read(root / "train"), read(root / "val")
    assert [len(train.images), len(val.images)] == [45, 15]
    assert len(train.annotations) + len(val.annotations) == 1688
    assert all(note["segmentation"]["size"] == [i["height"], i["width"]] for i, note in _with_images(val))
    assert_measured(val)


def _with_images(truth):
    images = {image["id"]: image for image in truth.images}
    return [(images[note["image_id"]], note) for note in truth.annotations]


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    written = without_crowds(shapes_truth(small_shapes))
    assert_round_trip(written, tmp_path / "out")


def test_real_instances_are_written_and_read_again(tmp_path):
    # each mask is a file, and each file is brought to the disk
    assert_round_trip(without_crowds(first_images(coco_tiny(), 12)), tmp_path / "out")


def assert_round_trip(written, folder):
    path = MASK_FOLDERS.write(written, folder, WriteOptions(copy_images=True))
    assert path == folder
    assert format_of("auto", path).name == "mask_folders"
    again = read(path)
    by_name = {image["file_name"]: image["id"] for image in again.images}
    assert by_name.keys() == {image["file_name"] for image in written.images}
    assert again.categories == Categories.from_coco(written.categories).to_coco()
    # masks are sorted by their names, which begin with the category
    names = {c["id"]: c["name"] for c in written.categories}
    notes = sorted(written.annotations, key=lambda note: names[note["category_id"]])
    if len(names) == 1:
        notes = written.annotations
    assert_same_masks(again, SplitTruth("", written.image_root, written.categories, written.images, notes))


def test_empty_images_stay_and_what_has_no_place_is_logged(tmp_path, caplog):
    picture(tmp_path / "from/a.jpg")
    image = {"id": 1, "file_name": "a.jpg", "width": 9, "height": 8}
    crowd = {"image_id": 1, "category_id": 4, "segmentation": rle.encode(MASK), "iscrowd": 1}
    truth = SplitTruth("made", tmp_path / "from", [{"id": 4, "name": "cell"}], [image], [crowd])
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = MASK_FOLDERS.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    assert "left out: 1 crowd regions, which mask_folders cannot hold" in caplog.text
    again = read(path)
    assert (names_of(again), again.annotations) == (["a.jpg"], [])
    assert again.categories[0]["name"] == "cell"


@pytest.mark.parametrize("name", ["a/b", ".hidden", "x" * 300, "a\0b"])
def test_names_that_no_file_can_have_are_refused(tmp_path, name):
    image = {"id": 1, "file_name": "a.jpg", "width": 9, "height": 8}
    note = {"image_id": 1, "category_id": 4, "segmentation": rle.encode(MASK)}
    categories = [{"id": 4, "name": name}, {"id": 5, "name": "y"}]
    truth = SplitTruth("made", tmp_path, categories, [image], [note])
    with pytest.raises(DataError, match=r"made: annotations\[0\]: the category .* cannot be part of a file name"):
        MASK_FOLDERS.write(truth, tmp_path / "out", WriteOptions())
