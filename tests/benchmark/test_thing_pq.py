"""PQ of things over the true stuff map: the threshold comes from the first scenes, the number from the others."""

import numpy as np
import pytest

from thingstuff.benchmark.projects.thing_pq import Scene, thing_quality
from thingstuff.structures import Categories, Category, Detections, MaskCrops, PanopticMap, Segment

SIDE = 10
CATEGORIES = Categories((Category(1, "dog"), Category(2, "sky", isthing=False)))


def scene(scores, columns):
    """A dog in the left half, and instances of these scores that fill so many columns from the left (or the right)."""
    ids = np.full((SIDE, SIDE), 2, np.uint32)
    ids[:, : SIDE // 2] = 1
    segments = (Segment(1, 1, True, 50, (0, 0, 5, 10)), Segment(2, 2, False, 50, (5, 0, 5, 10)))
    bitmaps = np.zeros((len(scores), SIDE, SIDE), bool)
    for bitmap, count in zip(bitmaps, columns, strict=True):
        bitmap[:, slice(0, count) if count > 0 else slice(count, None)] = True
    masks = MaskCrops.from_bitmaps(bitmaps)
    boxes = masks.boxes_xyxy.astype(np.float32)
    found = Detections(masks, boxes, np.array(scores, np.float32), np.ones(len(scores), np.int64))
    stuff = np.where(ids == 1, 0, 1).astype(np.uint16)
    return Scene(found, stuff, PanopticMap(ids, segments))


def test_the_threshold_is_chosen_on_the_first_scenes_and_judged_on_the_others():
    # the dog scores 0.45; a false one in the sky 0.25 in the first scene, and in the others 0.42
    first, other = scene([0.45, 0.25], [4, -3]), scene([0.45, 0.42], [4, -3])
    found = thing_quality([first, *[other] * 4], CATEGORIES)
    assert (found.threshold, found.images) == (0.3, 4)
    assert found.sq == pytest.approx(100 * 4 / 5)  # 40 of 50 pixels
    assert found.rq == pytest.approx(100 * 4 / (4 + 4 / 2))  # every second one is false
    assert found.pq == pytest.approx(found.sq * found.rq / 100)


def test_without_instances_nothing_of_the_things_is_found():
    empty = scene([], [])
    found = thing_quality([empty, empty], CATEGORIES)
    assert (found.pq, found.images) == (0.0, 1)
