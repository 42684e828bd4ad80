"""The same picture twice in a split, or in two splits."""

import shutil
from dataclasses import replace

import cv2
import pytest
from PIL import Image
from planted import added, changed, found, sound_splits, the_only

from thingstuff.data.checks.duplicate_images import DUPLICATE_IMAGES


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def test_a_sound_data_set_has_none(splits):
    assert found(DUPLICATE_IMAGES, splits) == found(DUPLICATE_IMAGES, splits, is_quick=True) == []


def with_more(splits, split, name):
    return {**splits, split: added(splits[split], "images", id=99, file_name=name, width=40, height=64)}


def test_the_same_pixels_twice_in_a_split(splits, tmp_path):
    """In another format, which has other bytes."""
    cv2.imwrite(str(tmp_path / "train/copy.bmp"), cv2.imread(str(tmp_path / "train/train_1.png")))
    more = with_more(splits, "train", "copy.bmp")
    finding = the_only(DUPLICATE_IMAGES, more, "image-duplicate")
    assert (finding.split, finding.place) == ("train", "train.json: images[3]")
    assert finding.message == "'copy.bmp' has the same pixels as 'train_1.png' (train.json: images[1])"
    assert found(DUPLICATE_IMAGES, more, is_quick=True) == []


def test_one_pixel_makes_another_image(splits, tmp_path):
    image = cv2.imread(str(tmp_path / "train/train_1.png"))
    image[-1, -1, 0] ^= 1
    cv2.imwrite(str(tmp_path / "train/copy.png"), image)
    assert found(DUPLICATE_IMAGES, with_more(splits, "train", "copy.png")) == []


def test_the_same_numbers_in_another_shape_are_another_image(splits, tmp_path):
    for name, size in (("a.png", (20, 30)), ("b.png", (30, 20))):
        Image.new("RGB", size).save(tmp_path / "train" / name)
    assert found(DUPLICATE_IMAGES, with_more(with_more(splits, "train", "a.png"), "train", "b.png")) == []


def test_one_file_named_twice_is_left_to_the_names(splits):
    assert found(DUPLICATE_IMAGES, with_more(splits, "train", "./train_1.png")) == []


def test_the_same_pixels_in_two_splits(splits, tmp_path):
    shutil.copy(tmp_path / "train/train_1.png", tmp_path / "val/other.png")
    more = with_more(splits, "val", "other.png")
    finding = the_only(DUPLICATE_IMAGES, more, "image-leak")
    assert (finding.split, finding.place) == ("val", "val.json: images[3]")
    assert finding.message == "'other.png' has the same pixels as 'train_1.png' of train"
    assert found(DUPLICATE_IMAGES, more, is_quick=True) == []


@pytest.mark.parametrize("is_quick", [False, True])
def test_the_same_file_in_two_splits(splits, tmp_path, is_quick):
    """Told without opening it, and not a second time because of its pixels."""
    both = {
        "train": replace(splits["train"], image_root=tmp_path),
        "val": replace(splits["val"], image_root=tmp_path),
    }
    for split, truth in both.items():
        for number, image in enumerate(truth.images):
            both[split] = changed(both[split], "images", number, file_name=f"{split}/{image['file_name']}")
    assert found(DUPLICATE_IMAGES, both, is_quick) == []
    leak = with_more(both, "val", "val/../train/train_1.png")
    finding = the_only(DUPLICATE_IMAGES, leak, "image-leak", is_quick)
    assert finding.message == "'val/../train/train_1.png' is the same file as 'train/train_1.png' of train"


def test_a_leak_through_a_link(splits, tmp_path):
    root = {name: replace(split, image_root=tmp_path / name) for name, split in splits.items()}
    (tmp_path / "val_link").symlink_to(tmp_path / "train")
    root["val"] = replace(splits["train"], name="val.json", image_root=tmp_path / "val_link")
    findings = found(DUPLICATE_IMAGES, root, is_quick=True)
    assert [f.code.name for f in findings] == ["image-leak"] * 3


def test_a_damaged_or_missing_file_is_like_no_other(splits, tmp_path):
    for name in ("train/train_1.png", "train/train_2.png", "val/val_1.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "val/val_2.png").unlink()
    assert found(DUPLICATE_IMAGES, splits) == []


def test_three_splits_and_twins_within(splits, tmp_path):
    """Of a picture that train has once and val twice: two leaks, and one duplicate within val."""
    for name in ("a.png", "b.png"):
        shutil.copy(tmp_path / "train/train_1.png", tmp_path / "val" / name)
    more = with_more(with_more(splits, "val", "a.png"), "val", "b.png")
    codes = sorted((f.code.name, f.place) for f in found(DUPLICATE_IMAGES, more))
    leaks = [("image-leak", "val.json: images[3]"), ("image-leak", "val.json: images[4]")]
    assert codes == [("image-duplicate", "val.json: images[4]"), *leaks]
