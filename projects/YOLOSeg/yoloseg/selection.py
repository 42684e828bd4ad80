"""Which cells become detections: the score threshold and non-maximum suppression of each class, as ultralytics does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import nms

_MOST_CANDIDATES = 30000  # ultralytics' bound
_APART_PX = 7680  # between the classes, so that one call serves all: ultralytics' number, as its boxes round with it


@dataclass(frozen=True)
class Selection:
    """`multi_label`: a box may be found under each class whose score is above the threshold, not only the best."""

    score_thresh: float = 0.25
    iou_thresh: float = 0.7
    max_detections: int = 300
    multi_label: bool = False

    def __call__(self, boxes_xyxy: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A x 4 boxes and A x C probabilities -> N rows, N classes and N scores, the best first.

        Unlike ultralytics' function this one has no limit of time, after which images would come out empty.
        """
        rows, classes = self._candidates(scores)
        found = scores[rows, classes]
        if len(found) > _MOST_CANDIDATES:
            best = found.argsort(descending=True)[:_MOST_CANDIDATES]
            rows, classes, found = rows[best], classes[best], found[best]
        kept = nms(_apart(boxes_xyxy[rows], classes), found, self.iou_thresh)[: self.max_detections]
        return rows[kept], classes[kept], found[kept]

    def _candidates(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        if self.multi_label:
            rows, classes = torch.where(scores > self.score_thresh)
            return rows, classes
        best, classes = scores.max(dim=1)
        rows = torch.where(best > self.score_thresh)[0]
        return rows, classes[rows]


def _apart(boxes_xyxy: Tensor, classes: Tensor) -> Tensor:
    """Boxes of different classes do not touch, whatever the size of the image."""
    extent = (boxes_xyxy.amax() - boxes_xyxy.amin()).clamp(min=_APART_PX) if len(boxes_xyxy) else _APART_PX
    return boxes_xyxy + classes[:, None] * extent
