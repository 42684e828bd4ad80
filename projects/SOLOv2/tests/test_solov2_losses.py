"""The losses against the formulas written out."""

import math

import pytest
import torch
from solov2.levels import Level
from solov2.losses import GridLoss, dice_loss
from solov2.targets import Truth

LEVEL = Level("p2", 8, 4, 1, 999)  # cells of 8 pixels in an image of 32


def grid_loss(**changes):
    arguments = {"levels": (LEVEL,), "center_share": 0.2, "focal_alpha": 0.25, "focal_gamma": 2.0}
    return GridLoss(**arguments | {"category_weight": 1.0, "mask_weight": 3.0} | changes)


def one_object(box_xyxy=(4, 4, 12, 12), class_=1):
    masks = torch.zeros(1, 32, 32, dtype=torch.bool)
    left, top, right, bottom = box_xyxy
    masks[0, top:bottom, left:right] = True
    return Truth(torch.tensor([box_xyxy], dtype=torch.float32), torch.tensor([class_]), masks)


def nothing():
    return Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0, 32, 32, dtype=torch.bool))


def test_dice_loss_is_the_formula():
    torch.manual_seed(0)
    probs, truth = torch.rand(3, 4, 5), torch.rand(3, 4, 5) > 0.5
    expected = []
    for p, q in zip(probs.flatten(1).tolist(), truth.flatten(1).tolist(), strict=True):
        both = sum(a * a for a in p) + sum(b * b for b in q)
        expected.append(1 - 2 * sum(a * b for a, b in zip(p, q, strict=True)) / both)
    torch.testing.assert_close(dice_loss(probs, truth), torch.tensor(expected))


@pytest.mark.parametrize(
    ("probs", "truth", "expected"),
    [
        ([1.0, 1, 0, 0], [1, 1, 0, 0], 0.0),
        ([0.0, 0, 1, 1], [1, 1, 0, 0], 1.0),
        ([0.5, 0.5, 0, 0], [1, 0, 0, 0], 1 - 2 * 0.5 / (0.5 + 1)),
        ([0.0, 0, 0, 0], [0, 0, 0, 0], 1.0),
    ],
)
def test_dice_loss_by_hand(probs, truth, expected):
    found = dice_loss(torch.tensor(probs).view(1, 2, 2), torch.tensor(truth, dtype=torch.bool).view(1, 2, 2))
    assert found.item() == pytest.approx(expected, abs=1e-6)


def focal(logit, is_true, alpha=0.25, gamma=2.0):
    """Lin et al., 2017: -alpha_t (1 - p_t)^gamma log(p_t)."""
    p = 1 / (1 + math.exp(-logit))
    p_t, alpha_t = (p, alpha) if is_true else (1 - p, 1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * math.log(p_t)


def test_both_losses_of_a_square_in_one_cell():
    """8 x 8 pixels around (8, 8): its region of 1.6 pixels touches four of the 16 cells."""
    torch.manual_seed(1)
    category, kernels = torch.randn(1, 2, 4, 4), torch.randn(1, 3, 4, 4)
    features = torch.randn(1, 3, 8, 8)
    found = grid_loss(category_weight=0.5)([category], [kernels], features, [one_object()])
    positive = {(0, 0), (0, 1), (1, 0), (1, 1)}
    wanted, masks = 0.0, 0.0
    mask = torch.zeros(8, 8)
    mask[1:3, 1:3] = 1
    for row in range(4):
        for column in range(4):
            for class_ in range(2):
                is_true = (row, column) in positive and class_ == 1
                wanted += focal(category[0, class_, row, column].item(), is_true)
            if (row, column) in positive:
                probs = torch.einsum("e,ehw->hw", kernels[0, :, row, column], features[0]).sigmoid()
                masks += float(1 - 2 * (probs * mask).sum() / (probs.square().sum() + mask.square().sum()))
    assert found["loss_category"].item() == pytest.approx(0.5 * wanted / 4, rel=1e-5)
    assert found["loss_mask"].item() == pytest.approx(3 * masks / 4, rel=1e-5)


def test_positives_are_counted_over_the_batch():
    torch.manual_seed(2)
    category, kernels, features = torch.randn(2, 2, 4, 4), torch.randn(2, 3, 4, 4), torch.randn(2, 3, 8, 8)
    one, other = one_object(), one_object((9, 17, 13, 23), class_=0)  # 4 cells and 1 cell
    parts = [
        grid_loss()([category[n : n + 1]], [kernels[n : n + 1]], features[n : n + 1], [truth])
        for n, truth in enumerate((one, other))
    ]
    both = grid_loss()([category], [kernels], features, [one, other])
    for name, value in both.items():
        assert value.item() == pytest.approx((4 * parts[0][name].item() + parts[1][name].item()) / 5, rel=1e-5)


@pytest.mark.parametrize("truth", [nothing(), one_object((5, 5, 6, 6))], ids=["no object", "too small for a mask"])
def test_without_a_positive_cell_there_is_no_mask_loss_but_a_gradient(truth):
    category = torch.randn(1, 2, 4, 4, requires_grad=True)
    kernels = torch.randn(1, 3, 4, 4, requires_grad=True)
    features = torch.randn(1, 3, 8, 8, requires_grad=True)
    losses = grid_loss()([category], [kernels], features, [truth])
    sum(losses.values()).backward()
    assert losses["loss_mask"].item() == 0
    assert losses["loss_category"].item() > 0
    assert (kernels.grad == 0).all()
    assert (features.grad == 0).all()
    assert (category.grad > 0).all()
