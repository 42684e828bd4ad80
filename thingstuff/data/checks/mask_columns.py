"""How large the masks of a split are and where they lie, from their outlines alone or from their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.numbers import FloatArray
from thingstuff.data.checks.polygon_columns import Polygons
from thingstuff.progress import watched
from thingstuff.structures import rle
from thingstuff.structures.polygons import polygons_crop

_MOST_PX = 1 << 28  # a larger mask is not drawn: its pixels would fill the memory
_LONGEST_OUTLINE_PX = 1 << 20  # drawing takes memory for each step of the outline


@dataclass(frozen=True, eq=False)
class Masks:
    """N annotations; NaN where a mask is not there, broken, or not known well enough to say that a number is wrong.

    An area stated between `lowest_px` and `highest_px` is right: an outline and its pixels differ by up to half the
    length of the outline, and pieces of one mask may overlap. `boxes_xyxy` are tight, around the points of polygons
    (as COCO's are) and around the pixels of RLEs, and NaN of empty masks.
    """

    lowest_px: FloatArray
    highest_px: FloatArray
    boxes_xyxy: FloatArray
    is_unsure: NDArray[np.bool_]  # the pixels would tell more
    slack_px: FloatArray

    @classmethod
    def of_outlines(cls, polygons: Polygons, drawable: NDArray[np.bool_]) -> Masks:
        """`drawable`: N, the annotations whose polygons are all sound and inside their image."""
        count, rows = len(drawable), polygons.annotations
        sums = np.bincount(rows, polygons.areas_px, count)
        slack = np.bincount(rows, polygons.outlines_px, count) / 2
        largest, boxes = np.full(count, np.nan), np.full((count, 4), np.nan)
        firsts = np.flatnonzero(np.diff(rows, prepend=-1))
        if firsts.size:
            largest[rows[firsts]] = np.maximum.reduceat(polygons.areas_px, firsts)
            boxes[rows[firsts], :2] = np.minimum.reduceat(polygons.boxes_xyxy[:, :2], firsts)
            boxes[rows[firsts], 2:] = np.maximum.reduceat(polygons.boxes_xyxy[:, 2:], firsts)
        crossed = np.bincount(rows, polygons.cross, count) > 0
        unsure = drawable & (crossed | (np.bincount(rows, minlength=count) > 1) | (sums <= slack))
        known = drawable & ~crossed
        return cls(
            np.where(known, largest - slack, np.nan),
            np.where(known, sums + slack, np.nan),
            np.where(drawable[:, None], boxes, np.nan),
            unsure,
            slack,
        )

    @classmethod
    def of_pixels(
        cls, outlines: Masks, segmentations: Sequence[Any], sizes_wh: FloatArray, rles: NDArray[np.int64]
    ) -> Masks:
        """The same with the masks of the rows `rles` decoded, and those drawn whose outlines do not tell enough."""
        low, high, boxes = outlines.lowest_px.copy(), outlines.highest_px.copy(), outlines.boxes_xyxy.copy()
        unsure = outlines.is_unsure.copy()
        for row in watched(np.flatnonzero(unsure & outlines.is_light).tolist(), "polygons"):
            area = _drawn_px(segmentations[row], *map(int, sizes_wh[row].tolist()))
            boxes[row] = boxes[row] if area else np.nan
            slack = outlines.slack_px[row] if area else 0
            low[row], high[row], unsure[row] = area - slack, area + slack, False
        for row in watched(rles.tolist(), "masks"):
            low[row] = high[row] = rle.area(segmentations[row])
            x, y, width, height = rle.bbox_xywh(segmentations[row])
            boxes[row] = (x, y, x + width, y + height) if width else np.nan
        return cls(low, high, boxes, unsure, outlines.slack_px)

    @property
    def box_areas_px(self) -> FloatArray:
        return np.asarray((self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]).prod(axis=1))

    @property
    def is_light(self) -> NDArray[np.bool_]:
        """N: masks that are known and can be drawn without much memory."""
        return (self.box_areas_px <= _MOST_PX) & (2 * self.slack_px <= _LONGEST_OUTLINE_PX)

    @property
    def is_empty(self) -> NDArray[np.bool_]:
        """N: masks that are known to have no pixel."""
        return np.asarray(self.highest_px == 0)


def _drawn_px(polygons: Any, width: int, height: int) -> int:
    crop, _ = polygons_crop(polygons, height, width)
    return int(np.count_nonzero(crop))
