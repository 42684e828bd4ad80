"""Boxes that are none, leave their image, lie elsewhere than their mask, or are written in another way than COCO."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.box_writing import other_writing
from thingstuff.data.checks.check import Check, Checked, Code, Finding, as_text
from thingstuff.data.checks.mask_columns import Masks
from thingstuff.data.checks.mending import with_changes
from thingstuff.data.checks.numbers import FloatArray
from thingstuff.data.checks.shapes import OUTSIDE_PX, Shapes
from thingstuff.data.truth import Record, SplitTruth

BOX_INVALID = Code("box-invalid", "error", "take the box of the mask, or leave the annotation out", is_fixable=True)
BOX_OUTSIDE = Code("box-outside", "warning", "clip the box to its image", is_fixable=True)
BOX_FORMAT = Code("box-format", "error", "write the boxes as x, y, width, height in pixels")
BOX_MASK_DISAGREE = Code("box-mask-disagree", "warning", "take the box of the mask", is_fixable=True)

MASK_PX, MASK_SHARE = 2.0, 0.05  # a side may lie off by the larger: pixels, or a share of the mask's width or height


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        shapes = data.shapes[name]
        masks = shapes.masks(data.is_quick)
        writing = other_writing(shapes, masks)
        if writing:
            yield Finding(BOX_FORMAT, name, split.name, writing)
        for code, row, message in _faults(split, shapes, masks, writing is None):
            yield Finding(code, name, split.annotation_place(row), message)


def _faults(split: SplitTruth, shapes: Shapes, masks: Masks, is_xywh: bool) -> Iterator[tuple[Code, int, str]]:
    """Where the boxes lie is asked only if they are written as they should be."""
    for row in np.flatnonzero(_invalid(shapes)).tolist():
        yield BOX_INVALID, row, _say_invalid(split, shapes, row)
    if not is_xywh:
        return
    outside = _outside_px(shapes)
    for row in np.flatnonzero(outside > OUTSIDE_PX).tolist():
        width, height = shapes.sizes_wh[row].tolist()
        far = f"reaches {outside[row]:.4g} px beyond its image of {width:.6g} x {height:.6g} pixels"
        yield BOX_OUTSIDE, row, f"the box {_text(shapes.boxes_xywh[row])} {far}"
    off_px = _off_px(shapes, masks)
    for row in np.flatnonzero(off_px > 0).tolist():
        tight = _text(_to_xywh(masks.boxes_xyxy[row]))
        limit = f"{MASK_PX:.0f} px or {MASK_SHARE:.0%} would do"
        far = f"is {off_px[row]:.4g} px off its mask's {tight}"
        yield BOX_MASK_DISAGREE, row, f"the box {_text(shapes.boxes_xywh[row])} {far}; {limit}"


def _invalid(shapes: Shapes) -> NDArray[np.bool_]:
    """A box that is missing counts where others are stated, or where there is nothing to take it from."""
    needed = shapes.states_box | shapes.states_box.any() | (shapes.kinds == 0)
    return np.asarray(needed & ~(shapes.boxes_xywh[:, 2:] > 0).all(axis=1))


def _say_invalid(split: SplitTruth, shapes: Shapes, row: int) -> str:
    if not shapes.states_box[row]:
        return "it has no box"
    box = (split.annotations or [])[row]["bbox"]
    if np.isnan(shapes.boxes_xywh[row]).any():
        return f"the box is {as_text(box)}, expected x, y, width, height in four finite numbers"
    return f"the box {_text(shapes.boxes_xywh[row])} has no extent: expected a width and a height above 0"


def _outside_px(shapes: Shapes) -> FloatArray:
    """N: how far each valid box reaches beyond its image; NaN where that is not known."""
    boxes = _to_xyxy(shapes.boxes_xywh)
    outside = np.maximum(-boxes[:, :2], boxes[:, 2:] - shapes.sizes_wh).max(axis=1)
    return np.where(_invalid(shapes), np.nan, outside)


def _off_px(shapes: Shapes, masks: Masks) -> FloatArray:
    """N: how far the side that is farthest off lies from the mask's, 0 where all are near enough."""
    tight = masks.boxes_xyxy
    allowed = np.maximum(MASK_SHARE * (tight[:, 2:] - tight[:, :2]), MASK_PX)
    off = np.abs(_to_xyxy(shapes.boxes_xywh) - tight)
    is_off = (off > np.hstack([allowed, allowed])) & ~_invalid(shapes)[:, None]
    return np.asarray(np.where(is_off, off, 0).max(axis=1, initial=0))


def _mend(split: SplitTruth) -> SplitTruth:
    """Boxes from the masks where there are any, else clipped; an annotation without either is left out.

    Boxes that are written in another way stay as they are.
    """
    shapes = Shapes.of(split)
    masks = shapes.pixels
    if other_writing(shapes, masks):
        return split
    wrong = _invalid(shapes) | (_outside_px(shapes) > OUTSIDE_PX) | (_off_px(shapes, masks) > 0)
    boxes = _mended(shapes, masks)
    records = split.annotations or []
    changes = {row: _with_box(records[row], boxes[row]) for row in np.flatnonzero(wrong).tolist()}
    return with_changes(split, changes, "boxes taken from the masks, or clipped to the image: {} annotations")


def _mended(shapes: Shapes, masks: Masks) -> FloatArray:
    """N x 4 xywh; NaN where nothing is left."""
    sides = np.where(np.isnan(shapes.sizes_wh), np.inf, shapes.sizes_wh)
    boxes = np.where(np.isnan(masks.boxes_xyxy), _to_xyxy(shapes.boxes_xywh), masks.boxes_xyxy)
    boxes = _to_xywh(np.clip(boxes, 0, np.hstack([sides, sides])))
    boxes[~(boxes[:, 2:] > 0).all(axis=1)] = np.nan
    return boxes


def _with_box(record: Record, box_xywh: FloatArray) -> Record | None:
    return None if np.isnan(box_xywh).any() else {**record, "bbox": box_xywh.tolist()}


def _to_xyxy(boxes_xywh: FloatArray) -> FloatArray:
    return np.concatenate([boxes_xywh[..., :2], boxes_xywh[..., :2] + boxes_xywh[..., 2:]], axis=-1)


def _to_xywh(boxes_xyxy: FloatArray) -> FloatArray:
    return np.concatenate([boxes_xyxy[..., :2], boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]], axis=-1)


def _text(box: FloatArray) -> str:
    return f"[{', '.join(f'{v:.6g}' for v in box.tolist())}]"


BOXES = Check(codes=(BOX_INVALID, BOX_OUTSIDE, BOX_FORMAT, BOX_MASK_DISAGREE), run=_run, is_quick=True, mend=_mend)
