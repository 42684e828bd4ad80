"""Suppression without loops: Matrix NMS for masks, and the points NMS that thins out neighbouring cells before it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

KERNELS = ("gaussian", "linear")


def matrix_nms(masks: Tensor, classes: Tensor, scores: Tensor, kernel: str, sigma: float) -> Tensor:
    """n x h x w bool masks with descending scores -> the scores, decayed by better masks of the same class.

    decay_j = min over i better than j of f(iou_ij) / f(the largest iou of i with one better than i), as in SOLOv2. The
    divisor excuses j where i itself is suppressed. f is 1 - iou, or exp(-sigma * iou^2).
    """
    ious = _ious_with_better(masks, classes)
    compensation = ious.max(dim=0).values[:, None] if len(ious) else ious
    decay = _DECAYS[kernel](ious, compensation, sigma)
    return scores * decay.min(dim=0).values if len(ious) else scores


def points_nms(probs: Tensor) -> Tensor:
    """... x S x S class probabilities -> the same with 0 where the cell above, to the left, or above left has more."""
    most = F.max_pool2d(F.pad(probs, (1, 0, 1, 0)), kernel_size=2, stride=1)
    return probs * (most == probs)


def _ious_with_better(masks: Tensor, classes: Tensor) -> Tensor:
    """n x n: the IoU of row i and column j where i comes before j and has its class, else 0."""
    flat = masks.flatten(1).float()
    areas = flat.sum(dim=1)
    shared = flat @ flat.T
    ious = shared / (areas[:, None] + areas - shared).clamp(min=1)
    return (ious * (classes[:, None] == classes)).triu(diagonal=1)


def _gaussian(ious: Tensor, compensation: Tensor, sigma: float) -> Tensor:
    return torch.exp(-sigma * (ious.square() - compensation.square()))


def _linear(ious: Tensor, compensation: Tensor, _sigma: float) -> Tensor:
    # the doubles of a double would divide 0 by 0; they have the first one's 0
    return (1 - ious) / (1 - compensation).clamp(min=1e-6)


_DECAYS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"gaussian": _gaussian, "linear": _linear}
