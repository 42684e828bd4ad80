"""Fast NMS: the suppression of section 5 of the paper, without a loop over detections or classes."""

from __future__ import annotations

import torch
from torch import Tensor


def fast_nms(
    boxes: Tensor, scores: Tensor, *, score_thresh: float, iou_thresh: float, topk: int
) -> tuple[Tensor, Tensor]:
    """A x 4 boxes and A x C scores -> (rows of boxes, classes) of what is kept, the best score first.

    In each class the best `topk` above `score_thresh` are compared. One is removed if any with a better score has an
    IoU above `iou_thresh` with it, even one that is removed itself: there it differs from NMS, and removes more. Equal
    scores go by the order of the rows.
    """
    rows = torch.nonzero((scores > score_thresh).any(dim=1)).squeeze(1)
    by_class, order = scores[rows].T.sort(dim=1, descending=True, stable=True)
    by_class, order = by_class[:, :topk], order[:, :topk]
    candidates = rows[order]
    kept = (by_class > score_thresh) & (_best_rival_iou(boxes[candidates]) <= iou_thresh)
    classes, places = torch.nonzero(kept, as_tuple=True)
    _, best_first = by_class[kept].sort(descending=True, stable=True)
    return candidates[classes, places][best_first], classes[best_first]


def _best_rival_iou(boxes: Tensor) -> Tensor:
    """C x n x 4 boxes in the order of their scores -> C x n: the highest IoU of each with one before it, or 0."""
    if not boxes.shape[1]:
        return boxes.new_zeros(boxes.shape[:2])
    return pairwise_iou(boxes).triu(diagonal=1).amax(dim=1)


def pairwise_iou(boxes: Tensor) -> Tensor:
    """C x n x 4 -> C x n x n, within each of the C groups; Detectron2's function knows one group alone."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
    union = areas[:, :, None] + areas[:, None, :] - shared
    return torch.where(shared > 0, shared / union, torch.zeros_like(shared))
