"""The scenes that AP is measured on: valid, repeatable, and as heavy as a detector's output on COCO."""

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from thingstuff.benchmark.coco_scenes import CATEGORIES, HEIGHT, MOST_DETECTIONS, WIDTH, random_coco


@pytest.fixture(scope="module")
def many():
    return random_coco(300, 7, seed=0)


def test_scenes_are_those_of_their_seed():
    assert random_coco(3, 4, seed=1) == random_coco(3, 4, seed=1)
    assert random_coco(3, 4, seed=1) != random_coco(3, 4, seed=2)


def test_scenes_are_valid_coco(many):
    truth, detections = many
    assert [a["id"] for a in truth["annotations"]] == list(range(1, len(truth["annotations"]) + 1))
    for record in truth["annotations"] + detections:
        assert 1 <= record["image_id"] <= 300
        assert 1 <= record["category_id"] <= CATEGORIES
        x, y, width, height = record["bbox"]
        assert 0 <= x <= x + width <= WIDTH + 1e-9
        assert 0 <= y <= y + height <= HEIGHT + 1e-9
    assert all(found["segmentation"]["size"] == [HEIGHT, WIDTH] for found in detections)


def test_areas_are_those_of_the_masks(many):
    for annotation in many[0]["annotations"][:50]:
        mask = annotation["segmentation"]
        rle = mask if annotation["iscrowd"] else mask_utils.frPyObjects(mask, HEIGHT, WIDTH)[0]
        assert annotation["area"] == mask_utils.area(rle)


def test_scenes_are_as_heavy_as_coco(many):
    truth, detections = many
    counts = np.bincount([d["image_id"] for d in detections], minlength=301)[1:]
    assert 55 < counts.mean() < 65
    assert counts.max() == MOST_DETECTIONS
    assert 6 < len(truth["annotations"]) / 300 < 8
    areas = np.array([a["area"] for a in truth["annotations"]])
    assert all(0.1 < share < 0.6 for share in ((areas < 32**2).mean(), (areas > 96**2).mean()))
    assert 0 < sum(a["iscrowd"] for a in truth["annotations"]) < 0.05 * len(areas)


def test_the_best_are_kept_and_some_scores_are_equal(many):
    first = [d["score"] for d in many[1] if d["image_id"] == 1]
    assert first == sorted(first, reverse=True)
    scores = [d["score"] for d in many[1]]
    assert len(set(scores)) < 0.9 * len(scores)
    assert any(score != round(score, 2) for score in scores)


def test_almost_nothing_to_see():
    truth, detections = random_coco(3, 0.001, seed=0)
    assert truth["annotations"] == []
    assert {d["image_id"] for d in detections} == {1, 2, 3}
