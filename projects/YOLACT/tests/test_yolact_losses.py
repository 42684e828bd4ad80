"""The losses against the formulas of the paper, written out."""

import math

import pytest
import torch
from yolact.losses import box_loss, class_loss, hard_negatives, mask_loss, semantic_loss, semantic_target
from yolact.matching import NEUTRAL, Matches

BACKGROUND = 2


def matches(*labels):
    return Matches(torch.tensor(labels), torch.zeros(len(labels), dtype=torch.int64), BACKGROUND)


def logits_of(*shares):
    """Logits whose softmax are these shares."""
    return torch.tensor(shares).log()


# ---- online hard example mining ----------------------------------------------------------------------------------


def test_the_negatives_that_look_least_like_background():
    """One positive: three of the five negatives, by their share of background, whatever they are taken for."""
    logits = logits_of(
        *([0.1, 0.1, 0.8], [0.9, 0.05, 0.05], [0.2, 0.2, 0.6], [0.0001, 0.0001, 0.9998]),
        *([0.35, 0.35, 0.3], [0.5, 0.1, 0.4], [0.05, 0.05, 0.9]),
    )
    found = matches(BACKGROUND, 0, BACKGROUND, NEUTRAL, BACKGROUND, BACKGROUND, BACKGROUND)
    assert hard_negatives(logits, found, 3).tolist() == [4, 5, 2]
    assert hard_negatives(logits, found, 1).tolist() == [4]


def test_no_more_negatives_than_there_are_and_none_without_positives():
    logits = logits_of([0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4])
    assert sorted(hard_negatives(logits, matches(0, BACKGROUND, BACKGROUND), 3).tolist()) == [1, 2]
    assert hard_negatives(logits, matches(BACKGROUND, BACKGROUND, BACKGROUND), 3).tolist() == []
    assert hard_negatives(logits, matches(0, 1, NEUTRAL), 3).tolist() == []


def test_class_loss_is_over_positives_and_chosen_negatives():
    logits = logits_of([0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.2, 0.4, 0.4], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2])
    found = matches(0, BACKGROUND, BACKGROUND, BACKGROUND, NEUTRAL)
    expected = -math.log(0.5) - math.log(0.6) - math.log(0.4)  # two negatives; 0.8 is too easy
    assert float(class_loss(logits, found, 2)) == pytest.approx(expected, rel=1e-5)


def test_what_is_neutral_or_easy_has_no_gradient():
    logits = logits_of([0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]).requires_grad_()
    class_loss(logits, matches(1, BACKGROUND, BACKGROUND, NEUTRAL), 1).backward()
    assert [bool(row.any()) for row in logits.grad] == [True, True, False, False]


# ---- boxes -------------------------------------------------------------------------------------------------------


def test_box_loss_is_smooth_l1():
    """x^2 / 2 below 1, |x| - 1/2 from there."""
    deltas = torch.tensor([[0.5, 1.0, -3.0, 0.0]])
    assert float(box_loss(deltas, torch.zeros(1, 4))) == pytest.approx(0.125 + 0.5 + 2.5)


# ---- masks -------------------------------------------------------------------------------------------------------


def entropy(logit, target):
    share = 1 / (1 + math.exp(-logit))
    return -math.log(share if target else 1 - share)


def test_mask_loss_is_the_mean_in_the_box():
    logits = torch.tensor([[[1.0, -2.0, 9.0], [0.0, 3.0, 9.0]]])
    masks = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    expected = (entropy(1, 1) + entropy(-2, 0) + entropy(0, 1) + entropy(3, 0)) / 4
    assert float(mask_loss(logits, masks, torch.tensor([[0.0, 0.0, 2.0, 2.0]]))) == pytest.approx(expected, rel=1e-5)


def test_a_small_mask_counts_as_much_as_a_large_one():
    """Each by the area of its own box, then their sum."""
    logits, masks = torch.zeros(2, 8, 8), torch.zeros(2, 8, 8)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 8.0, 8.0]])
    assert float(mask_loss(logits, masks, boxes)) == pytest.approx(2 * math.log(2), rel=1e-5)
    assert float(mask_loss(logits[:1], masks[:1], boxes[:1])) == pytest.approx(math.log(2), rel=1e-5)


def test_a_mask_learns_nothing_outside_of_its_box():
    logits = torch.zeros(1, 4, 4, requires_grad=True)
    mask_loss(logits, torch.ones(1, 4, 4), torch.tensor([[1.0, 1.0, 3.0, 2.0]])).backward()
    expected = torch.zeros(1, 4, 4)
    expected[0, 1, 1:3] = -0.5 / 2  # sigmoid(0) - 1, of two pixels
    torch.testing.assert_close(logits.grad, expected)


def test_no_masks_and_an_empty_box():
    assert float(mask_loss(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4), torch.zeros(0, 4))) == 0
    assert float(mask_loss(torch.zeros(1, 4, 4), torch.ones(1, 4, 4), torch.tensor([[1.0, 1.0, 1.0, 1.0]]))) == 0


# ---- semantic ----------------------------------------------------------------------------------------------------


def test_semantic_target_is_the_union_of_a_class():
    masks = torch.tensor([[[1, 1, 0]], [[0, 1, 0]], [[0, 1, 1]]], dtype=torch.bool)
    target = semantic_target(masks, torch.tensor([1, 1, 0]), 3)
    assert target.tolist() == [[[0, 1, 1]], [[1, 1, 0]], [[0, 0, 0]]]
    assert semantic_target(masks[:0], torch.zeros(0, dtype=torch.int64), 3).sum() == 0


def test_semantic_loss_is_a_sum_over_classes_and_a_mean_over_pixels():
    logits = torch.tensor([[[1.0, -1.0]], [[2.0, 0.0]]])
    target = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    pixels = [entropy(1, 1) + entropy(2, 1), entropy(-1, 0) + entropy(0, 0)]
    everywhere = torch.ones(1, 2, dtype=torch.bool)
    assert float(semantic_loss(logits, target, everywhere)) == pytest.approx(sum(pixels) / 2, rel=1e-5)
    first = torch.tensor([[True, False]])
    assert float(semantic_loss(logits, target, first)) == pytest.approx(pixels[0], rel=1e-5)
    assert float(semantic_loss(logits, target, ~everywhere)) == 0
