"""From hand-made outputs of the branches to instances."""

import pytest
import torch
from solov2.decoder import Decoder, Sizes

from thingstuff.errors import ConfigError

LEFT, RIGHT = (8.0, 0.0), (0.0, 8.0)


def decoder(**changes):
    arguments = {"category_thresh": 0.1, "mask_thresh": 0.5, "score_thresh": 0.05, "pre_nms_topk": 500}
    return Decoder(**arguments | {"nms_kernel": "gaussian", "nms_sigma": 2.0, "max_detections": 100} | changes)


def outputs(*cells, classes=2, grid=4):
    """`cells` are (class, row, column, score, kernel); everything else has a score near 0. Features: left, right."""
    category, kernels = torch.full((classes, grid, grid), -20.0), torch.zeros(2, grid, grid)
    for class_, row, column, score, kernel in cells:
        category[class_, row, column] = torch.tensor(score).logit()
        kernels[:, row, column] = torch.tensor(kernel)
    features = torch.full((2, 8, 8), -1.0)
    features[0, :, :4] = features[1, :, 4:] = 1
    return [category], [kernels], features


SURE = torch.tensor(8.0).sigmoid().item()
SIZES = Sizes(padded=(32, 32), image=(32, 32), output=(32, 32))


def test_a_score_is_that_of_the_class_times_that_of_the_mask():
    found = decoder().find(*outputs((0, 1, 1, 0.6, LEFT), (1, 2, 3, 0.9, RIGHT)))
    assert found.classes.tolist() == [1, 0]
    assert found.scores.tolist() == pytest.approx([0.9 * SURE, 0.6 * SURE])


def test_masks_and_boxes_in_the_answer_s_size():
    """The image has 32 x 24 pixels in a batch of 32 x 32, and its answer twice as many."""
    sizes = Sizes(padded=(32, 32), image=(32, 24), output=(64, 48))
    found = decoder().find(*outputs((0, 1, 1, 0.6, LEFT), (1, 2, 3, 0.9, RIGHT)))
    instances = decoder().instances(found, sizes)
    assert instances.image_size == (64, 48)
    assert instances.pred_masks.dtype == torch.bool
    assert instances.pred_boxes.tensor.tolist() == [[32, 0, 48, 64], [0, 0, 32, 64]]
    assert instances.pred_masks[0, :, 32:].all()
    assert not instances.pred_masks[0, :, :32].any()
    assert torch.equal(instances.pred_masks[1], ~instances.pred_masks[0])


def test_a_mask_that_lies_in_the_padding_is_no_instance():
    found = decoder().find(*outputs((1, 2, 3, 0.9, RIGHT)))
    instances = decoder().instances(found, Sizes(padded=(32, 32), image=(32, 8), output=(32, 8)))
    assert len(instances) == 0


@pytest.mark.parametrize(
    ("changes", "cells", "classes"),
    [
        ({}, [(0, 0, 0, 0.09, LEFT), (1, 3, 3, 0.11, RIGHT)], [1]),
        ({"score_thresh": 0.7}, [(0, 0, 0, 0.6, LEFT), (1, 3, 3, 0.8, RIGHT)], [1]),
        ({"pre_nms_topk": 1}, [(0, 0, 0, 0.6, LEFT), (1, 3, 3, 0.8, RIGHT)], [1]),
        ({"max_detections": 1}, [(0, 0, 0, 0.9, LEFT), (1, 3, 3, 0.8, RIGHT)], [0]),
        ({}, [(0, 0, 0, 0.9, LEFT), (1, 3, 3, 0.8, (0.0, 0.0))], [0]),  # 0.5 everywhere is no mask
        ({"nms_kernel": "linear"}, [(0, 0, 0, 0.9, LEFT), (0, 3, 3, 0.8, LEFT)], [0]),
        ({"nms_kernel": "linear"}, [(0, 0, 0, 0.9, LEFT), (1, 3, 3, 0.8, LEFT)], [0, 1]),
        ({}, [(0, 1, 1, 0.9, LEFT), (0, 1, 2, 0.8, RIGHT)], [0]),  # a lower neighbour of the same class
        ({}, [(0, 1, 1, 0.9, LEFT), (1, 1, 2, 0.8, RIGHT)], [0, 1]),
        ({}, [], []),
    ],
)
def test_what_is_left_out(changes, cells, classes):
    one = decoder(**changes)
    found = one.find(*outputs(*cells))
    assert found.classes.tolist() == classes
    instances = one.instances(found, SIZES)
    assert instances.pred_classes.tolist() == classes
    assert instances.pred_masks.shape == (len(classes), 32, 32)
    assert instances.pred_boxes.tensor.shape == (len(classes), 4)


def test_a_cell_may_show_two_classes():
    found = decoder().find(*outputs((0, 1, 1, 0.9, LEFT), (1, 1, 1, 0.7, LEFT)))
    assert found.classes.tolist() == [0, 1]


def test_more_masks_than_are_blown_up_together():
    cells = [(number, 2, 2, 0.9, LEFT) for number in range(35)]
    found = decoder().find(*outputs(*cells, classes=35))
    instances = decoder().instances(found, SIZES)
    assert sorted(instances.pred_classes.tolist()) == list(range(35))
    assert instances.pred_masks[:, :, :16].all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nms_kernel": "gauss"}, "NMS_KERNEL is 'gauss', expected one of gaussian, linear"),
        ({"category_thresh": 1.0}, "CATEGORY_THRESH is 1.0, expected"),
        ({"mask_thresh": -0.5}, "MASK_THRESH is -0.5, expected"),
        ({"pre_nms_topk": 0}, "PRE_NMS_TOPK is 0, expected 1 or more"),
    ],
)
def test_odd_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        decoder(**changes)
