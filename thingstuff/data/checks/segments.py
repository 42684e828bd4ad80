"""The segments of a panoptic PNG as its pixels have them, next to what the JSON says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.numbers import rows_of
from thingstuff.data.truth import Record
from thingstuff.structures import read_png, rgb_to_ids
from thingstuff.structures.panoptic_map import VOID_ID
from thingstuff.structures.runs import label_extents

BOX_PX = 1.0  # a side of a box may be off by that: some programs count to the last pixel, some to its edge


@dataclass(frozen=True, slots=True)
class Measured:
    area_px: int
    bbox_xywh: tuple[int, int, int, int]


def read_ids(path: Path) -> NDArray[np.uint32]:
    """H x W uint32 segment ids of a PNG in COCO's encoding."""
    return rgb_to_ids(read_png(path, "RGB"))


def measured_segments(ids: NDArray[np.uint32]) -> dict[int, Measured]:
    """Area and tight box of every segment that has pixels, by id; void is left out."""
    values, areas_px, boxes = (column.tolist() for column in label_extents(ids))
    found = {value: Measured(area, tuple(box)) for value, area, box in zip(values, areas_px, boxes, strict=True)}
    found.pop(VOID_ID, None)
    return found


def area_or_box_is_wrong(info: Record, found: Measured) -> bool:
    """Whether the stated area is another, or a side of the box lies more than BOX_PX beside; also if one is missing."""
    area: Any = info.get("area")
    if isinstance(area, bool) or not isinstance(area, int | float) or area != found.area_px:
        return True
    stated, true = rows_of([info.get("bbox")], 4)[0], np.array(found.bbox_xywh, np.float64)
    return not bool((np.abs(stated - true) <= BOX_PX).all())  # NaN, which is no box, is wrong as well


def mended(infos: list[Any], measured: dict[int, Measured]) -> list[Any]:
    """Without segments that have no pixel, and with area and box of the pixels where others are stated."""
    kept = []
    for info in infos:
        found = measured.get(info["id"]) if isinstance(info, dict) and type(info.get("id")) is int else None
        is_damaged = not isinstance(info, dict) or type(info.get("id")) is not int
        if found is not None and area_or_box_is_wrong(info, found):
            kept.append({**info, "area": found.area_px, "bbox": list(found.bbox_xywh)})
        elif found is not None or is_damaged:
            kept.append(info)
    return kept
