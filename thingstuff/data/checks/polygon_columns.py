"""The polygons of a split as columns: how many points, from where to where, how large, where they cross themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.crossings import crossings_xy
from thingstuff.data.checks.numbers import FloatArray, as_floats
from thingstuff.structures.polygons import FARTHEST_PX

IntArray = NDArray[np.int64]

_FEWEST_NUMBERS = 6  # three points
_LINE_PX2 = 0.01  # below it nothing is between the lines but what rounding put there
_BLOCK_NUMBERS = 1 << 20  # measured together, so that little stands beside the records in memory


@dataclass(frozen=True, eq=False)
class Polygons:
    """P polygons in the order of their annotations. What is measured is NaN unless the polygon is sound."""

    annotations: IntArray  # the number of its annotation
    numbers: IntArray  # its number within the annotation
    lengths: IntArray  # how many numbers it is written in
    has_points: NDArray[np.bool_]  # three points or more, and each has its y
    is_sound: NDArray[np.bool_]  # that, and all its numbers are finite and not absurdly far away
    boxes_xyxy: FloatArray  # P x 4
    areas_px: FloatArray  # between the lines, not counted in pixels
    outlines_px: FloatArray  # how long its outline is
    crossings_xy: FloatArray  # P x 2: a place where it crosses itself; NaN where it does not, see `crossings`

    @classmethod
    def of(cls, segmentations: Sequence[Any], rows: IntArray) -> Polygons:
        """Of `segmentations[row]`, which for these rows are lists of lists of anything."""
        pieces = [piece for row in rows.tolist() for piece in segmentations[row]]
        counts = np.fromiter((len(segmentations[row]) for row in rows.tolist()), np.int64, rows.size)
        numbers = np.arange(len(pieces)) - np.repeat(np.cumsum(counts) - counts, counts)
        lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        has_points = (lengths >= _FEWEST_NUMBERS) & (lengths % 2 == 0)
        measures = np.full((len(pieces), 8), np.nan)
        for some in _blocks(np.flatnonzero(has_points), lengths):
            _measure([pieces[n] for n in some.tolist()], lengths[some] // 2, measures, some)
        return cls(
            np.repeat(rows, counts),
            numbers,
            lengths,
            has_points,
            np.isfinite(measures[:, 4]),
            *(measures[:, :4], measures[:, 4], measures[:, 5], measures[:, 6:]),
        )

    @property
    def is_line(self) -> NDArray[np.bool_]:
        """P: whether it surrounds nothing. What crosses itself may do so as much on one side as on the other."""
        return (self.areas_px < _LINE_PX2) & ~self.cross

    @property
    def cross(self) -> NDArray[np.bool_]:
        """P: whether it crosses itself."""
        return np.isfinite(self.crossings_xy[:, 0])


def _blocks(rows: IntArray, lengths: IntArray) -> Iterator[IntArray]:
    """The rows in portions of about _BLOCK_NUMBERS numbers."""
    portions = np.cumsum(lengths[rows]) // _BLOCK_NUMBERS
    return (rows_ for rows_ in np.split(rows, np.flatnonzero(np.diff(portions)) + 1) if rows_.size)


def _measure(pieces: list[Any], points: IntArray, measures: FloatArray, rows: IntArray) -> None:
    """Fill these rows of `measures`: box, area, length of the outline, crossing."""
    numbers = as_floats(list(chain.from_iterable(pieces)))
    x, y = numbers[0::2].copy(), numbers[1::2].copy()
    sound = np.logical_and.reduceat((np.abs(x) <= FARTHEST_PX) & (np.abs(y) <= FARTHEST_PX), _starts(points))
    if not sound.all():
        mine = np.repeat(sound, points)
        x, y, points, rows = x[mine], y[mine], points[sound], rows[sound]
    if not rows.size:
        return
    starts = _starts(points)
    columns = [np.minimum.reduceat(x, starts), np.minimum.reduceat(y, starts)]
    columns += [np.maximum.reduceat(x, starts), np.maximum.reduceat(y, starts)]
    columns += _areas_and_outlines(x, y, starts, points)
    measures[rows, :6] = np.column_stack(columns)
    measures[rows, 6:] = crossings_xy(x, y, points)


def _areas_and_outlines(x: FloatArray, y: FloatArray, starts: IntArray, points: IntArray) -> list[FloatArray]:
    after = np.arange(1, x.size + 1)
    after[starts + points - 1] = starts
    # from the first point of each, since the products of large numbers would lose the digits that matter
    x, y = x - np.repeat(x[starts], points), y - np.repeat(y[starts], points)
    areas = np.abs(np.add.reduceat(x * y[after] - x[after] * y, starts)) / 2
    return [areas, np.add.reduceat(np.hypot(x[after] - x, y[after] - y), starts)]


def _starts(points: IntArray) -> IntArray:
    return np.cumsum(points) - points
