"""Spans: a mask as an N x 2 int64 array of half-open pixel ranges, down the columns of its image.

Pixel (x, y) of an image `height` high has the position x * height + y, as in COCO RLE. Spans ascend and do not
overlap. Run lengths, crops and polygons are converted into each other through them, so no H x W array is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.int64]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in whole pixels, half-open

EMPTY_BOX: Box = (0, 0, 0, 0)


def edges_from_crops(
    crops: Sequence[NDArray[Any]], corners_xy: NDArray[Any], height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """N crops of 0 and 1 with their top left corners (N x 2) -> the edges of all spans, and how many each mask has.

    The crops are bool or uint8. A mask's edges ascend and alternate: start, end, start, ... of as few spans as
    possible, in an image `height` high. All crops are searched in one pass, row by row as they lie in memory: the few
    edges are brought into column order, not the pixels.
    """
    columns = np.array([crop.shape[1] for crop in crops], np.int64)
    ends = np.cumsum([crop.size + crop.shape[1] for crop in crops], dtype=np.int64)
    found = np.flatnonzero(_changes_down(crops, ends))
    mask = np.repeat(np.arange(len(crops)), np.diff(np.searchsorted(found, ends), prepend=0))
    row, column = np.divmod(found - np.append(0, ends)[mask], columns[mask])
    edges = (corners_xy[mask, 0] + column) * height + corners_xy[mask, 1] + row
    # `mask` ascends already, and still does once the edges are sorted mask by mask.
    apart = (edges.max(initial=0) + 1) * mask
    return _join_touching(np.sort(edges + apart) - apart, mask, len(crops))


def crop_from_spans(spans: Spans, height: int) -> tuple[NDArray[np.uint8], Box]:
    """Spans -> (tight uint8 crop, its box); an empty mask gives a 0 x 0 crop and EMPTY_BOX."""
    box = tight_box(spans, height)
    x0, y0, x1, y1 = box
    rows, columns = y1 - y0, x1 - x0
    # A span over several columns makes the crop as high as the image, so lengths hold in the crop as well.
    column, row = np.divmod(spans[:, 0], max(height, 1))
    starts = (column - x0) * rows + row - y0
    moved = np.stack([starts, starts + spans[:, 1] - spans[:, 0]], axis=1)
    return bitmap_from_spans(moved, rows, columns), box


def bitmap_from_spans(spans: Spans, height: int, width: int) -> NDArray[np.uint8]:
    """Spans -> H x W uint8 bitmap of 0 and 1."""
    edges = spans.reshape(-1)
    lengths = np.diff(edges, prepend=0, append=height * width)
    values = (np.arange(lengths.size) % 2).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(values, lengths).reshape(width, height).T)


def tight_box(spans: Spans, height: int) -> Box:
    """The smallest box around all pixels; EMPTY_BOX for an empty mask."""
    if len(spans) == 0:
        return EMPTY_BOX
    first_x, first_y = np.divmod(spans[:, 0], height)
    last_x, last_y = np.divmod(spans[:, 1] - 1, height)
    x0, x1 = int(first_x[0]), int(last_x[-1]) + 1
    if np.any(first_x != last_x):
        return x0, 0, x1, height
    return x0, int(first_y.min()), x1, int(last_y.max()) + 1


def _changes_down(crops: Sequence[NDArray[Any]], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each crop one row more than it has, raveled: where a pixel differs from the one above; outside is False."""
    changes = np.zeros(int(ends[-1]) if len(ends) else 0, bool)
    for crop, end in zip(crops, ends.tolist(), strict=True):
        rows, columns = crop.shape
        mine = changes[end - (rows + 1) * columns : end].reshape(rows + 1, columns)
        if rows:
            np.not_equal(crop[1:], crop[:-1], out=mine[1:-1])
            mine[0], mine[-1] = crop[0], crop[-1]
    return changes


def _join_touching(
    edges: NDArray[np.int64], mask: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Only columns as high as the image touch: one ends where the next begins, and neither is an edge then.
    same = (edges[1:] == edges[:-1]) & (mask[1:] == mask[:-1])
    if same.any():
        kept = ~(np.append(False, same) | np.append(same, False))
        edges, mask = edges[kept], mask[kept]
    return edges, np.bincount(mask, minlength=count)
