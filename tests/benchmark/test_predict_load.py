"""The load that the heads are fed: scores, boxes, and what NMS leaves of it, against the formulas and torchvision."""

import numpy as np
import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform
from torchvision.ops import batched_nms

from thingstuff.benchmark.prediction.load import BLOBS, COPIES, blob_probs, random_load
from thingstuff.errors import ConfigError

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
HEIGHT, WIDTH = 80, 120


@pytest.mark.parametrize(
    ("detections", "classes", "proposals"), [(0, 80, 50), (20, 80, 1000), (100, 80, 1000), (5, 2, 40)]
)
@pytest.mark.parametrize("background_first", [False, True])
def test_scores_above_the_threshold_and_nms_leave_the_detections(detections, classes, proposals, background_first):
    load = random_load(HEIGHT, WIDTH, detections, classes, proposals, seed=0)
    probs = torch.softmax(torch.from_numpy(load.logits(classes, background_first)), 1)
    probs = probs[:, 1:] if background_first else probs[:, :-1]
    rows, labels = (probs > 0.05).nonzero(as_tuple=True)
    assert len(rows) == COPIES * detections
    assert set(rows.tolist()) == set(np.flatnonzero(load.labels >= 0).tolist())
    assert labels.tolist() == load.labels[rows].tolist()
    boxes = torch.from_numpy(load.targets * [WIDTH, HEIGHT, WIDTH, HEIGHT])[rows]
    assert len(batched_nms(boxes, probs[rows, labels].double(), labels, 0.5)) == detections


def test_deltas_lead_from_proposals_to_targets():
    load = random_load(HEIGHT, WIDTH, 10, 80, 100, seed=1)
    boxes = torch.from_numpy(load.proposals(HEIGHT, WIDTH))
    found = Box2BoxTransform(WEIGHTS).apply_deltas(torch.from_numpy(load.deltas(WEIGHTS)), boxes)
    expected = load.targets * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


def test_proposals_lie_in_the_image_and_come_again_with_the_seed():
    load = random_load(HEIGHT, WIDTH, 10, 80, 100, seed=1)
    boxes = load.proposals(HEIGHT, WIDTH)
    assert boxes.shape == (100, 4)
    assert boxes.min() >= 0
    assert (boxes.max(0) <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    same, other = (random_load(HEIGHT, WIDTH, 10, 80, 100, seed=seed) for seed in (1, 2))
    assert np.array_equal(same.boxes, load.boxes)
    assert not np.array_equal(other.boxes, load.boxes)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="11 detections do not come from 10 proposals"):
        random_load(HEIGHT, WIDTH, 11, 80, 10, seed=0)
    with pytest.raises(ConfigError, match="300 detections of 1 classes find no room"):
        random_load(8, 12, 300, 1, 1000, seed=0)


def test_blobs_are_probabilities_of_masks_with_an_inside_and_an_outside():
    probs = blob_probs(28)
    assert probs.shape == (BLOBS, 28, 28)
    assert 0 < probs.min() < 0.5 < probs.max() < 1
    assert (probs[:, 14, 14] > 0.5).all()
    assert (probs[:, 0, 0] < 0.5).all()
