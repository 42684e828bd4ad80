"""The scenes that pasting is measured on, and that both answers are compared in full."""

import argparse
from dataclasses import replace

import numpy as np
import pytest

from thingstuff.benchmark import paste
from thingstuff.benchmark.paste_scenes import CELLS, random_boxes, random_paste_scene, random_probs
from thingstuff.errors import ConfigError


@pytest.fixture(autouse=True)
def keep_threads():
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def options(**changed):
    return argparse.Namespace(**{"sizes": "96x128", "instances": "7,12", "seed": 1, "threads": 1, **changed})


def test_scenes_are_those_of_their_seed():
    one, same, other = (random_paste_scene(60, 80, 9, seed).instances for seed in (1, 1, 2))
    assert np.array_equal(one.probs, same.probs) and np.array_equal(one.boxes_xyxy, same.boxes_xyxy)
    assert not np.array_equal(one.probs, other.probs)


def test_scenes_look_like_a_mask_heads_output():
    rng = np.random.default_rng(0)
    probs, boxes = random_probs(500, rng), random_boxes(480, 640, 500, rng)
    assert probs.dtype == np.float32 and probs.shape == (500, CELLS, CELLS)
    assert 0.4 < (probs > 0.5).mean() < 0.8  # of its box
    assert ((probs < 0.1) | (probs > 0.9)).mean() > 0.5
    assert (boxes[:, :2] < boxes[:, 2:]).all() and (boxes >= 0).all() and (boxes <= [640, 480] * 2).all()
    sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    small, large = (sides < 32).mean(), (sides > 96).mean()
    assert 0.1 < small < 0.5 and 0.1 < large < 0.5


def test_cases_are_equal():
    cases = list(paste.MEASUREMENT.cases(options()))
    assert [case.name.split(", ")[1:] for case in cases] == [
        [f"{count} instances", kind] for count in (7, 12) for kind in ("paste to RLE", "paste + merge")
    ]
    for case in cases:
        assert case.equal(case.ours(), case.theirs())


def test_another_answer_is_not_equal():
    to_rle, to_panoptic = paste.MEASUREMENT.cases(options(instances="8"))
    assert not to_rle.equal(to_rle.ours()[::-1], to_rle.theirs())
    ours, (ids, infos) = to_panoptic.ours(), to_panoptic.theirs()
    moved = ids.clone()
    moved[0, 0] += 1
    assert not to_panoptic.equal(ours, (moved, infos))
    assert not to_panoptic.equal(ours, (ids, infos[1:]))
    detections, panoptic, ledger = ours
    segments = (replace(panoptic.segments[0], score=0.123), *panoptic.segments[1:])
    assert not to_panoptic.equal((detections, type(panoptic).trusted(panoptic.ids, segments), ledger), (ids, infos))


@pytest.mark.parametrize(
    "changed",
    [{"sizes": "96"}, {"sizes": "96x0"}, {"instances": "a"}, {"instances": ""}, {"threads": 0}],
    ids=str,
)
def test_impossible_options_are_refused(changed):
    with pytest.raises(ConfigError, match=r"--(sizes|instances|threads): expected"):
        list(paste.MEASUREMENT.cases(options(**changed)))
