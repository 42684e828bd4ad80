"""Matrix NMS and points NMS on worked examples and against the formula in loops."""

import math

import pytest
import torch
from solov2.matrix_nms import matrix_nms, points_nms

FORMULAS = {"linear": lambda iou: 1 - iou, "gaussian": lambda iou: math.exp(-2 * iou * iou)}


def strips(*spans, length=12):
    """Masks of 1 x `length` pixels from `first` to before `last`."""
    masks = torch.zeros(len(spans), 1, length, dtype=torch.bool)
    for mask, (first, last) in zip(masks, spans, strict=True):
        mask[0, first:last] = True
    return masks


def scores_after(masks, classes, scores, kernel, sigma=2.0):
    return matrix_nms(masks, torch.tensor(classes), torch.tensor(scores), kernel, sigma)


def in_loops(masks, classes, scores, f):
    """The paper's formula; the best mask of a class has nobody above it."""
    flat = masks.flatten(1)

    def iou(i, j):
        return float((flat[i] & flat[j]).sum() / (flat[i] | flat[j]).sum())

    decayed = []
    for j, score in enumerate(scores):
        better = [i for i in range(j) if classes[i] == classes[j]]
        above = {i: [iou(k, i) for k in range(i) if classes[k] == classes[i]] for i in better}
        decay = min((f(iou(i, j)) / f(max(above[i], default=0.0)) for i in better), default=1.0)
        decayed.append(score * decay)
    return torch.tensor(decayed)


def test_a_worked_example_with_the_linear_kernel():
    """IoUs: first and second 6 / 8, first and third 4 / 12, second and third 2 / 12."""
    masks = strips((0, 8), (0, 6), (4, 12))
    found = scores_after(masks, [0, 0, 0], [0.9, 0.8, 0.7], "linear")
    third = min((1 - 1 / 3) / 1, (1 - 1 / 6) / (1 - 3 / 4))
    torch.testing.assert_close(found, torch.tensor([0.9, 0.8 * (1 - 3 / 4), 0.7 * third]))


def test_a_worked_example_with_the_gaussian_kernel():
    masks = strips((0, 8), (0, 6), (4, 12))
    found = scores_after(masks, [0, 0, 0], [0.9, 0.8, 0.7], "gaussian")
    third = min(math.exp(-2 / 9), math.exp(-2 / 36) / math.exp(-2 * 9 / 16))
    torch.testing.assert_close(found, torch.tensor([0.9, 0.8 * math.exp(-2 * 9 / 16), 0.7 * third]))


def test_one_that_is_itself_suppressed_suppresses_less():
    """The third lies on the second (6 / 8) and off the first; the second overlaps the first by 2 / 14."""
    masks = strips((0, 8), (6, 14), (8, 14), length=16)
    found = scores_after(masks, [0, 0, 0], [0.9, 0.8, 0.7], "linear")
    expected = [0.9, 0.8 * (1 - 2 / 14), 0.7 * (1 - 6 / 8) / (1 - 2 / 14)]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_other_classes_are_left_alone():
    found = scores_after(strips((0, 8), (0, 8)), [0, 1], [0.9, 0.8], "gaussian")
    assert found.tolist() == pytest.approx([0.9, 0.8])


@pytest.mark.parametrize("kernel", FORMULAS)
def test_the_doubles_of_a_mask(kernel):
    """Of the linear kernel nothing is left of them, and no division by 0; the gaussian one leaves some."""
    found = scores_after(strips(*[(0, 8)] * 3), [0, 0, 0], [0.9, 0.8, 0.7], kernel)
    left = FORMULAS[kernel](1.0)
    assert found.tolist() == pytest.approx([0.9, 0.8 * left, 0.7 * left])


@pytest.mark.parametrize("kernel", FORMULAS)
def test_many_masks_against_the_formula(kernel):
    torch.manual_seed(0)
    masks = torch.rand(20, 6, 6) > 0.6
    masks[10:] = masks[:10] ^ (torch.rand(10, 6, 6) > 0.9)
    classes = torch.randint(0, 3, (20,)).tolist()
    scores = torch.rand(20).sort(descending=True).values.tolist()
    found = scores_after(masks, classes, scores, kernel)
    torch.testing.assert_close(found, in_loops(masks, classes, scores, FORMULAS[kernel]))


def test_nothing_to_suppress():
    assert scores_after(strips(), [], [], "linear").tolist() == []


def test_points_nms_keeps_what_no_cell_above_or_to_the_left_exceeds():
    probs = torch.tensor([[[0.2, 0.5, 0.4], [0.3, 0.1, 0.6], [0.3, 0.7, 0.1]]])
    expected = torch.tensor([[[0.2, 0.5, 0.0], [0.3, 0.0, 0.6], [0.3, 0.7, 0.0]]])
    assert torch.equal(points_nms(probs), expected)
