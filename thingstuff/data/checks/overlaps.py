"""Instances of one image that share more than half of the smaller one: probably one thing, labelled twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.check import Check, Checked, Code, Finding
from thingstuff.data.checks.mask_columns import Masks
from thingstuff.data.checks.numbers import FloatArray
from thingstuff.data.checks.shapes import Shapes
from thingstuff.data.truth import SplitTruth
from thingstuff.progress import watched
from thingstuff.structures import MaskCrops

THINGS_OVERLAP = Code("things-overlap", "info", "leave one of the two out, if they are one thing")

MOST_SHARED = 0.5  # of the pixels of the smaller instance
_MOST_PX = 1 << 30  # in the boxes of one image's instances; where there are more, the image is not looked at

IntArray = NDArray[np.int64]


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        shapes = data.shapes[name]
        for row, message in _overlaps(split, shapes, shapes.pixels):
            yield Finding(THINGS_OVERLAP, name, split.annotation_place(row), message)


def _overlaps(split: SplitTruth, shapes: Shapes, masks: Masks) -> Iterator[tuple[int, str]]:
    """One finding a pair, at the later of the two. Crowds are not asked: they lie over their members."""
    usable = ~np.isnan(shapes.sizes_wh).any(axis=1) & ~shapes.is_crowd & masks.is_light
    for rows in watched(list(_by_image(shapes.image_rows, np.flatnonzero(usable))), "overlaps"):
        near = _near_pairs(masks.boxes_xyxy[rows])
        if near and masks.box_areas_px[rows].sum() <= _MOST_PX:
            yield from _shared(split, shapes, rows, near)


def _by_image(image_rows: IntArray, rows: IntArray) -> Iterator[IntArray]:
    """The rows of each image that has more than one."""
    ordered = rows[np.argsort(image_rows[rows], kind="stable")]
    groups = np.split(ordered, np.flatnonzero(np.diff(image_rows[ordered])) + 1)
    return (group for group in groups if group.size > 1)


def _near_pairs(boxes: FloatArray) -> list[tuple[int, int]]:
    """Pairs whose boxes share a pixel: only their masks can."""
    pairs: list[tuple[int, int]] = []
    for later in range(1, len(boxes)):
        low = np.maximum(boxes[:later, :2], boxes[later, :2])
        high = np.minimum(boxes[:later, 2:], boxes[later, 2:])
        pairs += [(int(n), later) for n in np.flatnonzero((high > low).all(axis=1))]
    return pairs


def _shared(
    split: SplitTruth, shapes: Shapes, rows: IntArray, pairs: list[tuple[int, int]]
) -> Iterator[tuple[int, str]]:
    width, height = map(int, shapes.sizes_wh[rows[0]].tolist())
    members = sorted({number for pair in pairs for number in pair})
    crops = MaskCrops.from_coco([shapes.segmentations[rows[number]] for number in members], height, width)
    mask_of = dict(zip(members, crops, strict=True))
    area_of = dict(zip(members, crops.areas_px().tolist(), strict=True))
    for earlier, later in pairs:
        shared, smaller = _pixels(mask_of[earlier], mask_of[later]), min(area_of[earlier], area_of[later])
        if shared > MOST_SHARED * smaller:
            other = split.annotation_place(int(rows[earlier]))
            share = f"{shared} px, {shared / smaller:.0%} of the smaller, more than {MOST_SHARED:.0%}"
            yield int(rows[later]), f"it shares {share}, with {other}"


def _pixels(one: Any, other: Any) -> int:
    """How many pixels two crops with their boxes share."""
    (crop, box), (other_crop, other_box) = one, other
    x0, y0 = max(box[0], other_box[0]), max(box[1], other_box[1])
    x1, y1 = min(box[2], other_box[2]), min(box[3], other_box[3])
    if x0 >= x1 or y0 >= y1:
        return 0
    mine = crop[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]
    others = other_crop[y0 - other_box[1] : y1 - other_box[1], x0 - other_box[0] : x1 - other_box[0]]
    return int(np.count_nonzero(mine & others))


OVERLAPS = Check(codes=(THINGS_OVERLAP,), run=_run, is_quick=False)
