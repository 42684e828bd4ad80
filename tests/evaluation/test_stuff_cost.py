"""Mean IoU of a raw stuff map and of the panoptic map made of it, by formulas written out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from thingstuff.errors import DataError
from thingstuff.evaluation.stuff_cost import StuffImage, stuff_cost
from thingstuff.structures import VOID, Categories, Category, PanopticMap

CAT, SKY, SEA = 7, 40, 3
CATEGORIES = Categories((Category(CAT, "cat"), Category(SKY, "sky", False), Category(SEA, "sea", False)))
THINGS, IS_SKY, IS_SEA, IGNORED = 0, 1, 2, 255


def image(image_id, stuff, panoptic, truth):
    """`panoptic`: 1 is a cat, 2 the sky, 3 the sea, 0 void."""
    ids = np.array([panoptic], np.uint32)
    present = {number: c for number, c in {1: CAT, 2: SKY, 3: SEA}.items() if number in panoptic}
    found = PanopticMap.from_labels(ids, present, CATEGORIES)
    return StuffImage(image_id, np.array([stuff], np.uint16), found, np.array([truth], np.uint8))


ONE = image(
    1,
    stuff=[THINGS, IS_SKY, IS_SKY, IS_SEA, VOID, IS_SEA],
    panoptic=[1, 1, 2, 0, 0, 3],
    truth=[THINGS, THINGS, IS_SKY, IS_SEA, IS_SKY, IGNORED],
)
OTHER = image(2, stuff=[IS_SEA, IS_SEA], panoptic=[3, 0], truth=[IS_SEA, IS_SKY])


def test_the_raw_map_and_the_merged_one_are_counted_over_all_images():
    """Intersections over unions, pixel by pixel. Label 0 and an instance mean things; void is missed in both."""
    cost = stuff_cost([ONE, OTHER], CATEGORIES)
    assert cost.image_ids == (1, 2)
    assert cost.raw_scores.iou == pytest.approx({"things": 1 / 2, "sky": 1 / 4, "sea": 2 / 3})
    assert cost.panoptic_scores.iou == pytest.approx({"things": 2 / 2, "sky": 1 / 3, "sea": 1 / 2})
    expected = (1 + 1 / 3 + 1 / 2) / 3 - (1 / 2 + 1 / 4 + 2 / 3) / 3
    assert cost.interval.value == pytest.approx(expected)
    assert cost.panoptic_scores.numbers["mIoU"] - cost.raw_scores.numbers["mIoU"] == pytest.approx(expected)


def test_every_class_has_its_own_difference():
    cost = stuff_cost([ONE, OTHER], CATEGORIES)
    expected = {"things": 2 / 2 - 1 / 2, "sky": 1 / 3 - 1 / 4, "sea": 1 / 2 - 2 / 3}
    assert {name: found.value for name, found in cost.class_intervals.items()} == pytest.approx(expected)


def test_a_gain_in_every_image_is_a_better_one():
    better = image(1, stuff=[IS_SEA, IS_SKY], panoptic=[1, 2], truth=[THINGS, IS_SKY])
    cost = stuff_cost([replace(better, image_id=number) for number in range(8)], CATEGORIES, draws=50)
    assert (cost.interval.value, cost.interval.low, cost.interval.high) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert cost.interval.verdict == "better"


def test_another_ignore_label_and_truth_that_says_nothing():
    unlabelled = image(1, stuff=[IS_SKY], panoptic=[2], truth=[9])
    assert math.isnan(stuff_cost([unlabelled], CATEGORIES, 9).interval.value)
    with pytest.raises(DataError, match=r"image 1: the truth holds the label 9, expected 0\.\.\.2 and 255"):
        stuff_cost([unlabelled], CATEGORIES)


def test_what_has_no_cost_is_refused():
    with pytest.raises(DataError, match="image 1 has no stuff map: predict with PANOPTIC.ENABLED True"):
        stuff_cost([replace(ONE, stuff_map=None)], CATEGORIES)
    with pytest.raises(DataError, match="image 1 has no panoptic map"):
        stuff_cost([replace(ONE, panoptic=None)], CATEGORIES)
    with pytest.raises(DataError, match="image 1 is there twice"):
        stuff_cost([ONE, ONE], CATEGORIES)
    with pytest.raises(DataError, match="there is no image, so nothing was merged"):
        stuff_cost([], CATEGORIES)
    with pytest.raises(DataError, match=r"image 2: the prediction has shape \(1, 2\), but the truth has \(1, 6\)"):
        stuff_cost([replace(OTHER, truth=ONE.truth)], CATEGORIES)
