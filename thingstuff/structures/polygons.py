"""COCO polygons -> mask crops, pixel for pixel as pycocotools rasterises them.

The rule (Lin et al., "Microsoft COCO", mask API): corners are rounded to fifths of a pixel, the outline is walked
in those steps, every crossing of a pixel column's centre switches inside and outside from that pixel on.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.spans import Box, Spans, crop_from_spans

STEPS_PER_PIXEL = 5
FARTHEST_PX = 1_000_000  # a corner farther out is damage, and its outline would fill the memory

Polygon = Sequence[float] | NDArray[Any]


def polygons_crop(polygons: Sequence[Polygon], height: int, width: int) -> tuple[NDArray[np.uint8], Box]:
    """The union of one instance's polygons, each [x, y, x, y, ...] in pixels -> (tight uint8 crop, its box)."""
    if not isinstance(polygons, list | tuple):
        raise DataError(
            f"polygons: expected a list of lists, got {type(polygons).__name__} {reprlib.repr(polygons)[:60]}"
        )
    pieces = [crop_from_spans(polygon_spans(polygon, height, width), height) for polygon in polygons]
    pieces = [(crop, box) for crop, box in pieces if crop.size]
    if not pieces:
        return np.zeros((0, 0), np.uint8), (0, 0, 0, 0)
    corners = np.array([box for _, box in pieces])
    left, top = corners[:, :2].min(axis=0).tolist()
    right, bottom = corners[:, 2:].max(axis=0).tolist()
    union = np.zeros((bottom - top, right - left), np.uint8)
    for crop, (x0, y0, x1, y1) in pieces:
        union[y0 - top : y1 - top, x0 - left : x1 - left] |= crop
    return union, (left, top, right, bottom)


def polygon_spans(polygon: Polygon, height: int, width: int) -> Spans:
    """One polygon's inside as column spans of an H x W image."""
    x, y = _crossings(*_outline(_corners(polygon)), height, width)
    edges, times = np.unique(x * height + y, return_counts=True)
    # Two crossings at one place cancel each other; one at the end of the image changes nothing.
    edges = edges[(times % 2 == 1) & (edges < height * width)]
    edges = edges if edges.size % 2 == 0 else np.append(edges, height * width)
    return edges.reshape(-1, 2)


def checked_polygon(polygon: Polygon) -> NDArray[np.float64]:
    """x, y, x, y, ...; DataError for what is no polygon, or lies farther out than anybody draws."""
    try:
        numbers = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"polygon: expected numbers, got {reprlib.repr(polygon)[:60]}") from None
    if numbers.ndim != 1 or numbers.size < 6 or numbers.size % 2:
        raise DataError(f"polygon: expected x, y of 3 corners or more in one list, got {reprlib.repr(polygon)[:60]}")
    if not np.all(np.abs(numbers) <= FARTHEST_PX):
        raise DataError(f"polygon: expected corners within {FARTHEST_PX} pixels, got {reprlib.repr(polygon)[:60]}")
    return numbers


def _corners(polygon: Polygon) -> NDArray[np.int64]:
    """K x 2 corners in fifths of a pixel."""
    return (STEPS_PER_PIXEL * checked_polygon(polygon).reshape(-1, 2) + 0.5).astype(np.int64)


def _outline(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every step along the closed outline, x and y, both ends of every side included."""
    ends = np.roll(corners, -1, axis=0)
    across, down = np.abs(ends - corners).T
    steep = down > across
    # Columns (major, minor): a side takes whole steps along its longer direction.
    starts, ends = np.where(steep[:, None], corners[:, ::-1], corners), np.where(steep[:, None], ends[:, ::-1], ends)
    flipped = ends[:, 0] < starts[:, 0]
    low, high = np.where(flipped[:, None], ends, starts), np.where(flipped[:, None], starts, ends)
    steps = np.maximum(across, down)
    side = np.repeat(np.arange(len(corners)), steps + 1)
    step = np.arange(side.size) - np.repeat(np.cumsum(steps + 1) - steps - 1, steps + 1)
    step = np.where(flipped[side], steps[side] - step, step)
    slope = (high[:, 1] - low[:, 1]) / np.maximum(steps, 1)
    major = low[side, 0] + step
    minor = (low[side, 1] + slope[side] * step + 0.5).astype(np.int64)
    return np.where(steep[side], minor, major), np.where(steep[side], major, minor)


def _crossings(
    u: NDArray[np.int64], v: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the outline crosses the centre of a pixel column: the column and the first pixel below."""
    moved = np.flatnonzero(u[1:] != u[:-1])
    u_before, u_after = u[moved], u[moved + 1]
    x = _to_pixels(np.where(u_after < u_before, u_after, u_after - 1))
    y = _to_pixels(np.minimum(v[moved], v[moved + 1]))
    kept = (np.floor(x) == x) & (x >= 0) & (x <= width - 1)
    return x[kept].astype(np.int64), np.ceil(y[kept].clip(0, height)).astype(np.int64)


def _to_pixels(steps: NDArray[np.int64]) -> NDArray[np.float64]:
    return (steps + 0.5) / STEPS_PER_PIXEL - 0.5
