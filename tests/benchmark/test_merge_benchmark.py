"""The merge measurement: its scenes, its arguments, and its judgement of equality."""

from __future__ import annotations

import argparse
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from thingstuff.benchmark import merge as merge_benchmark
from thingstuff.benchmark.panoptic_scenes import CATEGORIES, random_scene
from thingstuff.errors import ConfigError
from thingstuff.structures import PanopticMap, check_stuff_map


@pytest.fixture(autouse=True)
def same_threads_afterwards():
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def arguments(**changed):
    defaults = {"sizes": "48x64,60x50", "instances": "1,12", "scenes": 2, "seed": 0, "threads": 1}
    return argparse.Namespace(**(defaults | changed))


def test_scenes_are_those_of_their_seed():
    first, again, other = (random_scene(40, 60, 7, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.masks, again.masks)
    np.testing.assert_array_equal(first.stuff_map, again.stuff_map)
    assert not np.array_equal(first.detections.scores, other.detections.scores)


@pytest.mark.parametrize(("height", "width", "count"), [(48, 64, 100), (480, 640, 20), (2, 3, 4), (50, 50, 0)])
def test_scenes_are_valid(height, width, count):
    scene = random_scene(height, width, count, 0)
    assert scene.masks.shape == (count, height, width)
    check_stuff_map(scene.stuff_map, CATEGORIES, height, width)
    CATEGORIES.thing_indices(scene.detections.category_ids)
    boxes = scene.detections.boxes_xyxy
    assert (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()
    assert (boxes[:, :2] <= boxes[:, 2:]).all()
    assert len(np.unique(scene.detections.scores)) == count


def test_cases_are_equal():
    cases = list(merge_benchmark.MEASUREMENT.cases(arguments()))
    assert [case.name for case in cases] == [
        f"{size}, {count} instances, {start}"
        for size in ("48x64", "60x50")
        for count in (1, 12)
        for start in ("boxes known", "plain masks")
    ]
    for case in cases:
        assert case.equal(case.ours(), case.theirs())
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)


def test_equality_sees_every_pixel_and_segment():
    case = next(merge_benchmark.MEASUREMENT.cases(arguments(sizes="96x128", instances="20", scenes=1)))
    ((panoptic, ledger),), theirs = case.ours(), case.theirs()
    ids = panoptic.ids.copy()
    ids[0, 0] += 1
    assert not case.equal([(PanopticMap.trusted(ids, panoptic.segments), ledger)], theirs)
    for number, segment in enumerate(panoptic.segments):
        for change in ({"id": 99}, {"category_id": 99}, {"score": 0.123}, {"isthing": not segment.isthing}):
            segments = list(panoptic.segments)
            segments[number] = replace(segment, **change)
            assert not case.equal([(PanopticMap.trusted(panoptic.ids, tuple(segments)), ledger)], theirs)
    assert not case.equal([(PanopticMap.trusted(panoptic.ids, panoptic.segments[1:]), ledger)], theirs)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scenes": 0}, "--scenes must be above 0, got 0"),
        ({"threads": 0}, "--threads: expected 1 or more, got 0"),
        ({"sizes": "480"}, "--sizes: expected HEIGHTxWIDTH, separated by commas, got '480'"),
        ({"sizes": "480x640,ax3"}, "--sizes: expected numbers above 0, got 'ax3'"),
        ({"instances": "3,-1"}, "--instances: expected numbers above 0, got '3,-1'"),
        ({"instances": ""}, "--instances: expected numbers above 0"),
    ],
)
def test_wrong_arguments_are_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        next(merge_benchmark.MEASUREMENT.cases(arguments(**changed)))
