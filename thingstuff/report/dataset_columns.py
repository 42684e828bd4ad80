"""The annotations of a split as columns: what is unusable in a record is NaN or -1, never an error."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures.rle_string import decompress

_BLOCK = 1 << 16  # records at a time, so that little stands beside them in memory


@dataclass(frozen=True, eq=False)
class Columns:
    """N annotations, or N thing segments of a panoptic truth without annotations; crowds included.

    `image_rows` and `category_rows` are int64 places in the lists of the split, -1 for what is not there; `is_crowd`
    bool; `boxes_xywh` N x 4 and `areas_px` N float64, NaN for what is no box of some size or no area. `sizes_hw` is
    M x 2, a row an image of the split, NaN where the record states no size.
    """

    notes: Sequence[Record]
    image_rows: NDArray[np.int64]
    category_rows: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]
    boxes_xywh: NDArray[np.float64]
    areas_px: NDArray[np.float64]
    sizes_hw: NDArray[np.float64]

    @classmethod
    def of(cls, truth: SplitTruth) -> Columns:
        notes = truth.annotations if truth.annotations is not None else list(thing_segments(truth))
        boxes = _numbers([note.get("bbox") for note in notes], 4)
        boxes[~(boxes[:, 2:] > 0).all(axis=1)] = math.nan
        sizes = _numbers([[image.get("height"), image.get("width")] for image in truth.images], 2)
        sizes[~(sizes > 0).all(axis=1)] = math.nan
        return cls(
            notes,
            _places((note.get("image_id") for note in notes), (image.get("id") for image in truth.images)),
            _places((note.get("category_id") for note in notes), (c.get("id") for c in truth.categories)),
            np.array([bool(note.get("iscrowd")) for note in notes], bool),
            boxes,
            _areas(notes, boxes),
            sizes,
        )


def thing_segments(truth: SplitTruth) -> Iterator[Record]:
    """The segments of things, each with the `image_id` of its image."""
    stuff = {c.get("id") for c in truth.categories if not c.get("isthing", 1) and _is_key(c.get("id"))}
    for segment in segments_of(truth):
        category_id = segment.get("category_id")
        if not _is_key(category_id) or category_id not in stuff:
            yield segment


def segments_of(truth: SplitTruth) -> Iterator[Record]:
    """All panoptic segments, each with the `image_id` of its image."""
    for note in truth.panoptic.annotations if truth.panoptic is not None else ():
        segments = note.get("segments_info")
        for segment in segments if isinstance(segments, list) else ():
            if isinstance(segment, dict):
                yield {**segment, "image_id": note.get("image_id")}


def _places(wanted: Iterable[Any], known: Iterable[Any]) -> NDArray[np.int64]:
    rows: dict[Hashable, int] = {}
    for row, key in enumerate(known):
        if _is_key(key):
            rows.setdefault(key, row)
    return np.array([rows.get(key, -1) if _is_key(key) else -1 for key in wanted], np.int64)


def _is_key(value: Any) -> bool:
    return isinstance(value, int | str)


def _numbers(values: Sequence[Any], width: int) -> NDArray[np.float64]:
    """N x width float64; a row is NaN unless its value is a list of `width` finite numbers."""
    rows = np.full((len(values), width), math.nan)
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        try:
            found = np.array(block, np.float64)
        except (TypeError, ValueError, OverflowError):
            found = np.zeros(0)
        if found.shape != (len(block), width):
            found = np.array([_row(value, width) for value in block], np.float64)
        rows[start : start + len(block)] = found
    rows[~np.isfinite(rows).all(axis=1)] = math.nan
    return rows


def _row(value: Any, width: int) -> list[float]:
    is_good = isinstance(value, list | tuple) and len(value) == width and all(isinstance(v, int | float) for v in value)
    try:
        return [float(v) for v in value] if is_good else [math.nan] * width
    except OverflowError:
        return [math.nan] * width


def _areas(notes: Sequence[Record], boxes_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """As stated; else of the mask, that of polygons by their corners; else of the box."""
    areas = _numbers([[note.get("area")] for note in notes], 1)[:, 0]
    for n in np.flatnonzero(~(areas > 0)).tolist():
        areas[n] = _mask_area(notes[n].get("segmentation"))
    from_box = ~(areas > 0)
    areas[from_box] = boxes_xywh[from_box, 2] * boxes_xywh[from_box, 3]
    return areas


def _mask_area(segmentation: Any) -> float:
    """NaN where there is no mask, or none that can be read."""
    try:
        if isinstance(segmentation, Mapping):
            counts = segmentation.get("counts")
            runs = decompress(counts) if isinstance(counts, str | bytes) else np.asarray(counts, np.float64)
            return float(runs[1::2].sum())
        if isinstance(segmentation, list) and segmentation:
            return math.fsum(_polygon_area(polygon) for polygon in segmentation)
    except (DataError, TypeError, ValueError, IndexError, OverflowError):
        pass
    return math.nan


def _polygon_area(polygon: Any) -> float:
    """Gauss's formula; holes and rings that cross themselves are beyond it."""
    x, y = np.asarray(polygon, np.float64).reshape(-1, 2).T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
