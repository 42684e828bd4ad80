"""Boxes that are not COCO's x, y, width, height in pixels: what they would be if they were written in another way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from thingstuff.evaluation.coco_input import CocoInput

FloatArray = NDArray[np.float64]

_LARGEST_FRACTION = 1.5  # a box may reach beyond its image a little
_SOUND_SHARE = 0.99  # of the boxes, which must have a positive width and height in their right format
_FORMATS = ("x, y, width, height", "x0, y0, x1, y1", "centre x, centre y, width, height", "y0, x0, y1, x1")


def boxes_in_other_formats(data: CocoInput) -> Iterator[tuple[str, FloatArray]]:
    """(format, N x 4 xywh in pixels) for each other format in which all the boxes of the results have an extent."""
    boxes = np.array([record["bbox"] for record in data.results])
    fractions = look_like_fractions(data)
    sides = _sides(data) if fractions else np.ones(4)
    for name in _FORMATS if fractions else _FORMATS[1:]:
        boxes_xywh = _to_xywh(boxes, name) * sides
        if (boxes_xywh[:, 2:] > 0).all(axis=1).mean() >= _SOUND_SHARE:
            yield f"{name} in fractions of the image" if fractions else name, boxes_xywh


def look_like_fractions(data: CocoInput) -> bool:
    """Whether no box of the results leaves the first pixel or so, while the truth's boxes do."""
    if data.iou_type != "bbox" or not data.results or not data.truths:
        return False
    farthest = max(max(map(abs, record["bbox"])) for record in data.results)
    true_farthest = max(max(truth["bbox"]) for truth in data.truths)
    return bool(farthest <= _LARGEST_FRACTION and true_farthest > 10 * _LARGEST_FRACTION)


def _sides(data: CocoInput) -> FloatArray:
    """N x 4: width, height, width, height of the image of each box; NaN where they are not known."""
    known = {image["id"]: (image.get("width", np.nan), image.get("height", np.nan)) for image in data.images}
    return np.array([2 * known[record["image_id"]] for record in data.results], np.float64)


def _to_xywh(boxes: FloatArray, name: str) -> FloatArray:
    if name.startswith("centre"):
        return np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]])
    corners = boxes[:, [1, 0, 3, 2]] if name.startswith("y0") else boxes
    return boxes if name == _FORMATS[0] else np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
