"""A layer as the page's script reads it: which segment lies at each pixel, in few bytes, and what is said of each."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import cv2
import numpy as np

from thingstuff.errors import DataError
from thingstuff.report.page.model import Layer, LayerSegment
from thingstuff.report.page.pictures import shrink
from thingstuff.structures.runs import positions_of


def layer_record(layer: Layer, max_side_px: int) -> dict[str, Any]:
    """For JSON. Pixel values are places in `segments` + 1, 0 for nothing; `map` holds them row by row, see `_packed`.

    Each row but the first is the XOR with the row above, and all is compressed by zlib. That is half the size of an
    8-bit PNG, and exact where a browser blurs what it reads back from a canvas to keep its user from being recognised.
    """
    places = _places(layer)
    height, width = places.shape
    small = shrink(places, max_side_px, cv2.INTER_NEAREST)
    return {
        "width": small.shape[1],
        "height": small.shape[0],
        "bytes": small.itemsize,
        "map": base64.b64encode(_packed(small)).decode(),
        "pixels": height * width,
        "segments": [_segment_record(segment) for segment in layer.segments],
        "dropped": [_segment_record(segment) for segment in layer.dropped],
    }


def _places(layer: Layer) -> np.ndarray:
    positions = positions_of(layer.ids, np.array([segment.id for segment in layer.segments], np.int64))
    unknown = layer.ids[(positions < 0) & (layer.ids != 0)]
    if unknown.size:
        raise DataError(f"layer: the map has pixels of segment {unknown[0]}, which no segment describes")
    return (positions + 1).astype(np.uint8 if len(layer.segments) < 256 else np.uint16)


def _packed(places: np.ndarray) -> bytes:
    rows = places.astype(places.dtype.newbyteorder("<"))
    rows[1:] ^= places[:-1]
    return zlib.compress(rows.tobytes())


def _segment_record(segment: LayerSegment) -> dict[str, Any]:
    record = {
        "name": segment.name,
        "outcome": segment.outcome,
        "isthing": bool(segment.isthing),
        "area": int(segment.area_px),
        "text": segment.text,
        "score": finite(segment.score),
    }
    lost = {"lost": True} if segment.is_lost else {}
    box = {} if segment.box_xywh is None else {"box": [float(side) for side in segment.box_xywh]}
    return record | lost | box


def finite(value: float | None) -> float | None:
    """A number that JSON has, or None."""
    return float(value) if value is not None and math.isfinite(value) else None
