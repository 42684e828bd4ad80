"""Cutouts: exactly the mask's pixels, named by place and class, whole files."""

import cv2
import numpy as np
import pytest

from thingstuff.errors import DataError, UserError
from thingstuff.report.cutouts import cutouts, write_cutouts
from thingstuff.structures import Categories, Category, Detections, MaskCrops

CATEGORIES = Categories(
    (Category(7, "person"), Category(3, "traffic light"), Category(4, "../a:b/*?"), Category(5, "Bäume"))
)
IMAGE = np.random.default_rng(0).integers(1, 256, (20, 30, 3), np.uint8)


def found(bitmaps: np.ndarray, ids: list[int]) -> Detections:
    masks = MaskCrops.from_bitmaps(bitmaps)
    scores = np.full(len(ids), 0.5, np.float32)
    return Detections(masks, masks.boxes_xyxy.astype(np.float32), scores, np.array(ids, np.int64))


def bitmaps(count: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.zeros((count, height, width), bool)


def test_alpha_is_the_mask_and_the_rest_is_empty():
    masks = bitmaps(2)
    masks[0, 2:9, 5:11] = True
    masks[0, 4:6, 7:9] = False
    masks[1, 19, 29] = True
    (first, picture), (second, pixel) = cutouts(IMAGE, found(masks, [7, 3]), CATEGORIES)
    assert (first, second) == ("01_person.png", "02_traffic_light.png")
    inside = masks[0, 2:9, 5:11]
    np.testing.assert_array_equal(picture[..., 3], np.where(inside, 255, 0))
    np.testing.assert_array_equal(picture[..., :3], np.where(inside[..., None], IMAGE[2:9, 5:11], 0))
    assert picture.dtype == np.uint8
    assert pixel.tolist() == [[[*IMAGE[19, 29].tolist(), 255]]]


def test_a_crop_larger_than_its_mask_is_trimmed():
    crop = np.zeros((20, 30), np.uint8)
    crop[3:5, 4:9] = 1
    masks = MaskCrops((crop,), np.array([[0, 0, 30, 20]], np.int32), 20, 30)
    detections = Detections(masks, np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.array([7]))
    ((_, picture),) = cutouts(IMAGE, detections, CATEGORIES)
    np.testing.assert_array_equal(picture[..., :3], IMAGE[3:5, 4:9])


def test_empty_masks_give_nothing_and_keep_the_numbers():
    masks = bitmaps(3)
    masks[0, 0, 0] = masks[2, 1, 1] = True
    assert [name for name, _ in cutouts(IMAGE, found(masks, [7, 7, 7]), CATEGORIES)] == [
        "01_person.png",
        "03_person.png",
    ]
    assert list(cutouts(IMAGE, found(bitmaps(0), []), CATEGORIES)) == []


def test_names_are_safe_and_sort_by_place():
    masks = bitmaps(100)
    masks[:, 0, 0] = True
    names = [name for name, _ in cutouts(IMAGE, found(masks, [4, 5] * 50), CATEGORIES)]
    assert names[:2] == ["001_a_b.png", "002_Bäume.png"] and names == sorted(names) and len(set(names)) == 100


@pytest.mark.parametrize(
    ("name", "safe"), [("...", "object"), ("日本", "日本"), ("a" * 300, "a" * 60), ("a\n b", "a_b")]
)
def test_difficult_class_names(name, safe):
    masks = bitmaps(1)
    masks[0, 0, 0] = True
    (file, _), *_ = cutouts(IMAGE, found(masks, [1]), Categories((Category(1, name),)))
    assert file == f"01_{safe}.png"


def test_files_are_what_was_cut_out(tmp_path):
    masks = bitmaps(2)
    masks[0, 2:9, 5:11] = masks[1, 10:, 20:] = True
    detections = found(masks, [7, 3])
    paths = write_cutouts(tmp_path / "new" / "street", IMAGE, detections, CATEGORIES)
    assert sorted((tmp_path / "new" / "street").iterdir()) == paths
    for path, (_, picture) in zip(paths, cutouts(IMAGE, detections, CATEGORIES), strict=True):
        np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), picture)


def test_the_image_is_not_touched():
    before, masks = IMAGE.copy(), bitmaps(1)
    masks[0, :5] = True
    list(cutouts(IMAGE, found(masks, [7]), CATEGORIES))
    np.testing.assert_array_equal(IMAGE, before)


def test_boxes_alone_are_refused():
    boxes = Detections(None, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), 20, 30)
    with pytest.raises(UserError, match="masks"):
        list(cutouts(IMAGE, boxes, CATEGORIES))


@pytest.mark.parametrize("image", [IMAGE[:-1], IMAGE[..., 0], IMAGE.astype(np.float32)])
def test_another_image_is_refused(image):
    with pytest.raises(DataError, match="expected an image"):
        list(cutouts(image, found(bitmaps(0), []), CATEGORIES))
