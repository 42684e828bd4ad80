"""Where outlines cross themselves, for hundreds of thousands: GEOS picks out the sound ones, the rest is searched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.numbers import FloatArray

LONGEST_RING = 10_000  # points; beyond, the time would grow with their square for outlines made to that end
_SHORT_RING = 256  # points; such rings are searched together
_PAIRS = 1 << 20  # of edges, looked at together
_ROUNDING_PX2 = 1e-6  # two edges that only touch may seem to cross by that much


def crossings_xy(x: FloatArray, y: FloatArray, points: NDArray[np.int64]) -> FloatArray:
    """P rings one after another, `points` each -> P x 2: one place where edges of the ring cross, NaN if none do.

    Only a proper crossing counts: touching at a corner or running along each other does not. Rings of more than
    LONGEST_RING points are not looked at.
    """
    places = np.full((len(points), 2), np.nan)
    starts, rows = np.cumsum(points) - points, _unsound(x, y, points)
    is_short = points[rows] <= _SHORT_RING
    for some in (rows[is_short], *rows[~is_short, None]):
        lengths = points[some]
        corners = np.repeat(starts[some] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        places[some] = _first_crossings(np.column_stack([x[corners], y[corners]]), lengths)
    return places


def _unsound(x: FloatArray, y: FloatArray, points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the rings that GEOS does not take for simple: those that cross are among them."""
    import shapely

    looked_at = (points >= 4) & (points <= LONGEST_RING)
    rows = np.flatnonzero(looked_at)
    if not rows.size:
        return rows
    mine = np.repeat(looked_at, points)
    ring_of = np.repeat(np.arange(rows.size), points[rows])
    rings = shapely.linearrings(np.column_stack([x[mine], y[mine]]), indices=ring_of)
    return np.asarray(rows[~shapely.is_valid(shapely.polygons(rings))])


def _first_crossings(corners_xy: FloatArray, points: NDArray[np.int64]) -> FloatArray:
    """As `crossings_xy`, by trying the pairs of edges that overlap."""
    places = np.full((len(points), 2), np.nan)
    ring = np.repeat(np.arange(points.size), points)
    after = np.arange(1, ring.size + 1)
    after[np.cumsum(points) - 1] = np.cumsum(points) - points
    starts, steps = corners_xy, corners_xy[after] - corners_xy
    low, high = np.minimum(starts, corners_xy[after]), np.maximum(starts, corners_xy[after])
    shifts = _side_by_side(corners_xy[:, 0], points)[ring]
    for first, second in _pairs_that_overlap(low[:, 0] + shifts, high[:, 0] + shifts):
        near = (low[first, 1] < high[second, 1]) & (low[second, 1] < high[first, 1])
        first, second = first[near], second[near]
        crossing = _parted(starts, steps, first, second) & _parted(starts, steps, second, first)
        rings, numbers = np.unique(ring[first[crossing]], return_index=True)
        places[rings] = _meetings(starts, steps, first[crossing][numbers], second[crossing][numbers])
        if not np.isnan(places).any():
            break
    return places


def _side_by_side(x: FloatArray, points: NDArray[np.int64]) -> FloatArray:
    """How far each ring is moved along x so that no two overlap."""
    if not points.size:
        return np.zeros(0)
    firsts = np.cumsum(points) - points
    left, right = np.minimum.reduceat(x, firsts), np.maximum.reduceat(x, firsts)
    ends = np.cumsum(right - left + 1)
    return np.asarray(ends - right)


def _pairs_that_overlap(low: FloatArray, high: FloatArray) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All pairs of edges whose extents in x share more than a point, as two arrays, in portions of _PAIRS or so."""
    order = np.argsort(low)
    partners = np.searchsorted(low[order], high[order]) - np.arange(1, low.size + 1)
    partners = np.maximum(partners, 0)
    portions = np.cumsum(partners) // _PAIRS
    for rows in np.split(np.arange(low.size), np.flatnonzero(np.diff(portions)) + 1):
        count = partners[rows]
        first = np.repeat(rows, count)
        second = first + 1 + np.arange(first.size) - np.repeat(np.cumsum(count) - count, count)
        yield order[first], order[second]


def _parted(
    starts: FloatArray, steps: FloatArray, edges: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the two ends of each other edge lie on different sides of the edge."""
    to_start = starts[others] - starts[edges]
    side_of_start = _cross(steps[edges], to_start)
    side_of_end = _cross(steps[edges], to_start + steps[others])
    clear = np.minimum(np.abs(side_of_start), np.abs(side_of_end)) > _ROUNDING_PX2
    return np.asarray(clear & (np.sign(side_of_start) != np.sign(side_of_end)))


def _meetings(starts: FloatArray, steps: FloatArray, first: NDArray[np.int64], second: NDArray[np.int64]) -> FloatArray:
    across = _cross(steps[first], steps[second])
    share = _cross(starts[second] - starts[first], steps[second]) / across
    return np.asarray(starts[first] + share[:, None] * steps[first])


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
