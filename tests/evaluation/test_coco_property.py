"""All of COCO's numbers equal pycocotools' on random data: ties, crowds, empty images, categories without truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from coco_scenes import NAMES, SIDE, random_scene, run_pycocotools

from thingstuff.evaluation import evaluate_coco
from thingstuff.evaluation.coco_ap import CocoOptions

SETS = 70  # of each kind
TOLERANCE = 1e-12


def hard_scene(seed, iou_type):
    """A random scene that is made harder in a way that the seed chooses; its images, all or some, come with it."""
    rng = np.random.default_rng([seed, 7])
    crowd_share, largest = rng.choice([0, 0.2, 0.6]), rng.choice([20, 60, SIDE])
    truth, results = random_scene(seed, iou_type, crowd_share, largest)
    way = seed % 7
    if way == 1:
        results = [{**r, "score": 0.5} for r in results]  # nothing but ties
    if way == 2:
        truth["annotations"] = [a for a in truth["annotations"] if a["category_id"] != truth["categories"][0]["id"]]
    if way == 3:
        empty = truth["images"][0]["id"]
        truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] != empty]
        results = [r for r in results if r["image_id"] != truth["images"][1]["id"]]
    if way == 4:
        results = results + [results[i] for i in rng.integers(0, len(results), len(results))]  # the same, twice
    if way == 5:
        truth["annotations"] = [{**a, "iscrowd": 1} for a in truth["annotations"]]
    image_ids = [i["id"] for i in truth["images"]]
    chosen = rng.choice(image_ids, rng.integers(1, 5), replace=False).tolist() if seed % 2 else None
    return truth, results, chosen


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
def test_numbers_equal_pycocotools(iou_type, backend):
    defined = 0
    for seed in range(SETS):
        truth, results, chosen = hard_scene(seed, iou_type)
        if not results:
            continue  # pycocotools fails
        expected, _ = run_pycocotools(truth, results, iou_type, chosen)
        found = evaluate_coco(truth, results, iou_type, CocoOptions(backend, chosen))
        assert tuple(found.numbers) == NAMES[iou_type]
        for (name, value), reference in zip(found.numbers.items(), expected.stats.tolist(), strict=True):
            same = math.isnan(value) if reference == -1 else abs(value - reference) <= TOLERANCE
            assert same, (seed, name, value, reference)
            assert (name in found.undefined) == (reference == -1), (seed, name)
            defined += reference > 0
        assert_same_categories(found, expected, (seed, backend))
    assert defined > SETS  # most sets have numbers to compare


def assert_same_categories(found, expected, where):
    precision = expected.eval["precision"][:, :, :, 0, -1]
    for k, (name, value) in enumerate(found.per_category.items()):
        counted = precision[:, :, k][precision[:, :, k] > -1]
        same = abs(value - counted.mean()) <= TOLERANCE if counted.size else math.isnan(value)
        assert same, (*where, name)
