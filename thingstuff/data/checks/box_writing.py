"""Whether the boxes of a whole split are written in another way than x, y, width, height in pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.mask_columns import Masks
from thingstuff.data.checks.numbers import FloatArray
from thingstuff.data.checks.shapes import OUTSIDE_PX, Shapes

_XYWH = "x, y, width, height"
_CORNERS = "x0, y0, x1, y1"
_OTHERS = (_CORNERS, "centre x, centre y, width, height", "y0, x0, y1, x1")
_IN_FRACTIONS = " in fractions of the image"
_FEWEST = 5  # boxes; fewer may fit another way of writing by chance
_FIT, _MISFIT = (
    0.9,
    0.5,
)  # shares of boxes that agree with their masks: so many in the other way, at most so many in COCO's
_INSIDE, _OUTSIDE = 0.99, 0.2  # shares of boxes inside their image as corners, and outside as COCO's boxes
_NEAR_PX, _NEAR_SHARE = 2.0, 0.05
_LARGEST_FRACTION = 1.5  # a box may reach beyond its image a little


def other_writing(shapes: Shapes, masks: Masks) -> str | None:
    """What the boxes seem to be instead and why, in one line; None if nothing speaks for it.

    Masks tell best. Without them only corners and fractions can be told, by the boxes that leave their image, and by
    images in which no box leaves the first pixel.
    """
    has_size = ~np.isnan(shapes.sizes_wh).any(axis=1) & (shapes.boxes_xywh[:, 2:] > 0).all(axis=1)
    has_mask = has_size & ~np.isnan(masks.boxes_xyxy).any(axis=1)
    if np.count_nonzero(has_mask) >= _FEWEST:
        return _by_masks(shapes.boxes_xywh[has_mask], shapes.sizes_wh[has_mask], masks.boxes_xyxy[has_mask])
    if np.count_nonzero(has_size) >= _FEWEST:
        return _by_images(shapes.boxes_xywh[has_size], shapes.sizes_wh[has_size])
    return None


def _by_masks(boxes: FloatArray, sizes_wh: FloatArray, tight_xyxy: FloatArray) -> str | None:
    agree = _share(_near(_to_xyxy(boxes, _XYWH), tight_xyxy))
    if agree > _MISFIT:
        return None
    shares = {name: _share(_near(others, tight_xyxy)) for name, others in _in_other_ways(boxes, sizes_wh)}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < _FIT:
        return None
    return (
        f"the boxes look like {best}: read so {shares[best]:.0%} of {len(boxes)} agree with their masks, "
        f"as {_XYWH} {agree:.0%}"
    )


def _by_images(boxes: FloatArray, sizes_wh: FloatArray) -> str | None:
    farthest = float(np.abs(boxes).max())
    if farthest <= _LARGEST_FRACTION and sizes_wh.min() > 10 * _LARGEST_FRACTION:
        return f"the boxes look like fractions of the image: no number of {len(boxes)} boxes is above {farthest:.3g}"
    outside, inside = _leave(_to_xyxy(boxes, _XYWH), sizes_wh), ~_leave(_to_xyxy(boxes, _CORNERS), sizes_wh)
    inside &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if _share(outside) < _OUTSIDE or _share(inside) < _INSIDE:
        return None
    return (
        f"the boxes look like {_CORNERS}: read so {_share(inside):.0%} of {len(boxes)} lie inside their image, "
        f"while as {_XYWH} {_share(outside):.0%} leave it"
    )


def _in_other_ways(boxes: FloatArray, sizes_wh: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    for name in _OTHERS:
        yield name, _to_xyxy(boxes, name)
    sides = np.hstack([sizes_wh, sizes_wh])
    for name in (_XYWH, *_OTHERS):
        yield name + _IN_FRACTIONS, _to_xyxy(boxes, name) * sides


def _to_xyxy(boxes: FloatArray, name: str) -> FloatArray:
    if name == _CORNERS:
        return boxes
    if name.startswith("y0"):
        return boxes[:, [1, 0, 3, 2]]
    corners = boxes[:, :2] - boxes[:, 2:] / 2 if name.startswith("centre") else boxes[:, :2]
    return np.hstack([corners, corners + boxes[:, 2:]])


def _near(boxes_xyxy: FloatArray, others_xyxy: FloatArray) -> NDArray[np.bool_]:
    sides = others_xyxy[:, 2:] - others_xyxy[:, :2]
    allowed = np.maximum(_NEAR_SHARE * np.hstack([sides, sides]), _NEAR_PX)
    return np.asarray((np.abs(boxes_xyxy - others_xyxy) <= allowed).all(axis=1))


def _leave(boxes_xyxy: FloatArray, sizes_wh: FloatArray) -> NDArray[np.bool_]:
    beyond = np.maximum(-boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - sizes_wh)
    return np.asarray((beyond > OUTSIDE_PX).any(axis=1))


def _share(which: NDArray[np.bool_]) -> float:
    return float(which.mean())
