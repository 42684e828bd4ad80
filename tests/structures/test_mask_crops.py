"""MaskCrops against bitmaps and pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as oracle

from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops


def random_bitmaps(rng, number=None):
    height, width = rng.integers(1, 15, 2)
    number = rng.integers(0, 6) if number is None else number
    bitmaps = np.zeros((number, height, width), bool)
    for bitmap in bitmaps:
        x0, x1 = np.sort(rng.integers(0, width + 1, 2))
        y0, y1 = np.sort(rng.integers(0, height + 1, 2))
        bitmap[y0:y1, x0:x1] = rng.random((y1 - y0, x1 - x0)) < rng.choice([0.1, 0.6, 1])
    return bitmaps


def oracle_rles(bitmaps):
    records = [oracle.encode(np.asfortranarray(bitmap.astype(np.uint8))) for bitmap in bitmaps]
    return [{"size": list(r["size"]), "counts": r["counts"].decode()} for r in records]


def boxes(*rows):
    return np.array(rows, np.int32).reshape(-1, 4)


def test_bitmaps_and_rles_round_trip():
    rng = np.random.default_rng(0)
    for _ in range(200):
        bitmaps = random_bitmaps(rng)
        from_bitmaps = MaskCrops.from_bitmaps(bitmaps)
        from_rles = MaskCrops.from_rles(oracle_rles(bitmaps), *bitmaps.shape[1:])
        for masks in (from_bitmaps, from_rles, from_bitmaps.tight()):
            np.testing.assert_array_equal(masks.to_bitmaps(), bitmaps)
            assert masks.to_rles() == oracle_rles(bitmaps)
            np.testing.assert_array_equal(masks.areas_px(), bitmaps.sum(axis=(1, 2)))
            for number, bitmap in enumerate(bitmaps):
                np.testing.assert_array_equal(masks.bitmap(number), bitmap)
        np.testing.assert_array_equal(from_bitmaps.boxes_xyxy, from_rles.boxes_xyxy)
        expected = [oracle.toBbox(record).tolist() for record in oracle_rles(bitmaps)]
        assert from_bitmaps.bboxes_xywh().tolist() == expected


def test_loose_boxes_give_the_same_masks_and_tight_boxes():
    bitmap = np.zeros((6, 8), np.uint8)
    bitmap[2:4, 3:7] = 1
    whole = MaskCrops((bitmap, np.zeros((6, 8), np.uint8)), boxes([0, 0, 8, 6], [0, 0, 8, 6]), 6, 8)
    assert whole.bboxes_xywh().tolist() == [[3, 2, 4, 2], [0, 0, 0, 0]]
    tight = whole.tight()
    assert tight.boxes_xyxy.tolist() == [[3, 2, 7, 4], [0, 0, 0, 0]]
    assert [crop.shape for crop in tight.crops] == [(2, 4), (0, 0)]
    assert tight.to_rles() == whole.to_rles()


def test_trusted_crops_are_the_same_masks_unchecked():
    masks = MaskCrops.from_bitmaps(random_bitmaps(np.random.default_rng(4), number=5))
    trusted = MaskCrops.trusted(masks.crops, masks.boxes_xyxy, masks.height, masks.width)
    assert trusted.to_rles() == masks.to_rles() == trusted[::-1][::-1].to_rles()
    assert MaskCrops.trusted(masks.crops, masks.boxes_xyxy, 0, 0).height == 0  # which the constructor refuses


@pytest.mark.parametrize("order", ["C", "F", "reversed", "every second", "read-only"])
def test_bitmaps_in_any_layout(order):
    bitmaps = random_bitmaps(np.random.default_rng(5), number=6)
    if order == "read-only":
        bitmaps.flags.writeable = False
    layouts = {
        "F": np.asfortranarray(bitmaps),
        "reversed": bitmaps[:, ::-1, ::-1],
        "every second": bitmaps[:, ::2, ::2],
    }
    given = layouts.get(order, bitmaps)
    for dtype in (bool, np.uint8):
        masks = MaskCrops.from_bitmaps(given.astype(dtype, order="K"))
        np.testing.assert_array_equal(masks.to_bitmaps(), given)
        assert masks.boxes_xyxy.dtype == np.int32


@pytest.mark.parametrize("shape", [(0, 0, 0), (2, 0, 5), (2, 5, 0), (3, 1, 1)])
def test_bitmaps_without_pixels_give_empty_crops(shape):
    masks = MaskCrops.from_bitmaps(np.zeros(shape, bool))
    assert [crop.shape for crop in masks.crops] == [(0, 0)] * shape[0]
    np.testing.assert_array_equal(masks.boxes_xyxy, np.zeros((shape[0], 4)))


def test_crops_do_not_share_memory_with_the_bitmaps():
    bitmaps = np.ones((1, 3, 3), bool)
    masks = MaskCrops.from_bitmaps(bitmaps)
    bitmaps[:] = False
    assert masks.areas_px().tolist() == [9]


def test_values_above_one_in_a_bitmap_are_inside():
    bitmaps = np.array([[[0, 255], [7, 0]]], np.uint8)
    assert MaskCrops.from_bitmaps(bitmaps).crops[0].tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("rows", "picked"),
    [
        (slice(None, None, -1), [3, 2, 1, 0]),
        (slice(1, 3), [1, 2]),
        (np.array([3, 0, 3]), [3, 0, 3]),
        ([-1], [3]),
        ([], []),
        (np.array([True, False, False, True]), [0, 3]),
        (np.zeros(4, bool), []),
    ],
)
def test_indexing_picks_the_masks(rows, picked):
    bitmaps = random_bitmaps(np.random.default_rng(1), number=4)
    np.testing.assert_array_equal(MaskCrops.from_bitmaps(bitmaps)[rows].to_bitmaps(), bitmaps[picked])


def test_indexing_refuses_what_is_no_list_of_rows():
    masks = MaskCrops.from_bitmaps(np.ones((2, 3, 3), bool))
    with pytest.raises(TypeError, match="1-dimensional"):
        masks[0]
    with pytest.raises(IndexError):
        masks[[2]]
    with pytest.raises(IndexError):
        masks[np.array([True])]


def test_iterating_gives_crops_and_boxes_that_build_it_again():
    bitmaps = random_bitmaps(np.random.default_rng(2), number=3)
    masks = MaskCrops.from_bitmaps(bitmaps)
    assert [box for _, box in masks] == [tuple(box) for box in masks.boxes_xyxy.tolist()]
    np.testing.assert_array_equal(MaskCrops.from_boxes(masks, *bitmaps.shape[1:]).to_bitmaps(), bitmaps)


def test_no_masks():
    for masks in (MaskCrops.from_bitmaps(np.zeros((0, 4, 5), bool)), MaskCrops.from_rles([], 4, 5)):
        assert len(masks) == 0 and masks.to_rles() == [] and masks.to_bitmaps().shape == (0, 4, 5)
        assert masks.areas_px().shape == (0,) and masks.bboxes_xywh().shape == (0, 4)


def random_polygon(rng, size):
    corners = rng.random(2 * rng.integers(3, 9)) * rng.choice([0.5, 1, 2]) * size - rng.choice([0, 0.3]) * size
    return corners.round(rng.integers(0, 4)).tolist()


def test_polygons_equal_pycocotools():
    rng = np.random.default_rng(3)
    filled = 0
    for _ in range(500):
        height, width = (int(n) for n in rng.integers(1, 40, 2))
        instances = [[random_polygon(rng, 40) for _ in range(rng.integers(1, 4))] for _ in range(2)]
        masks = MaskCrops.from_polygons(instances, height, width)
        for written, polygons in zip(masks.to_rles(), instances, strict=True):
            expected = oracle.merge(oracle.frPyObjects(polygons, height, width))
            assert written["counts"] == expected["counts"].decode()
            filled += int(oracle.area(expected)) > 0
    assert filled > 500


@pytest.mark.parametrize(
    "polygon",
    [
        [0, 0, 9, 0, 9, 9, 0, 9],
        [-5, -5, 50, -5, 50, 50, -5, 50],
        [2, 2, 2, 2, 2, 2],
        [2, 2, 7, 2, 2, 2],
        [2, 2, 2, 2, 7.5, 2, 7.5, 8, 2, 8],
        [3, 1, 3, 8, 3.4, 8, 3.4, 1],
        [0, 0, 9, 9, 9, 0, 0, 9],
        [-20, 3, -10, 3, -10, 9],
    ],
)
def test_odd_polygons_equal_pycocotools(polygon):
    expected = oracle.merge(oracle.frPyObjects([[float(n) for n in polygon]], 9, 9))
    assert MaskCrops.from_polygons([[polygon]], 9, 9).to_rles()[0]["counts"] == expected["counts"].decode()


def test_no_polygon_is_an_empty_mask():
    assert MaskCrops.from_polygons([[]], 4, 5).areas_px().tolist() == [0]


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([0, 0, 1, 1], "3 corners or more"),
        ([0, 0, 1, 1, 2, 2, 3], "3 corners or more"),
        ([[0, 0], [1, 1], [2, 2]], "in one list"),
        ([0, 0, "a", 1, 2, 2], "polygon: expected numbers"),
        ([0, 0, 1, float("nan"), 2, 2], "within 1000000 pixels"),
        ([0, 0, 1, 1e9, 2, 2], "within 1000000 pixels"),
    ],
)
def test_bad_polygons_are_refused(polygon, message):
    with pytest.raises(DataError, match=message):
        MaskCrops.from_polygons([[polygon]], 9, 9)


def test_coco_segmentations_may_mix_polygons_and_rles():
    polygon = [1.0, 1.0, 6.0, 1.0, 6.0, 6.0]
    record = oracle.merge(oracle.frPyObjects([polygon], 9, 8))
    first, second = MaskCrops.from_coco([[polygon], record], 9, 8).to_rles()
    assert first == second and first["counts"] == record["counts"].decode()


ONE = (np.ones((2, 3), np.uint8),)


@pytest.mark.parametrize(
    ("crops", "box", "message"),
    [
        (ONE, boxes([0, 0, 2, 3]), r"mask crop 0, box \[0, 0, 2, 3\]: expected uint8 of shape \(3, 2\)"),
        (ONE, boxes([0, 0, 3, 2], [0, 0, 3, 2]), r"expected int32 of shape \(1, 4\), got int32 of shape \(2, 4\)"),
        (ONE, boxes([0, 0, 3, 2]).astype(np.int64), "expected int32 .* got int64"),
        (ONE, boxes([-1, 0, 2, 2]), "inside 6 x 5, got"),
        (ONE, boxes([4, 0, 7, 2]), "inside 6 x 5, got"),
        (ONE, boxes([0, 4, 3, 6]), "inside 6 x 5, got"),
        (ONE, boxes([3, 0, 0, 2]), "inside 6 x 5, got"),
        ((np.ones((2, 3), bool),), boxes([0, 0, 3, 2]), "expected uint8 .* got bool"),
        ((np.full((2, 3), 255, np.uint8),), boxes([0, 0, 3, 2]), "expected values 0 and 1, got 255"),
        (([[1]],), boxes([0, 0, 1, 1]), "got list"),
    ],
)
def test_bad_crops_are_refused(crops, box, message):
    with pytest.raises(DataError, match=message):
        MaskCrops(crops, box, 5, 6)


def test_crops_without_pixels_are_fine_anywhere_inside():
    masks = MaskCrops((np.zeros((0, 3), np.uint8), np.zeros((2, 0), np.uint8)), boxes([3, 5, 6, 5], [6, 0, 6, 2]), 5, 6)
    assert masks.areas_px().tolist() == [0, 0] and not masks.to_bitmaps().any()
    assert masks.to_rles() == oracle_rles(np.zeros((2, 5, 6), bool))


def test_wrong_sizes_and_types_are_refused():
    with pytest.raises(DataError, match=r"mask 1: expected an RLE of size \[4, 5\], got \[5, 4\]"):
        MaskCrops.from_rles([{"size": [4, 5], "counts": [20]}, {"size": [5, 4], "counts": [20]}], 4, 5)
    with pytest.raises(DataError, match="got float64"):
        MaskCrops.from_bitmaps(np.zeros((1, 4, 5)))
    with pytest.raises(DataError, match=r"got bool of shape \(4, 5\)"):
        MaskCrops.from_bitmaps(np.zeros((4, 5), bool))
