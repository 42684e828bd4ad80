"""Spans: a mask as an N x 2 int64 array of half-open pixel ranges, down the columns of its image.

Pixel (x, y) of an image `height` high has the position x * height + y, as in COCO RLE. Spans ascend and do not
overlap. Run lengths, crops and polygons are converted into each other through them, so no H x W array is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.structures.runs import run_starts

Spans = NDArray[np.int64]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in whole pixels, half-open

EMPTY_BOX: Box = (0, 0, 0, 0)


def spans_from_crop(crop: NDArray[Any], x0: int, y0: int, height: int) -> Spans:
    """The non-zero pixels of a crop whose corner is at (x0, y0) of an image `height` high, as few spans as possible."""
    rows, columns = crop.shape
    # A zero ahead of every column closes each span inside its column.
    padded = np.zeros(1 + columns * (rows + 1), bool)
    padded[1:].reshape(columns, rows + 1)[:, :rows] = crop.T
    edges = run_starts(padded)[1:] - 1
    column, row = np.divmod(edges, rows + 1)
    return _join_touching(((x0 + column) * height + y0 + row).reshape(-1, 2))


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


def _join_touching(spans: Spans) -> Spans:
    # Only columns as high as the image touch: one ends where the next begins.
    apart = spans[1:, 0] != spans[:-1, 1]
    if apart.all():
        return spans
    first, last = np.append(True, apart), np.append(apart, True)
    return np.stack([spans[first, 0], spans[last, 1]], axis=1)
