"""One image merged by many greedy rules at the price of a few: what differs in nothing is merged and counted once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thingstuff.evaluation import PanopticCounts, SegmentRuns
from thingstuff.merge import Greedy, Ledger, merge
from thingstuff.structures import Categories, Detections, PanopticMap

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shared:
    """What R rules give: K different `counts` (K x C x 4: tp, fp, fn, iou_sum of a category) and the `row` (R)."""

    counts: FloatArray
    row: IntArray

    def each(self) -> FloatArray:
        """R x C x 4."""
        return self.counts[self.row]


@dataclass(frozen=True, eq=False)
class Layout:
    """The map of one choice of instances, with all stuff that is left however small.

    It is that of all rules that let the first `chosen` instances by score take part and whose overlap threshold is
    `lowest` or more and below `highest`: the shares of them that were taken say so.
    """

    chosen: int
    lowest: float
    highest: float
    panoptic: PanopticMap

    def serves(self, chosen: int, overlap_thresh: float) -> bool:
        return chosen == self.chosen and self.lowest <= overlap_thresh < self.highest


def layouts(
    detections: Detections, stuff_map: npt.NDArray[np.uint16], categories: Categories, rules: Iterable[Greedy]
) -> tuple[list[Layout], list[int]]:
    """The different layouts of an image, and each rule's place among them."""
    scores = detections.scores.astype(np.float64)  # as the rule compares them: 0.7 is more than float32's 0.7
    found: list[Layout] = []
    places = []
    for rule in rules:
        chosen = int(np.count_nonzero(scores >= rule.instances_confidence_thresh))
        place = next((n for n, one in enumerate(found) if one.serves(chosen, rule.overlap_thresh)), None)
        if place is None:
            place = len(found)
            plain = Greedy(rule.overlap_thresh, 0, rule.instances_confidence_thresh)
            panoptic, ledger = merge(detections, stuff_map, categories, plain)
            found.append(Layout(chosen, *_overlap_range(ledger), panoptic))
        places.append(place)
    return found, places


def count_rules(
    found: Sequence[Layout], places: Sequence[int], rules: Sequence[Greedy], truth: PanopticMap, categories: Categories
) -> Shared:
    """PQ's counts of one image by every rule; `found` and `places` are what `layouts` gave."""
    true, runs = SegmentRuns.of(truth), [SegmentRuns.of(one.panoptic) for one in found]
    rows: dict[tuple[int, frozenset[int]], int] = {}
    counts: list[FloatArray] = []
    row = np.zeros(len(rules), np.int64)
    for number, (rule, place) in enumerate(zip(rules, places, strict=True)):
        key = (place, _too_small(runs[place], rule.stuff_area_limit))
        if key not in rows:
            rows[key] = len(counts)
            one = PanopticCounts.empty(categories).add(_without(runs[place], key[1]), true)
            counts.append(np.stack([one.tp, one.fp, one.fn, one.iou_sum], axis=1).astype(np.float64))
        row[number] = rows[key]
    return Shared(np.stack(counts), row)


def _overlap_range(ledger: Ledger) -> tuple[float, float]:
    """Which overlap thresholds would have left the same; what is taken wholly leaves nothing under any."""
    kept = [e.lost_px / e.area_px for e in ledger.instances if e.reason is None]
    dropped = [float(e.value) for e in ledger.instances if e.reason == "overlap" and e.value is not None]
    return max(kept, default=0.0), min((share for share in dropped if share < 1), default=np.inf)


def _too_small(runs: SegmentRuns, limit: float) -> frozenset[int]:
    """Places of the stuff segments that the rule's area limit drops."""
    height, width = runs.shape
    limit_px = limit * (height * width if limit < 1 else 1)
    return frozenset(n for n, segment in enumerate(runs.segments) if not segment.isthing and segment.area < limit_px)


def _without(runs: SegmentRuns, places: frozenset[int]) -> SegmentRuns:
    """The same map, where these segments are void."""
    if not places:
        return runs
    stays = np.array([n not in places for n in range(len(runs.segments))])
    rows = np.append(np.where(stays, np.cumsum(stays) - 1, -1), -1).astype(np.int32)  # the last is void's, -1
    segments = tuple(segment for n, segment in enumerate(runs.segments) if n not in places)
    return SegmentRuns(runs.shape, segments, runs.starts, rows[runs.rows])
