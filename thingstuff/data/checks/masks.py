"""Masks that cannot be decoded, have another size than their image, are empty, missing, or not as large as stated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.check import Check, Checked, Code, Finding
from thingstuff.data.checks.mask_columns import Masks
from thingstuff.data.checks.mending import with_changes
from thingstuff.data.checks.shapes import Kind, Shapes
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.structures import rle

RLE_BROKEN = Code("rle-broken", "error", "write the mask again, or leave the annotation out")
RLE_SIZE = Code("rle-size", "error", "write the mask in the size of its image, [height, width]")
MASK_EMPTY = Code("mask-empty", "error", "leave the annotation out", is_fixable=True)
MASK_MISSING = Code("mask-missing", "warning", "draw the mask, or leave the annotation out")
AREA_WRONG = Code("area-wrong", "warning", "take the area of the mask", is_fixable=True)
CROWD_AS_POLYGON = Code("crowd-as-polygon", "info", "nothing, if the polygon surrounds a group")

AREA_SHARE, AREA_PX = 0.10, 20.0  # a stated area may differ from the mask's by the larger of the two
_SHORT = 8  # characters, or counts: what an empty mask is written in


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        for code, row, message in _faults(data.shapes[name], data.is_quick):
            yield Finding(code, name, split.annotation_place(row), message)


def _faults(shapes: Shapes, is_quick: bool) -> Iterator[tuple[Code, int, str]]:
    for row, fault in shapes.rle_faults.items():
        yield RLE_BROKEN, row, fault
    yield from ((RLE_SIZE, row, _say_size(shapes, row)) for row in _of_other_size(shapes))
    missing, others = shapes.rows(Kind.NONE), np.count_nonzero(np.isin(shapes.kinds, (Kind.POLYGONS, Kind.RLE)))
    if others:
        say = f"it has no segmentation, and {others} other annotations have one"
        yield from ((MASK_MISSING, row, say) for row in missing.tolist())
    for row in np.flatnonzero(shapes.is_crowd & (shapes.kinds == Kind.POLYGONS)).tolist():
        yield CROWD_AS_POLYGON, row, "iscrowd is 1 and the mask is a polygon, where COCO's crowds are RLE"
    masks = shapes.masks(is_quick)
    empty = _empty(shapes, masks)
    yield from ((MASK_EMPTY, row, "the mask has no pixel") for row in np.flatnonzero(empty).tolist())
    for row in np.flatnonzero(_other_area(shapes, masks) & ~empty).tolist():
        yield AREA_WRONG, row, _say_area(shapes, masks, row)


def _of_other_size(shapes: Shapes) -> Iterator[int]:
    for row in shapes.rows(Kind.RLE).tolist():
        if row not in shapes.rle_faults and not shapes.fits(row):
            yield row


def _say_size(shapes: Shapes, row: int) -> str:
    stated = list(shapes.segmentations[row]["size"])
    width, height = map(int, shapes.sizes_wh[row].tolist())
    exchanged = ": height and width are exchanged" if stated == [width, height] else ""
    return f"the RLE has [height, width] {stated}, its image {[height, width]}{exchanged}"


def _empty(shapes: Shapes, masks: Masks) -> NDArray[np.bool_]:
    """Empty RLEs are known without decoding them all, since they are short."""
    empty = masks.is_empty
    for row in shapes.rows(Kind.RLE).tolist():
        if row not in shapes.rle_faults and len(shapes.segmentations[row]["counts"]) <= _SHORT:
            empty[row] = rle.area(shapes.segmentations[row]) == 0
    return empty


def _other_area(shapes: Shapes, masks: Masks) -> NDArray[np.bool_]:
    """An area that is stated but no number differs from any; one that is missing only where others are stated."""
    known = ~np.isnan(masks.highest_px)
    lowest = masks.lowest_px - np.maximum(AREA_SHARE * masks.lowest_px, AREA_PX)
    highest = masks.highest_px + np.maximum(AREA_SHARE * masks.highest_px, AREA_PX)
    right = (shapes.areas_px >= lowest) & (shapes.areas_px <= highest)
    return known & ~right & (shapes.states_area | shapes.states_area.any())


def _say_area(shapes: Shapes, masks: Masks, row: int) -> str:
    low, high = masks.lowest_px[row], masks.highest_px[row]
    measured = f"{low:.6g} to {high:.6g}" if masks.is_unsure[row] else f"{(low + high) / 2:.6g}"
    stated = f"is {shapes.areas_px[row]:.6g} px²" if shapes.states_area[row] else "is not stated"
    if shapes.states_area[row] and np.isnan(shapes.areas_px[row]):
        stated = "is no number"
    return (
        f"the area {stated}, and the mask has {measured} px²; "
        f"{AREA_SHARE:.0%} or {AREA_PX:.0f} px² more or less would do"
    )


def _mend(split: SplitTruth) -> SplitTruth:
    """Without empty masks, and with the areas that the masks have, where those can be drawn."""
    shapes = Shapes.of(split)
    masks, records = shapes.pixels, split.annotations or []
    empty = _empty(shapes, masks)
    wrong = np.flatnonzero(_other_area(shapes, masks) & ~empty & ~masks.is_unsure).tolist()
    areas: dict[int, Record | None] = {row: {**records[row], "area": _area(masks, row)} for row in wrong}
    split = with_changes(split, areas, "areas taken from the masks: {} annotations")
    gone: dict[int, Record | None] = dict.fromkeys(np.flatnonzero(empty).tolist())
    return with_changes(split, gone, "empty masks left out: {} annotations")


def _area(masks: Masks, row: int) -> float:
    return float((masks.lowest_px[row] + masks.highest_px[row]) / 2)


MASKS = Check(
    codes=(RLE_BROKEN, RLE_SIZE, MASK_EMPTY, MASK_MISSING, AREA_WRONG, CROWD_AS_POLYGON),
    run=_run,
    is_quick=True,
    mend=_mend,
)
