"""Precision over recall of each category, and the score threshold that balances the two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from thingstuff.errors import ConfigError
from thingstuff.evaluation.coco_backends import COCO_IOU_THRESHS, COCO_RECALLS, Accumulated, FloatArray

SAME_IOU = 1e-9  # 0.9 is to mean COCO's threshold, which is 0.8999999999999999


class OperatingPoint(NamedTuple):
    """What detections with at least this score give; precision and recall as fractions."""

    score: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class PrecisionRecall:
    """COCO's curves for objects of all sizes and the last of `max_dets`: interpolated precision at 101 recalls.

    `precision` is 0 where a recall is not reached, and NaN of a category without truth. `scores`: the score of the
    detection with which the recall is reached, NaN where it is not.
    """

    iou_threshs: FloatArray  # T, ascending
    recalls: FloatArray  # R
    categories: tuple[str, ...]  # K
    precision: FloatArray  # T x R x K
    scores: FloatArray  # T x R x K

    @classmethod
    def of(cls, counted: Accumulated, categories: tuple[str, ...]) -> PrecisionRecall:
        """Copies, so that the arrays of all areas and limits need not be kept."""
        precision, scores = counted.precision[..., 0, -1], counted.scores[..., 0, -1]
        return cls(
            iou_threshs=counted.iou_threshs,
            recalls=COCO_RECALLS,
            categories=categories,
            precision=np.where(precision > -1, precision, math.nan),
            scores=np.where(precision > 0, scores, math.nan),
        )

    def mean(self, iou: float | None = None) -> FloatArray:
        """R precisions, the mean over the categories with truth; `iou` None is the mean over 0.50:0.95."""
        rows = np.isin(self.iou_threshs, COCO_IOU_THRESHS) if iou is None else [self.row(iou)]
        curves = self.precision[rows].mean(axis=0)
        with_truth = curves[:, ~np.isnan(curves).any(axis=0)]
        return with_truth.mean(axis=1) if with_truth.size else np.full(len(self.recalls), math.nan)

    def best_f1(self, category: str, iou: float = 0.5) -> OperatingPoint:
        """The point of the highest F1 = 2PR / (P + R), the one of highest score if there are several.

        Recall is known to a hundredth. The score is NaN if nothing is found, all four are if there is no truth.
        """
        if category not in self.categories:
            raise ConfigError(f"no category {category!r}, expected one of {', '.join(self.categories)}")
        row, column = self.row(iou), self.categories.index(category)
        precision, scores = self.precision[row, :, column], self.scores[row, :, column]
        if np.isnan(precision).any():
            return OperatingPoint(*[math.nan] * 4)
        total = precision + self.recalls
        f1 = np.divide(2 * precision * self.recalls, total, out=np.zeros_like(total), where=total > 0)
        best = int(f1.argmax())
        if f1[best] == 0:
            return OperatingPoint(math.nan, 0.0, 0.0, 0.0)
        return OperatingPoint(*(float(v[best]) for v in (scores, precision, self.recalls, f1)))

    def row(self, iou: float) -> int:
        """Which of the T thresholds this is."""
        same = np.flatnonzero(np.abs(self.iou_threshs - iou) < SAME_IOU)
        if not len(same):
            known = ", ".join(f"{t:g}" for t in self.iou_threshs)
            raise ConfigError(f"no curve at IoU {iou}, only at {known}: name it in CocoOptions.iou_threshs")
        return int(same[0])
