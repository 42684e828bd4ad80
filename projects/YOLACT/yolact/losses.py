"""The losses of the paper on plain tensors, each summed as it says; who calls them divides by the positives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from yolact.assembly import inside_boxes
from yolact.matching import Matches


def hard_negatives(logits: Tensor, matches: Matches, per_positive: int) -> Tensor:
    """Rows of the background that is least taken for it: `per_positive` for each positive (OHEM, as in SSD).

    A x (classes + 1) logits of one image, which itself must have the positives.
    """
    background = torch.nonzero(matches.labels == matches.num_classes).squeeze(1)
    count = min(per_positive * len(matches.positives), len(background))
    losses = -F.log_softmax(logits[background].detach(), dim=1)[:, matches.num_classes]
    return background[losses.topk(count).indices]


def class_loss(logits: Tensor, matches: Matches, per_positive: int) -> Tensor:
    """The sum of softmax cross entropies over the positives and hard negatives of one image."""
    rows = torch.cat([matches.positives, hard_negatives(logits, matches, per_positive)])
    return F.cross_entropy(logits[rows], matches.labels[rows], reduction="sum")


def box_loss(deltas: Tensor, true_deltas: Tensor) -> Tensor:
    """The sum of smooth L1 over P x 4 offsets of positives."""
    return F.smooth_l1_loss(deltas, true_deltas, reduction="sum")


def mask_loss(logits: Tensor, masks: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """The sum over P masks of their binary cross entropy in the truth's box, divided by the box's pixels.

    P x h x w logits and 0/1 truth, P x 4 boxes in the pixels of those. So a small object counts as much as a large
    one, and what lies outside of the box, which is cut off anyway, need not be learnt.
    """
    inside = inside_boxes(boxes_xyxy, *logits.shape[1:])
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    areas_px = inside.sum(dim=(1, 2)).clamp(min=1)
    return ((entropy * inside).sum(dim=(1, 2)) / areas_px).sum()


def semantic_target(masks: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """T x h x w bool masks and their T classes -> classes x h x w float, 1 where an object of the class is.

    A pixel may be of several classes, or of none.
    """
    target = masks.new_zeros((num_classes, *masks.shape[1:]), dtype=torch.float32)
    return target.index_add_(0, classes, masks.float()).clamp_(max=1)


def semantic_loss(logits: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Binary cross entropies of classes x h x w, summed over the classes, in the mean of the pixels that count.

    `counts` is h x w bool.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=0)
    return (entropy * counts).sum() / counts.sum().clamp(min=1)
