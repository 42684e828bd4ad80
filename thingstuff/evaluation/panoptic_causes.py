"""Where panoptic quality is lost: what it would be if one cause of errors were mended and all else stayed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thingstuff.errors import DataError
from thingstuff.evaluation.panoptic_quality import PanopticCounts
from thingstuff.evaluation.segment_overlaps import (
    MATCH_IOU,
    BoolArray,
    FloatArray,
    IntArray,
    Overlaps,
    SegmentPairs,
    SegmentRuns,
)
from thingstuff.structures import Categories, Detections, PanopticMap, check_stuff_map
from thingstuff.structures.runs import positions_of

Records = Sequence[Mapping[str, Any]]
StuffMap = npt.NDArray[np.uint16]
Masks = Iterator[tuple[npt.NDArray[np.uint32], int]]  # the true ids under a mask, and its category id

CAUSES = ("class", "split", "merged", "dropped", "stuff_limit", "masks", "missed", "false")
MOSTLY = 0.5  # a segment lies mostly inside another with more than this share of its pixels, so in one at most


@dataclass(frozen=True, slots=True)
class Gain:
    """PQ (a fraction) that one mended cause would add, for all categories, things and stuff, and whom it concerns.

    `segments` are true segments, for `false` predicted ones. A gain is NaN where PQ is undefined before or after.
    """

    pq: float
    pq_th: float
    pq_st: float
    segments: int


@dataclass(frozen=True, eq=False)
class PanopticCauses:
    """The counts of panoptic quality as they are, and, for each of `CAUSES`, as they would be without it.

    Every cause is mended alone, and PQ is computed anew from tp, fp, fn and the sum of IoU. A segment may suffer from
    two causes, so gains do not add up. IoU and matches are those of `PanopticCounts`: void in the truth is taken out,
    and a true crowd is neither found nor missed and so never mended. `add` gives the causes with one more image, `+`
    joins those of several processes; no image is kept.

    `class`, `split`, `merged`, `dropped`, `stuff_limit` and `false` are defined by the functions of these names below.
    `masks`: every match gets IoU 1, so iou_sum = tp; it concerns those below 1. `missed`: a true segment that nothing
    matches and none of the first five explains is found with IoU 1, the most it can bring: tp + 1, fn - 1, iou_sum + 1.
    """

    counts: PanopticCounts
    mended: Mapping[str, PanopticCounts]
    segments: Mapping[str, IntArray]  # one row a category, in the order of the categories

    @classmethod
    def empty(cls, categories: Categories) -> PanopticCauses:
        counts = PanopticCounts.empty(categories)
        return cls(counts, dict.fromkeys(CAUSES, counts), dict.fromkeys(CAUSES, counts.tp))

    def add(
        self,
        predicted: PanopticMap,
        truth: PanopticMap,
        ledger_records: Records | None,
        detections: Detections | None = None,
        stuff_map: StuffMap | None = None,
    ) -> PanopticCauses:
        """Add one image; the records, the N detections and the H x W stuff map are what the prediction was merged from.

        Without records and detections nothing is found to be `dropped`, and without records and a stuff map nothing to
        be lost by `stuff_limit`: such segments are then `missed`.
        """
        categories = self.counts.categories
        pair = _Pair.of(predicted, truth, categories)
        dropped = [record for record in ledger_records or () if record["outcome"] == "dropped"]
        instances = [record for record in dropped if record["kind"] == "instance"]
        regions = [record for record in dropped if record["kind"] == "stuff" and record["reason"] == "area"]
        put_back = {
            "dropped": pair.rescue(_dropped(truth, instances, detections)),
            "stuff_limit": pair.rescue(_stuff_limit(predicted, truth, regions, stuff_map, categories)),
        }
        return self + _attributed(pair, put_back, categories)

    def __add__(self, other: PanopticCauses) -> PanopticCauses:
        return PanopticCauses(
            self.counts + other.counts,
            {cause: self.mended[cause] + other.mended[cause] for cause in CAUSES},
            {cause: self.segments[cause] + other.segments[cause] for cause in CAUSES},
        )

    def gains(self) -> dict[str, Gain]:
        """Divide: for each cause PQ after mending minus PQ as it is.

        A category that only false predictions have counts in the mean of PQ, and no longer does once they are mended.
        """
        now = self.counts.scores().numbers
        gains = {}
        for cause in CAUSES:
            then = self.mended[cause].scores().numbers
            pq, pq_th, pq_st = (then[name] - now[name] for name in ("PQ", "PQ_th", "PQ_st"))
            gains[cause] = Gain(pq, pq_th, pq_st, int(self.segments[cause].sum()))
        return gains


class _Regroup(NamedTuple):
    """Other predicted segments: their row for each overlap (-1 is void), their class, and which of K it concerns."""

    found_rows: IntArray
    found_class: IntArray
    chosen: IntArray


@dataclass(frozen=True, slots=True)
class _Pair:
    """A prediction and its truth: K overlaps of a predicted and a true segment that is no crowd, as columns."""

    truth: PanopticMap
    image: SegmentPairs
    numbers: IntArray  # K, places in `image.overlaps`
    true: IntArray  # K
    found: IntArray  # K
    shared_px: IntArray  # K
    same_class: BoolArray  # K
    seen_px: IntArray  # P, pixels of the predicted segments that are not void in the truth
    match_iou: FloatArray  # T, 0 without a match
    missed: BoolArray  # T, crowds left out
    unmatched: BoolArray  # P

    @classmethod
    def of(cls, predicted: PanopticMap, truth: PanopticMap, categories: Categories) -> _Pair:
        image = SegmentPairs.of(SegmentRuns.of(predicted), SegmentRuns.of(truth), categories)
        overlaps = image.overlaps
        numbers = np.flatnonzero((overlaps.true_rows >= 0) & (overlaps.found_rows >= 0))
        numbers = numbers[~image.crowd[overlaps.true_rows[numbers]]]
        true, found, shared_px = overlaps.true_rows[numbers], overlaps.found_rows[numbers], overlaps.shared_px[numbers]
        same_class = image.true_class[true] == image.found_class[found]
        void_px = image.void_px()
        true_rows, found_rows, iou = image.matches(void_px)
        match_iou, unmatched = np.zeros(image.crowd.shape), np.ones(void_px.shape, np.bool_)
        match_iou[true_rows] = iou
        unmatched[found_rows] = False
        missed = (match_iou == 0) & ~image.crowd
        seen_px = image.all_found_px - void_px
        return cls(truth, image, numbers, true, found, shared_px, same_class, seen_px, match_iou, missed, unmatched)

    def rescue(self, masks: Masks) -> FloatArray:
        """IoU (T) of the mask of its class that would match a missed true segment best; 0 if none would."""
        true_ids = np.array([s.id for s in self.truth.segments], np.int64)
        category_ids = np.array([s.category_id for s in self.truth.segments], np.int64)
        best = np.zeros(true_ids.shape)
        for ids, category_id in masks:
            shared_px = np.bincount(positions_of(ids, true_ids) + 1, minlength=true_ids.size + 1)  # the first is void
            iou = shared_px[1:] / (ids.size - shared_px[0] + self.image.true_px - shared_px[1:])
            best = np.maximum(best, iou * ((iou > MATCH_IOU) & (category_ids == category_id) & self.missed))
        return best


def _attributed(pair: _Pair, put_back: Mapping[str, FloatArray], categories: Categories) -> PanopticCauses:
    """The causes of one image. Each of `put_back` is an IoU (T), 0 for what it does not concern."""
    now = PanopticCounts.of_pairs(pair.image, categories)
    regroups = {"class": _class(pair), "split": _split(pair), "merged": _merged(pair)}
    concerned = {cause: np.isin(np.arange(pair.missed.size), pair.true[r.chosen]) for cause, r in regroups.items()}
    concerned |= {cause: iou > 0 for cause, iou in put_back.items()}
    concerned["masks"] = (pair.match_iou > 0) & (pair.match_iou < 1)
    explained_true = np.logical_or.reduce([concerned[cause] for cause in (*regroups, *put_back)])
    concerned["missed"] = pair.missed & ~explained_true
    explained_found = np.concatenate([pair.found[regroup.chosen] for regroup in regroups.values()])
    put_back = {**put_back, "missed": concerned["missed"].astype(np.float64)}
    mended = {
        c: PanopticCounts.of_pairs(_regrouped(pair.image, r), categories) if r.chosen.size else now
        for c, r in regroups.items()
    }
    mended["false"] = replace(
        now, fp=PanopticCounts.of_pairs(_regrouped(pair.image, _false(pair, explained_found)), categories).fp
    )
    mended |= {cause: _with_matches(now, pair.image.true_class, iou) for cause, iou in put_back.items()}
    mended["masks"] = replace(now, iou_sum=now.tp.astype(np.float64))
    segments = {c: np.bincount(pair.image.true_class[true], minlength=len(now.tp)) for c, true in concerned.items()}
    return PanopticCauses(now, mended, segments | {"false": now.fp - mended["false"].fp})


def _class(pair: _Pair) -> _Regroup:
    """A predicted segment with IoU > 0.5 with a true segment of another category gets the category of the truth.

    So for each: tp + 1, fn - 1 and iou_sum + IoU in the true category, fp - 1 in the predicted one (unless forgiven).
    """
    union_px = pair.seen_px[pair.found] + pair.image.true_px[pair.true] - pair.shared_px
    chosen = np.flatnonzero((pair.shared_px / union_px > MATCH_IOU) & ~pair.same_class)
    found_class = pair.image.found_class.copy()
    found_class[pair.found[chosen]] = pair.image.true_class[pair.true[chosen]]
    return _Regroup(pair.image.overlaps.found_rows, found_class, chosen)


def _split(pair: _Pair) -> _Regroup:
    """Predicted segments of a true segment's class with > 0.5 of their pixels in it become one, if that matches it.

    The true segment is one that nothing matches, and their union has IoU > 0.5 with it. So for n pieces: tp + 1,
    fn - 1, fp - n, iou_sum + IoU of the union.
    """
    mostly = pair.shared_px / pair.image.all_found_px[pair.found] > MOSTLY
    pieces = np.flatnonzero(mostly & pair.same_class & pair.missed[pair.true])
    of = pair.true[pieces]
    shared_px = np.bincount(of, pair.shared_px[pieces], minlength=pair.missed.size)
    seen_px = np.bincount(of, pair.seen_px[pair.found[pieces]], minlength=pair.missed.size)
    whole = shared_px / (seen_px + pair.image.true_px - shared_px) > MATCH_IOU
    pieces = pieces[whole[of]]
    head = np.arange(pair.unmatched.size)
    _, first, piece_of = np.unique(pair.true[pieces], return_index=True, return_inverse=True)
    head[pair.found[pieces]] = pair.found[pieces][first][piece_of]
    return _Regroup(np.append(head, -1)[pair.image.overlaps.found_rows], pair.image.found_class, pieces)


def _merged(pair: _Pair) -> _Regroup:
    """A predicted segment with > 0.5 of each of n >= 2 true segments of its class in it is cut into them.

    Its pixels elsewhere become void. So a part has IoU = its share of the true segment and matches: where m of the n
    were matched (0 or 1), tp + n - m, fn - n + m, fp - 1 + m, and iou_sum gains the n shares less the IoU before.
    """
    covered = pair.same_class & (pair.shared_px / pair.image.true_px[pair.true] > MOSTLY)
    count = np.bincount(pair.found[covered], minlength=pair.unmatched.size)
    parts = np.flatnonzero(covered & (count[pair.found] > 1))
    found_rows = pair.image.overlaps.found_rows
    found_rows = np.where(np.append(count > 1, False)[found_rows], -1, found_rows)
    found_rows[pair.numbers[parts]] = count.size + np.arange(parts.size)
    found_class = np.append(pair.image.found_class, pair.image.true_class[pair.true[parts]])
    return _Regroup(found_rows, found_class, parts)


def _dropped(truth: PanopticMap, records: Records, detections: Detections | None) -> Masks:
    """A missed true segment that the full mask of a dropped instance of its class matches is put back, the best one.

    So tp + 1, fn - 1, iou_sum + IoU. What took its place stays, right or wrong, and instances that were dropped and
    match nothing stay dropped.
    """
    if detections is None or not records:
        return
    masks = detections.masks
    if masks is None or (masks.height, masks.width) != truth.ids.shape:
        have = "none" if masks is None else str((masks.height, masks.width))
        raise DataError(f"detections: expected masks of shape {truth.ids.shape}, as the truth has, got {have}")
    for record in records:
        index = record["index"]
        if not 0 <= index < len(masks):
            raise DataError(f"ledger: expected an instance below {len(masks)}, one of the detections, got {index}")
        x0, y0, x1, y1 = masks.boxes_xyxy[index].tolist()
        yield truth.ids[y0:y1, x0:x1][masks.crops[index] > 0], record["category_id"]


def _stuff_limit(
    predicted: PanopticMap, truth: PanopticMap, records: Records, stuff_map: StuffMap | None, categories: Categories
) -> Masks:
    """A missed true segment that a stuff region of its class matches which was dropped by its area is put back.

    So tp + 1, fn - 1, iou_sum + IoU. The pixels of the region are those of its label in the stuff map without those of
    predicted things. Regions that match nothing stay dropped.
    """
    if stuff_map is None:
        return
    check_stuff_map(stuff_map, categories, *truth.ids.shape)
    things = np.array([s.id for s in predicted.segments if s.isthing], np.int64)
    for category_id in [record["category_id"] for record in records]:
        label = categories.stuff_map(np.array([category_id], np.int64))
        yield truth.ids[(stuff_map == label) & (positions_of(predicted.ids, things) < 0)], category_id


def _false(pair: _Pair, explained: IntArray) -> _Regroup:
    """What matches nothing, is not forgiven and is in no class, split or merged error is removed: for each fp - 1."""
    gone = pair.unmatched & ~np.isin(np.arange(pair.unmatched.size), explained)
    rows = pair.image.overlaps.found_rows
    rows = np.where(np.append(gone, False)[rows], -1, rows)
    return _Regroup(rows, pair.image.found_class, np.flatnonzero(gone[pair.found]))


def _regrouped(image: SegmentPairs, regroup: _Regroup) -> SegmentPairs:
    """The image with these predicted segments; those without an overlap vanish."""
    used, rows = np.unique(np.append(regroup.found_rows, -1), return_inverse=True)  # row 0 is void
    keys, key_of = np.unique((image.overlaps.true_rows + 1) * used.size + rows[:-1], return_inverse=True)
    shared_px = np.bincount(key_of, image.overlaps.shared_px, minlength=keys.size).astype(np.int64)
    overlaps = Overlaps(keys // used.size - 1, keys % used.size - 1, shared_px)
    all_found_px = np.bincount(overlaps.found_rows + 1, shared_px, minlength=used.size).astype(np.int64)[1:]
    return replace(image, found_class=regroup.found_class[used[1:]], all_found_px=all_found_px, overlaps=overlaps)


def _with_matches(now: PanopticCounts, true_class: IntArray, iou: FloatArray) -> PanopticCounts:
    """The counts if missed segments (T) were matched with this IoU, where it is not 0; fp stays."""
    classes, iou = true_class[iou > 0], iou[iou > 0]
    tp = np.bincount(classes, minlength=len(now.tp))
    return replace(now, tp=now.tp + tp, fn=now.fn - tp, iou_sum=now.iou_sum + np.bincount(classes, iou, len(now.tp)))
