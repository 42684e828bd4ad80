"""How the segments of two panoptic maps lie over each other: all that panoptic quality has to know of an image.

A map is kept as runs of equal ids, which take a hundredth of its pixels' memory: the truth of a whole data set is
decoded once and serves every evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thingstuff.errors import DataError
from thingstuff.structures import Categories, PanopticMap, Segment
from thingstuff.structures.runs import positions_of, run_starts

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MATCH_IOU = 0.5  # a match is above it, and so no segment can match twice
IGNORED_SHARE = 0.5  # a false prediction is forgiven when more than this of it lies on void and crowd
_TABLE_CELLS = 2**22  # pairs that are counted in a table; more of them are sorted


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRuns:
    """The S segments of one H x W map, and the R runs of its flat pixels (row-major) in which the segment is the same.

    `starts` (int32) are first pixels, the first is 0; `rows` (int32) are places in `segments`, -1 is void.
    """

    shape: tuple[int, int]
    segments: tuple[Segment, ...]
    starts: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]

    @classmethod
    def of(cls, panoptic: PanopticMap) -> SegmentRuns:
        flat = panoptic.ids.reshape(-1)
        starts = run_starts(flat)
        rows = positions_of(flat[starts], column(s.id for s in panoptic.segments))
        height, width = panoptic.ids.shape
        return cls((height, width), panoptic.segments, starts.astype(np.int32), rows.astype(np.int32))

    def classes(self, categories: Categories, which: str) -> IntArray:
        """Each segment's row of the categories (S)."""
        ids = column(s.category_id for s in self.segments)
        rows = positions_of(ids, column(c.id for c in categories.all))
        if np.any(rows < 0):
            segment = self.segments[int(np.argmax(rows < 0))]
            raise DataError(f"{which} segment {segment.id}: no category has its category_id {segment.category_id}")
        return rows

    def areas_px(self) -> IntArray:
        return column(s.area for s in self.segments)


@dataclass(frozen=True, slots=True)
class Overlaps:
    """K pairs of a true and a predicted segment that share pixels, by true and then predicted row; row -1 is void."""

    true_rows: IntArray
    found_rows: IntArray
    shared_px: IntArray

    @classmethod
    def of(cls, found: SegmentRuns, true: SegmentRuns) -> Overlaps:
        """From the runs in which neither segment changes, without a look at pixels."""
        begins = np.concatenate([true.starts, found.starts])
        order = np.argsort(begins, kind="stable")  # two sorted parts, which merge
        is_true = order < true.starts.size
        true_rows = true.rows[np.cumsum(is_true) - 1]
        found_rows = found.rows[np.cumsum(~is_true) - 1]  # wrong for the first begin only, whose run has no length
        height, width = true.shape
        lengths_px = np.diff(begins[order], append=height * width)
        columns = len(found.segments) + 1
        cells = (true_rows + 1).astype(np.int64) * columns + (found_rows + 1)
        return cls(*_summed(cells, lengths_px, (len(true.segments) + 1) * columns, columns))


def _summed(cells: IntArray, lengths_px: npt.NDArray[np.int32], count: int, columns: int) -> tuple[IntArray, ...]:
    """True rows, predicted rows and pixels of the cells that are not empty."""
    if count <= _TABLE_CELLS:
        table = np.bincount(cells, lengths_px, minlength=count)
        used = np.flatnonzero(table)
        shared_px = table[used]
    else:
        used, place = np.unique(cells, return_inverse=True)
        shared_px = np.bincount(place, lengths_px, minlength=used.size)
        used, shared_px = used[shared_px > 0], shared_px[shared_px > 0]
    return used // columns - 1, used % columns - 1, shared_px.astype(np.int64)


@dataclass(frozen=True, slots=True)
class SegmentPairs:
    """T true and P predicted segments of one image as columns; a class is a row of the categories."""

    true_class: IntArray
    found_class: IntArray
    true_px: IntArray
    all_found_px: IntArray
    crowd: BoolArray
    overlaps: Overlaps

    @classmethod
    def of(cls, found: SegmentRuns, true: SegmentRuns, categories: Categories) -> SegmentPairs:
        if found.shape != true.shape:
            raise DataError(f"the prediction has shape {found.shape}, but the truth has {true.shape}")
        return cls(
            true_class=true.classes(categories, "true"),
            found_class=found.classes(categories, "predicted"),
            true_px=true.areas_px(),
            all_found_px=found.areas_px(),
            crowd=np.array([s.iscrowd for s in true.segments], np.bool_),
            overlaps=Overlaps.of(found, true),
        )

    def void_px(self) -> IntArray:
        """Pixels of each predicted segment (P) that are void in the truth."""
        return self.found_px(self.overlaps.true_rows < 0)

    def found_px(self, pairs: BoolArray) -> IntArray:
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


def column(values: Iterable[int]) -> IntArray:
    """One number a segment."""
    return np.fromiter(values, np.int64)
