"""Panoptic quality (Kirillov et al., 2019): segments are counted an image at a time; the division comes at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from thingstuff.errors import DataError
from thingstuff.structures import Categories, PanopticMap
from thingstuff.structures.runs import positions_of, run_starts

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

MATCH_IOU = 0.5  # a match is above it, and so no segment can match twice
IGNORED_SHARE = 0.5  # a false prediction is forgiven when more than this of it lies on void and crowd
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

    def add(self, predicted: PanopticMap, truth: PanopticMap) -> PanopticCounts:
        """Count one image; both maps have data set category ids.

        As in panopticapi a true crowd is neither found nor missed, void in the truth is taken out of the union, and of
        several crowds of one category only the last of `truth.segments` forgives predictions. Crowd flags of
        predictions are ignored. Unlike there, areas of the truth are its pixels, not what its JSON says.
        """
        if predicted.ids.shape != truth.ids.shape:
            raise DataError(f"the prediction has shape {predicted.ids.shape}, but the truth has {truth.ids.shape}")
        image = _Image.of(predicted, truth, self.categories)
        void_px = image.found_px(image.overlaps.true_rows < 0)
        true_rows, found_rows, iou = image.matches(void_px)
        matched = image.true_class[true_rows]
        classes = len(self.categories)
        return replace(
            self,
            tp=self.tp + np.bincount(matched, minlength=classes),
            fp=self.fp + np.bincount(image.wrong_classes(found_rows, void_px, classes), minlength=classes),
            fn=self.fn + np.bincount(image.missed_classes(true_rows), minlength=classes),
            iou_sum=self.iou_sum + np.bincount(matched, iou, minlength=classes),
        )

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


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """K pairs of a true and a predicted segment that share pixels, by true and then predicted id; row -1 is void."""

    true_rows: IntArray
    found_rows: IntArray
    shared_px: IntArray


@dataclass(frozen=True, slots=True)
class _Image:
    """T true and P predicted segments of one image as columns; a class is a row of the categories."""

    true_class: IntArray
    found_class: IntArray
    true_px: IntArray
    all_found_px: IntArray
    crowd: npt.NDArray[np.bool_]
    overlaps: _Overlaps

    @classmethod
    def of(cls, predicted: PanopticMap, truth: PanopticMap, categories: Categories) -> _Image:
        return cls(
            true_class=_classes(truth, categories, "true"),
            found_class=_classes(predicted, categories, "predicted"),
            true_px=_column(s.area for s in truth.segments),
            all_found_px=_column(s.area for s in predicted.segments),
            crowd=np.array([s.iscrowd for s in truth.segments], np.bool_),
            overlaps=_overlaps(predicted, truth),
        )

    def found_px(self, pairs: npt.NDArray[np.bool_]) -> IntArray:
        """Pixels of each predicted segment (P) in the chosen pairs."""
        chosen = pairs & (self.overlaps.found_rows >= 0)
        rows, pixels = self.overlaps.found_rows[chosen], self.overlaps.shared_px[chosen]
        return np.bincount(rows, pixels, minlength=self.found_class.size).astype(np.int64)

    def matches(self, void_px: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Rows of the matched true and predicted segments, and their IoU."""
        pairs = self.overlaps
        segments = (pairs.true_rows >= 0) & (pairs.found_rows >= 0)
        true, found, shared = pairs.true_rows[segments], pairs.found_rows[segments], pairs.shared_px[segments]
        union = self.all_found_px[found] + self.true_px[true] - shared - void_px[found]
        iou = shared / union
        hit = (iou > MATCH_IOU) & (self.true_class[true] == self.found_class[found]) & ~self.crowd[true]
        return true[hit], found[hit], iou[hit]

    def missed_classes(self, matched_rows: IntArray) -> IntArray:
        """The classes of the true segments that nothing matched, one entry a segment."""
        missed = ~self.crowd
        missed[matched_rows] = False
        return self.true_class[missed]

    def wrong_classes(self, matched_rows: IntArray, void_px: IntArray, class_count: int) -> IntArray:
        """The classes of the predicted segments that match nothing and are not forgiven, one entry a segment."""
        crowd_row = np.full(class_count, -1, np.int64)
        crowd_rows = np.flatnonzero(self.crowd)
        crowd_row[self.true_class[crowd_rows]] = crowd_rows  # the last one stays
        pairs = self.overlaps
        both = (pairs.true_rows >= 0) & (pairs.found_rows >= 0)
        on_crowd = np.zeros(both.shape, np.bool_)
        on_crowd[both] = crowd_row[self.found_class[pairs.found_rows[both]]] == pairs.true_rows[both]
        forgiven_px = void_px + self.found_px(on_crowd)
        wrong = ~(forgiven_px / self.all_found_px > IGNORED_SHARE)
        wrong[matched_rows] = False
        return self.found_class[wrong]


def _classes(panoptic: PanopticMap, categories: Categories, which: str) -> IntArray:
    ids = _column(s.category_id for s in panoptic.segments)
    rows = positions_of(ids, _column(c.id for c in categories.all))
    if np.any(rows < 0):
        segment = panoptic.segments[int(np.argmax(rows < 0))]
        raise DataError(f"{which} segment {segment.id}: no category has its category_id {segment.category_id}")
    return rows


def _column(values: Iterable[int]) -> IntArray:
    return np.fromiter(values, np.int64)


def _overlaps(predicted: PanopticMap, truth: PanopticMap) -> _Overlaps:
    """One sort of the runs in which neither id changes, whatever the number of segments."""
    pair_ids = truth.ids.reshape(-1).astype(np.uint64) << np.uint64(32) | predicted.ids.reshape(-1)
    starts = run_starts(pair_ids)
    pairs, pair_of_run = np.unique(pair_ids[starts], return_inverse=True)
    lengths_px = np.diff(starts, append=pair_ids.size)
    true_ids, found_ids = pairs >> np.uint64(32), pairs & np.uint64(2**32 - 1)
    return _Overlaps(
        positions_of(true_ids, _column(s.id for s in truth.segments)),
        positions_of(found_ids, _column(s.id for s in predicted.segments)),
        np.bincount(pair_of_run, lengths_px, minlength=pairs.size).astype(np.int64),
    )


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
