"""The scenes that the AP measurement runs on, and its judgement of equality."""

from __future__ import annotations

import argparse
import math

import pytest

from thingstuff.benchmark import mask_ap
from thingstuff.benchmark.coco_scenes import CATEGORIES, HEIGHT, WIDTH, random_coco
from thingstuff.errors import ConfigError


def test_scenes_are_those_of_their_seed():
    assert random_coco(3, 4, seed=1) == random_coco(3, 4, seed=1)
    assert random_coco(3, 4, seed=1) != random_coco(3, 4, seed=2)


def test_scenes_are_valid_coco():
    truth, detections = random_coco(20, 7, seed=0)
    assert [a["id"] for a in truth["annotations"]] == list(range(1, len(truth["annotations"]) + 1))
    for record in truth["annotations"] + detections:
        assert 1 <= record["image_id"] <= 20
        assert 1 <= record["category_id"] <= CATEGORIES
        x, y, width, height = record["bbox"]
        assert 0 <= x <= x + width <= WIDTH
        assert 0 <= y <= y + height <= HEIGHT
    for found in detections:
        assert found["segmentation"]["size"] == [HEIGHT, WIDTH]


@pytest.mark.parametrize("objects", [7, 0.01], ids=["some", "almost none"])
def test_cases_are_equal(objects):
    cases = mask_ap.MEASUREMENT.cases(argparse.Namespace(images=4, objects=objects, seed=3))
    for case in cases:
        assert case.equal(case.ours(), case.theirs())


def test_equality_has_a_tolerance_and_knows_what_is_undefined():
    assert mask_ap._same_numbers([0.5, math.nan], [0.5 + 1e-13, -1])
    assert not mask_ap._same_numbers([0.5], [0.5 + 1e-9])
    assert not mask_ap._same_numbers([0.0], [-1])
    assert not mask_ap._same_numbers([math.nan], [0.5])


@pytest.mark.parametrize(("images", "objects"), [(0, 7), (4, 0)])
def test_nothing_to_measure_is_refused(images, objects):
    with pytest.raises(ConfigError, match="--images and --objects must be above 0"):
        next(mask_ap.MEASUREMENT.cases(argparse.Namespace(images=images, objects=objects, seed=0)))
