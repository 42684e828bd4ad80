"""Panoptic quality (Kirillov et al., 2019): segments are counted an image at a time; the division comes at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from thingstuff.evaluation.segment_overlaps import FloatArray, IntArray, SegmentPairs, SegmentRuns
from thingstuff.structures import Categories, PanopticMap

_QUALITIES = ("PQ", "SQ", "RQ")
_GROUPS: Mapping[str, tuple[str, bool | None]] = {"All": ("", None), "Things": ("_th", True), "Stuff": ("_st", False)}


@dataclass(frozen=True, slots=True)
class CategoryQuality:
    """One category: quality as fractions (NaN if no segment of it counts), and what they are the quotients of."""

    pq: float
    sq: float
    rq: float
    tp: int
    fp: int
    fn: int
    iou_sum: float


@dataclass(frozen=True)
class PanopticQuality:
    """Fractions, as panopticapi computes them; an undefined one is NaN and `undefined` says why.

    `numbers` holds PQ, SQ and RQ of all categories, of things (PQ_th, ...) and of stuff (PQ_st, ...). Each is a mean
    over the categories with a segment that counts, true or predicted; `category_counts` says how many those are under
    All, Things and Stuff. `per_category` is by data set id. Where panopticapi gives an absent category 0 and fails
    without any category, this says NaN.
    """

    categories: Categories
    numbers: Mapping[str, float]
    category_counts: Mapping[str, int]
    per_category: Mapping[int, CategoryQuality]
    undefined: Mapping[str, str]

    def percent(self) -> dict[str, float]:
        """Percent under the keys of Detectron2's `COCOPanopticEvaluator`, and PQ-, SQ- and RQ-<category> of each."""
        percent = {name: 100 * value for name, value in self.numbers.items()}
        for category in self.categories.all:
            quality = self.per_category[category.id]
            percent |= {f"{name}-{category.name}": 100 * getattr(quality, name.lower()) for name in _QUALITIES}
        return percent

    def lines(self) -> tuple[str, ...]:
        """The table that panopticapi prints, one row a line; `-` for what is undefined."""
        header = "{:10s}| {:>5s}  {:>5s}  {:>5s} {:>5s}".format("", "PQ", "SQ", "RQ", "N")
        return (header, "-" * 38, *(self._line(group) for group in _GROUPS))

    def _line(self, group: str) -> str:
        values = [self.numbers[name + _GROUPS[group][0]] for name in _QUALITIES]
        pq, sq, rq = ("-" if math.isnan(v) else f"{100 * v:.1f}" for v in values)
        return f"{group:10s}| {pq:>5s}  {sq:>5s}  {rq:>5s} {self.category_counts[group]:5d}"


@dataclass(frozen=True, eq=False)
class PanopticCounts:
    """Matched, falsely predicted and missed segments (int64) and the matched ones' IoU (float64), one row a category.

    Rows are in the order of `categories`. `add` gives the counts with one more image, `+` joins those of several
    processes.
    """

    categories: Categories
    tp: IntArray
    fp: IntArray
    fn: IntArray
    iou_sum: FloatArray

    def __post_init__(self) -> None:
        shapes = {column.shape for column in (self.tp, self.fp, self.fn, self.iou_sum)}
        if shapes != {(len(self.categories),)}:
            raise ValueError(f"expected four columns of {len(self.categories)} categories, got {sorted(shapes)}")

    @classmethod
    def empty(cls, categories: Categories) -> PanopticCounts:
        none = np.zeros(len(categories), np.int64)
        return cls(categories, none, none, none, np.zeros(len(categories)))

    @classmethod
    def of_pairs(cls, pairs: SegmentPairs, categories: Categories) -> PanopticCounts:
        """The counts of one image."""
        classes, void_px = len(categories), pairs.void_px()
        true_rows, found_rows, iou = pairs.matches(void_px)
        matched = pairs.true_class[true_rows]
        return cls(
            categories,
            tp=np.bincount(matched, minlength=classes),
            fp=np.bincount(pairs.wrong_classes(found_rows, void_px, classes), minlength=classes),
            fn=np.bincount(pairs.missed_classes(true_rows), minlength=classes),
            iou_sum=np.bincount(matched, iou, minlength=classes).astype(np.float64),
        )

    def add(self, predicted: PanopticMap | SegmentRuns, truth: PanopticMap | SegmentRuns) -> PanopticCounts:
        """Count one image; both have data set category ids. A truth that serves often is best kept as runs.

        As in panopticapi a true crowd is neither found nor missed, void in the truth is taken out of the union, and of
        several crowds of one category only the last of `truth.segments` forgives predictions. Crowd flags of
        predictions are ignored. Unlike there, areas of the truth are its pixels, not what its JSON says.
        """
        found, true = (m if isinstance(m, SegmentRuns) else SegmentRuns.of(m) for m in (predicted, truth))
        return self + PanopticCounts.of_pairs(SegmentPairs.of(found, true, self.categories), self.categories)

    def __add__(self, other: PanopticCounts) -> PanopticCounts:
        if self.categories != other.categories:
            raise ValueError("these counts are of other categories")
        sums = (self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou_sum + other.iou_sum)
        return PanopticCounts(self.categories, *sums)

    def scores(self) -> PanopticQuality:
        """Divide. A category of which nothing was matched has SQ 0, and that counts in the mean, as in panopticapi."""
        columns = (self.tp.tolist(), self.fp.tolist(), self.fn.tolist(), self.iou_sum.tolist())
        qualities = [_quality(*row) for row in zip(*columns, strict=True)]
        numbers, category_counts = {}, {}
        for group, (suffix, isthing) in _GROUPS.items():
            chosen = zip(self.categories.all, qualities, strict=True)
            counted = [q for c, q in chosen if isthing in (None, c.isthing) and not math.isnan(q.pq)]
            category_counts[group] = len(counted)
            numbers[f"PQ{suffix}"] = _mean(q.pq for q in counted)
            numbers[f"SQ{suffix}"] = _mean(q.sq for q in counted)
            numbers[f"RQ{suffix}"] = _mean(q.rq for q in counted)
        per_category = {c.id: q for c, q in zip(self.categories.all, qualities, strict=True)}
        undefined = _undefined(self.categories, numbers, per_category)
        return PanopticQuality(self.categories, numbers, category_counts, per_category, undefined)


def _quality(tp: int, fp: int, fn: int, iou_sum: float) -> CategoryQuality:
    if tp + fp + fn == 0:
        return CategoryQuality(math.nan, math.nan, math.nan, tp, fp, fn, iou_sum)
    segments = tp + 0.5 * fp + 0.5 * fn
    return CategoryQuality(iou_sum / segments, iou_sum / tp if tp else 0.0, tp / segments, tp, fp, fn, iou_sum)


def _mean(values: Iterable[float]) -> float:
    defined = list(values)
    return sum(defined) / len(defined) if defined else math.nan


def _undefined(
    categories: Categories, numbers: Mapping[str, float], per_category: Mapping[int, CategoryQuality]
) -> dict[str, str]:
    """Name -> reason, for every NaN of `PanopticQuality.percent`."""
    reasons: dict[str, str] = {}
    for suffix, isthing in _GROUPS.values():
        if math.isnan(numbers[f"PQ{suffix}"]):
            what = {None: "segment", True: "thing", False: "stuff region"}[isthing]
            reasons |= {f"{name}{suffix}": _absent(what) for name in _QUALITIES}
    absent = [c.name for c in categories.all if math.isnan(per_category[c.id].pq)]
    return reasons | {f"{quality}-{name}": _absent(repr(name)) for name in absent for quality in _QUALITIES}


def _absent(what: str) -> str:
    return f"no {what} in the truth or the predictions (crowds and what is predicted on crowd or void do not count)"
