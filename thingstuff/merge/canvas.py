"""A canvas: the image that a merge fills, with who took which pixel, and the stuff beneath."""

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
Owners = NDArray[np.integer[Any]]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in whole pixels, half-open


class Canvas:
    """One H x W image. Things are painted on it, each over free pixels only; stuff shows where none is.

    The first instance to be painted has the highest code and each later one the next lower, so that "over free pixels
    only" is a maximum. All work on an instance stays in its box, unlike Detectron2's, which goes over the whole image
    several times.
    """

    def __init__(self, stuff_map: NDArray[np.uint16], stuff_count: int, instance_count: int) -> None:
        dtype = _smallest_dtype(stuff_count + instance_count)
        self._next_code = stuff_count + instance_count  # all codes are above all labels
        self._code_of: dict[int, int] = {}
        self._owners = np.zeros(stuff_map.shape, dtype)
        self._losses = Losses()
        self._labels = _labels(stuff_map, stuff_count, dtype)

    def code(self, number: int) -> int:
        """What stands for instance `number`, which is painted."""
        return self._code_of[number]

    def owners(self, crop: Crop, box: Box) -> Owners:
        """Whose the pixels of a mask, given as a crop of 0 and 1 with one pixel or more, are already; 0 = nobody's."""
        x0, y0, x1, y1 = box
        owners = self._owners[y0:y1, x0:x1]
        # half the time of a masked copy; OpenCV multiplies equal types only
        return cv2.multiply(owners, crop) if owners.dtype == crop.dtype else owners * crop  # type: ignore[return-value]

    def paint(self, crop: Crop, box: Box, number: int) -> None:
        """Instance `number` takes what is free of its mask."""
        x0, y0, x1, y1 = box
        owners = self._owners[y0:y1, x0:x1]
        code, self._next_code = self._next_code, self._next_code - 1
        self._code_of[number] = code
        cv2.max(owners, crop * owners.dtype.type(code), dst=owners)

    def note_lost(self, owners: Owners, number: int) -> None:
        """Remember that instance `number` wanted pixels of these owners."""
        self._losses.note(number, owners)

    def takers(self) -> dict[int, Takers]:
        """Number of every instance that lost pixels -> who took them: (number, pixels), most pixels first."""
        return self._losses.takers(list(self._code_of.items()))

    def codes(self) -> Owners:
        """H x W: the code of the instance that a pixel belongs to now, or else its stuff label; 0 for void."""
        return self._owners if self._owners.size == 0 else cv2.max(self._owners, self._labels)  # type: ignore[return-value]

    def runs(self, codes: Owners) -> RowRuns:
        """Of `codes()`, over the stuff labels beneath."""
        return RowRuns.of(codes, self._labels)


def segment_ids(codes: Owners, ids: Mapping[int, int], runs: RowRuns) -> NDArray[np.uint32]:
    """H x W uint32: `ids[code]` of every pixel, 0 where a code has none. `runs` are those of `codes`."""
    if codes.dtype != np.uint8 or codes.size == 0:
        return runs.mapped(ids)  # OpenCV's tables are for bytes; with them a small image takes half the time
    table = np.zeros(256, np.int32)
    table[list(ids)] = list(ids.values())
    return np.asarray(cv2.LUT(codes, table)).view(np.uint32)


def _smallest_dtype(highest: int) -> type[np.integer[Any]]:
    """OpenCV has no uint32."""
    return next(dtype for dtype in (np.uint8, np.uint16, np.int32) if highest <= np.iinfo(dtype).max)


def _labels(stuff_map: NDArray[np.uint16], stuff_count: int, dtype: type[np.integer[Any]]) -> Owners:
    """The stuff map with 0 for void, which is nobody's."""
    if stuff_map.max(initial=0) > stuff_count:
        stuff_map = np.where(stuff_map == VOID, 0, stuff_map)
    return stuff_map.astype(dtype, order="C")
