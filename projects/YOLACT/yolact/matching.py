"""Which anchor learns which truth: the matching of SSD (Liu et al., 2016), and crowds that nobody learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.modeling.matcher import Matcher
from detectron2.structures import Boxes, pairwise_ioa, pairwise_iou
from torch import Tensor

NEUTRAL = -1


@dataclass(frozen=True)
class Matches:
    """Of A anchors: `labels`, a class, `num_classes` for the background or NEUTRAL; `truths`, whose row is meant.

    `truths` means nothing where the label is no class.
    """

    labels: Tensor
    truths: Tensor
    num_classes: int

    @property
    def positives(self) -> Tensor:
        """Rows of the anchors that are to find a truth."""
        return torch.nonzero((self.labels >= 0) & (self.labels < self.num_classes)).squeeze(1)


class AnchorMatcher:
    """An anchor is background below the first of two IoU thresholds, and from the second on its best truth.

    The best anchor of a truth is that truth's whatever the IoU. Where two truths want one anchor, the higher IoU has
    it and the other truth takes its next best; Detectron2's `Matcher` would leave the second without any. A negative
    of which more than `crowd_share_thresh` lies in the box of a crowd is neutral, as in the paper's program.
    """

    def __init__(self, iou_thresholds: Sequence[float], crowd_share_thresh: float, num_classes: int) -> None:
        self._by_threshold = Matcher(list(iou_thresholds), [0, NEUTRAL, 1], allow_low_quality_matches=False)
        self.crowd_share_thresh = crowd_share_thresh
        self.num_classes = num_classes

    def __call__(self, anchors: Boxes, boxes: Boxes, classes: Tensor, crowds: Boxes | None = None) -> Matches:
        ious = pairwise_iou(boxes, anchors)
        truths, kinds = self._by_threshold(ious)
        kinds = kinds.long()
        if crowds is not None and len(crowds):
            in_crowd = pairwise_ioa(crowds, anchors).amax(dim=0) > self.crowd_share_thresh
            kinds = kinds.masked_fill(in_crowd & (kinds == 0), NEUTRAL)
        truths, kinds = _with_best_anchors(ious, truths, kinds)
        labels = torch.where(kinds == 0, self.num_classes, kinds)
        if len(classes):
            labels = torch.where(kinds == 1, classes[truths], labels)
        return Matches(labels, truths, self.num_classes)


def _with_best_anchors(ious: Tensor, truths: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
    """Each truth in turn, the one that fits best first, takes the best anchor that no other has taken."""
    truths, kinds, left = truths.clone(), kinds.clone(), ious.clone()
    for _ in range(min(left.shape)):
        best, anchor_of = left.max(dim=1)
        truth = best.argmax()
        if best[truth] <= 0:  # no anchor touches the truths that are left
            break
        anchor = anchor_of[truth]
        truths[anchor], kinds[anchor] = truth, 1
        left[truth] = -1
        left[:, anchor] = -1
    return truths, kinds
