"""A canvas: the image that a merge fills, with what is still free, who took the rest, and the stuff beneath."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from thingstuff.merge.losses import Losses, Takers
from thingstuff.merge.row_runs import RowRuns
from thingstuff.structures import VOID

Crop = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in whole pixels, half-open


class Canvas:
    """One H x W image. Things are painted on it, each over free pixels only; stuff shows where none is.

    A pixel's code is its stuff label until an instance takes it, and that instance's `code` from then on. All
    work on an instance stays in its box, unlike Detectron2's, which goes over the whole image several times.
    """

    def __init__(self, stuff_map: NDArray[np.uint16], stuff_count: int, instance_count: int) -> None:
        dtype, self._first_code = _code_space(stuff_count, instance_count)
        # void, 65535, wraps to the highest code of a smaller dtype
        self._codes = np.array(stuff_map, dtype, order="C")
        self._free = np.ones(stuff_map.shape, np.uint8)
        self._losses = Losses(self._first_code)
        self._stuff_map = stuff_map

    def code(self, index: int) -> int:
        """What stands where instance `index` is; no label is as high, unless it means void."""
        return self._first_code + index

    def free_part(self, crop: Crop, box: Box) -> Crop:
        """The pixels of a mask, given as a crop of 0 and 1 with one pixel or more, that nobody has taken yet."""
        x0, y0, x1, y1 = box
        return cv2.bitwise_and(crop, self._free[y0:y1, x0:x1])  # type: ignore[return-value]

    def paint(self, part: Crop, box: Box, index: int) -> None:
        """Instance `index` takes `part`, free pixels of this box."""
        x0, y0, x1, y1 = box
        free, codes = self._free[y0:y1, x0:x1], self._codes[y0:y1, x0:x1]
        cv2.subtract(free, part, dst=free)
        # four times faster than a masked assignment in numpy
        color = np.empty(part.shape, codes.dtype)
        color.fill(self.code(index))
        cv2.copyTo(color, part, codes)

    def note_lost(self, lost: Crop, box: Box, index: int) -> None:
        """Remember who has the pixels `lost`, all of them taken, which instance `index` wanted."""
        x0, y0, x1, y1 = box
        self._losses.note(index, cv2.copyTo(self._codes[y0:y1, x0:x1], lost))  # type: ignore[arg-type]

    def takers(self) -> dict[int, Takers]:
        """Index of every instance that lost pixels -> who took them: (index, pixels), most pixels first."""
        return self._losses.takers()

    def segment_ids(self, ids: Mapping[int, int], runs: RowRuns) -> NDArray[np.uint32]:
        """H x W uint32: `ids[code]` of every pixel, 0 where a code has none. `runs` are those of `runs()`."""
        if self._codes.dtype != np.uint8 or self._codes.size == 0:
            return runs.mapped(ids)  # OpenCV's tables are for bytes; with them a small image takes half the time
        table = np.zeros(256, np.int32)
        table[list(ids)] = list(ids.values())
        return np.asarray(cv2.LUT(self._codes, table)).view(np.uint32)

    def runs(self) -> RowRuns:
        """The codes as they are now, over the stuff labels beneath."""
        return RowRuns.of(self._codes, self._stuff_map)


def _code_space(stuff_count: int, instance_count: int) -> tuple[type[np.integer[Any]], int]:
    """The smallest dtype for all codes and void, and the code of the first instance."""
    for dtype in (np.uint8, np.uint16):
        if stuff_count + instance_count < np.iinfo(dtype).max:
            return dtype, stuff_count + 1
    return np.int32, VOID + 1  # OpenCV has no uint32
