"""COCO AP as a metric of drawn images, for `bootstrap` and `compare`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thingstuff.evaluation.ap_matches import ApMatches, BoolArray, CategoryMatches
from thingstuff.evaluation.bootstrap import BlockMetric, FloatArray, IntArray
from thingstuff.evaluation.coco_backends import COCO_RECALLS

_ALL = slice(None)
_CHUNK_BYTES = 2**21  # an array of draws x detections; a few of these fit in a core's cache


@dataclass(frozen=True)
class _Hits:
    """One category's true positives at one IoU threshold, and the ignored detections before them."""

    tp: IntArray  # positions among the category's detections
    ignored: IntArray  # positions
    ignored_before: IntArray  # for each of `tp`, how many of `ignored` come before it

    @classmethod
    def of(cls, tp: BoolArray, ignored: BoolArray) -> _Hits:
        hits, others = np.flatnonzero(tp), np.flatnonzero(ignored)
        return cls(hits, others, np.searchsorted(others, hits))


@dataclass(frozen=True)
class _Category:
    image: IntArray  # of each detection
    truths: FloatArray  # of each image
    thresholds: tuple[_Hits, ...]

    @classmethod
    def of(cls, matches: CategoryMatches, iou_threshs: slice) -> _Category:
        bits = zip(matches.tp[iou_threshs], matches.ignored[iou_threshs], strict=True)
        return cls(matches.image, matches.truths.astype(np.float64), tuple(_Hits.of(*b) for b in bits))


def coco_ap_metric(matches: ApMatches, iou_threshs: slice = _ALL) -> BlockMetric:
    """AP as COCO defines it, a fraction: the mean over the categories with truth in the drawn images.

    `iou_threshs` chooses among 0.50:0.95: `slice(0, 1)` is AP50, `slice(5, 6)` AP75. A value is that of a data set
    which holds each image as often as it is drawn, its copies side by side; where detections of one image and category
    have equal scores, the copies of the first come before those of the second. All ones give `evaluate_coco`'s AP.

    Interpolated precision takes the luckiest case, so AP is too high where a category has few objects, and AP of drawn
    images a little more so, for which `bootstrap` corrects. From a difference of two models most of this cancels.
    """
    categories = [_Category.of(c, iou_threshs) for c in matches.categories.values() if c.truths.any()]

    def values(weights: IntArray) -> FloatArray:
        if weights.shape[1] != matches.images:
            raise ValueError(f"asked to draw from {weights.shape[1]} images, but there are matches of {matches.images}")
        times = weights.astype(np.float64)
        totals, counts = np.zeros((2, len(times)))
        for category in categories:
            truths = times @ category.truths
            totals += _average_precisions(category, times, truths)
            counts += truths > 0
        return np.divide(totals, counts, out=np.full_like(totals, math.nan), where=counts > 0)

    return BlockMetric(values)


def _average_precisions(category: _Category, times: FloatArray, truths: FloatArray) -> FloatArray:
    """One category's AP in each of D draws, 0 without truth. `times`: D x images, `truths`: D."""
    rows = max(1, _CHUNK_BYTES // (8 * max(1, len(category.image))))
    chunks = [slice(start, start + rows) for start in range(0, len(times), rows)]
    return np.concatenate([_chunk(category, times[c], truths[c]) for c in chunks])


def _chunk(category: _Category, times: FloatArray, truths: FloatArray) -> FloatArray:
    drawn = times.take(category.image, axis=1)
    ranks = drawn.cumsum(axis=1)
    total = np.zeros(len(times))
    for hits in category.thresholds:
        if len(hits.tp):
            seen = ranks.take(hits.tp, axis=1)
            if len(hits.ignored):
                seen -= _sums_before(drawn.take(hits.ignored, axis=1)).take(hits.ignored_before, axis=1)
            total += _area(drawn.take(hits.tp, axis=1).cumsum(axis=1), seen, truths)
    return total / len(category.thresholds)


def _sums_before(values: FloatArray) -> FloatArray:
    """D x n -> D x (n + 1): the sum of the first 0, 1, ... n."""
    return np.concatenate([np.zeros((len(values), 1)), values.cumsum(axis=1)], axis=1)


def _area(tp: FloatArray, seen: FloatArray, truths: FloatArray) -> FloatArray:
    """The mean of the interpolated precision at 101 recalls. D x n, `seen` the detections up to each true positive.

    Precision is highest at the last copy of a true positive, so the copies need not be told apart. A true positive
    that was not drawn reaches no recall and lowers no precision before it.
    """
    precision = tp / (seen + np.spacing(1))  # as pycocotools divides
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = tp / np.maximum(truths, 1)[:, None]
    reached = np.searchsorted(COCO_RECALLS, recall, side="right")
    areas: FloatArray = np.einsum("dn,dn->d", precision, np.diff(reached, axis=1, prepend=0)) / len(COCO_RECALLS)
    return areas
