"""Where the pixels of an image fall on the M x M grids of N boxes, one axis at a time: as Detectron2 places them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def pixel_regions(boxes_xyxy: Floats, height: int, width: int) -> NDArray[np.int64]:
    """N x 4 float32 boxes -> N x 4 half-open boxes x0, y0, x1, y1 of the pixels that are sampled for each.

    A pixel wider than the box on each side, as in Detectron2's `_do_paste_mask`. A box beyond the image, for which
    Detectron2 fails on the CPU, has no pixels.
    """
    size = np.array([width, height])
    low = np.clip(np.floor(boxes_xyxy[:, :2]) - 1, 0, size).astype(np.int64)
    high = np.clip(np.ceil(boxes_xyxy[:, 2:]) + 1, 0, size).astype(np.int64)
    return np.concatenate([low, np.maximum(low, high)], axis=1)


@dataclass(frozen=True, eq=False)
class GridAxis:
    """The pixels of N boxes along one axis, box after box: those of box i come from `offsets[i]` up to the next.

    `normalized` is what `grid_sample` is given for each of them: float32, -1 and 1 at the box's edges.
    """

    normalized: Floats
    offsets: NDArray[np.int64]

    def places(self, cells: int) -> tuple[NDArray[np.int64], Floats]:
        """For each pixel the row before it in a stack of all grids, and its share of the way to the next, 0 to 1.

        A grid has M + 2 rows there: its cells between two of zeros, which is `grid_sample`'s padding. Where a pixel
        lies is equal to its own arithmetic but for rounding.
        """
        place = (self.normalized + np.float32(1)) * np.float32(cells / 2) + np.float32(0.5)
        # `fmax` ignores the NaN of a box without extent.
        place = np.fmin(np.fmax(place, np.float32(0)), np.float32(cells + 1))
        before = np.minimum(place.astype(np.int64), cells)
        lengths = np.diff(self.offsets)
        return before + np.repeat(np.arange(lengths.size) * (cells + 2), lengths), place - before.astype(np.float32)


def grid_axis(low: Floats, high: Floats, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> GridAxis:
    """The edges of N boxes along an axis, and which pixels to sample for each, from `starts` on.

    The coordinates come from the same float32 operations in the same order as in Detectron2's `_do_paste_mask`, so
    that `grid_sample` would see the same bits.
    """
    offsets = np.append(0, np.cumsum(lengths))
    pixels = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    # A box without extent divides by zero here as it does there; none of its pixels is inside.
    with np.errstate(all="ignore"):
        centres = pixels.astype(np.float32) + np.float32(0.5)
        normalized = (centres - np.repeat(low, lengths)) / np.repeat(high - low, lengths)
        normalized = normalized * np.float32(2) - np.float32(1)
    return GridAxis(normalized, offsets)
