"""Detections: order, choice and COCO records."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as oracle

from thingstuff.errors import DataError
from thingstuff.structures import Detections, MaskCrops

BOXES = np.array([[0, 0, 4, 3], [1, 1, 2.5, 3], [0.25, 0, 6, 5]], np.float32)
SCORES = np.array([0.5, 0.75, 0.5], np.float32)
IDS = np.array([7, 3, 90], np.int64)


def bitmaps():
    return np.random.default_rng(0).random((3, 5, 6)) < 0.4


def with_masks():
    return Detections(MaskCrops.from_bitmaps(bitmaps()), BOXES, SCORES, IDS)


def boxes_only():
    return Detections(None, BOXES, SCORES, IDS, 5, 6)


def test_the_size_is_that_of_the_masks():
    assert (with_masks().height, with_masks().width) == (5, 6)
    assert (boxes_only().height, boxes_only().width) == (5, 6)


@pytest.mark.parametrize("detections", [with_masks(), boxes_only()])
def test_sorting_is_descending_and_keeps_ties_in_order(detections):
    assert detections.by_score().category_ids.tolist() == [3, 7, 90]
    assert detections.category_ids.tolist() == [7, 3, 90]


def test_many_ties_keep_their_order():
    rng = np.random.default_rng(1)
    scores = rng.choice([0.25, 0.5, 0.75], 300).astype(np.float32)
    detections = Detections(None, np.zeros((300, 4), np.float32), scores, np.arange(300), 5, 6)
    expected = sorted(range(300), key=lambda row: -scores[row])
    assert detections.by_score().category_ids.tolist() == expected


def test_threshold_is_inclusive():
    assert with_masks().above(0.5).category_ids.tolist() == [7, 3, 90]
    assert with_masks().above(0.50001).category_ids.tolist() == [3]
    assert len(with_masks().above(1)) == 0


def test_indexing_takes_every_column():
    picked = with_masks()[[2, 0]]
    np.testing.assert_array_equal(picked.masks.to_bitmaps(), bitmaps()[[2, 0]])
    np.testing.assert_array_equal(picked.boxes_xyxy, BOXES[[2, 0]])
    np.testing.assert_array_equal(picked.scores, SCORES[[2, 0]])
    assert picked.category_ids.tolist() == [90, 7] and (picked.height, picked.width) == (5, 6)
    assert boxes_only()[:1].masks is None and boxes_only()[:1].width == 6


def test_coco_records():
    records = json.loads(json.dumps(with_masks().to_coco(42)))
    assert [r["image_id"] for r in records] == [42, 42, 42]
    assert [r["category_id"] for r in records] == [7, 3, 90]
    assert [r["bbox"] for r in records] == [[0, 0, 4, 3], [1, 1, 1.5, 2], [0.25, 0, 5.75, 5]]
    assert [r["score"] for r in records] == [0.5, 0.75, 0.5]
    for record, bitmap in zip(records, bitmaps(), strict=True):
        np.testing.assert_array_equal(oracle.decode(record["segmentation"]), bitmap)
    assert all("segmentation" not in r for r in boxes_only().to_coco("a.jpg"))


@pytest.mark.parametrize("detections", [with_masks(), boxes_only(), with_masks()[[]]])
def test_coco_records_round_trip(detections):
    read = Detections.from_coco(detections.to_coco(1), 5, 6)
    assert read.to_coco(1) == detections.to_coco(1)
    assert (read.masks is None) == (detections.masks is None)


def test_a_missing_box_is_that_of_the_mask():
    records = [{k: v for k, v in r.items() if k != "bbox"} for r in with_masks().to_coco(1)]
    read = Detections.from_coco(records, 5, 6)
    np.testing.assert_array_equal(read.boxes_xyxy, MaskCrops.from_bitmaps(bitmaps()).boxes_xyxy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, "detection 1: expected category_id and score"),
        ({"category_id": None}, "detection 1: expected category_id and score"),
        ({"segmentation": None}, "in all records or in none"),
        ({"bbox": [1, 2, 3]}, "expected a bbox of 4 numbers"),
    ],
)
def test_incomplete_records_are_refused(change, message):
    records = with_masks().to_coco(1)
    records[1] = {key: value for key, value in (records[1] | change).items() if value is not None}
    with pytest.raises(DataError, match=message):
        Detections.from_coco(records, 5, 6)


def test_a_damaged_mask_is_named():
    records = with_masks().to_coco(1)
    for segmentation, message in [
        ({"size": [5, 6], "counts": "0"}, "mask 2: RLE: expected runs of 5 x 6 = 30 pixels, got 0"),
        ({"size": [6, 5], "counts": [30]}, r"mask 2: expected an RLE of size \[5, 6\], got \[6, 5\]"),
        ([[0, 0, 1, 1]], "mask 2: polygon: expected x, y of 3 corners"),
        (None, "mask 2: polygons: expected a list of lists, got NoneType"),
    ]:
        with pytest.raises(DataError, match=message):
            Detections.from_coco([*records[:2], records[2] | {"segmentation": segmentation}], 5, 6)


def test_a_record_with_neither_box_nor_mask_is_refused():
    with pytest.raises(DataError, match="expected a bbox or a segmentation"):
        Detections.from_coco([{"category_id": 1, "score": 1}], 5, 6)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((None, BOXES, SCORES, IDS), "expected height and width"),
        (
            (None, BOXES[:2], SCORES, IDS, 5, 6),
            r"boxes: .* of shape \(3, 4\), got float32 of shape \(2, 4\)",
        ),
        ((None, BOXES.astype(np.float64), SCORES, IDS, 5, 6), "got float64"),
        ((None, BOXES, SCORES.astype(np.float64), IDS, 5, 6), "scores: expected float32 .* got float64"),
        ((None, BOXES, SCORES, IDS.astype(np.int32), 5, 6), "category ids: expected int64 .* got int32"),
        ((None, BOXES, SCORES, IDS[:1], 5, 6), "category ids"),
        ((None, BOXES, np.array([0, np.nan, 1], np.float32), IDS, 5, 6), "scores: .* got nan in row 1"),
        ((None, np.full((3, 4), np.inf, np.float32), SCORES, IDS, 5, 6), "boxes: expected finite numbers"),
        ((MaskCrops.from_rles([], 5, 6), BOXES, SCORES, IDS), "expected 3 masks, one a score, got 0"),
        ((MaskCrops.from_bitmaps(bitmaps()), BOXES, SCORES, IDS, 6, 5), r"\(5, 6\), got \(6, 5\)"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns, message):
    with pytest.raises(DataError, match=message):
        Detections(*columns)
