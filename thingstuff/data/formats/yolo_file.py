"""A label file of YOLO: one object a line, a class number and a polygon or a box in fractions of the image's size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.text_file import read_lines
from thingstuff.errors import DataError

_BOX_NUMBERS = 4
_FEWEST_NUMBERS = 6  # of a polygon
_TOLERANCE = 1e-3  # beyond 0 and 1: rounding of whoever wrote it
_DECIMALS = 3  # of a pixel; six digits of a fraction do not hold more
_HIGHEST_CLASS = 1 << 31


@dataclass(frozen=True)
class YoloObject:
    """`numbers`: x, y, x, y, ... of a polygon, or middle and size of a box, in fractions; `number` is the class."""

    number: int
    numbers: NDArray[np.float64]
    score: float | None
    place: str

    @property
    def is_box(self) -> bool:
        return len(self.numbers) == _BOX_NUMBERS

    def polygon(self, size_hw: tuple[int, int]) -> list[float]:
        """In pixels."""
        return _in_pixels(self.numbers, size_hw)

    def box_xyxy(self, size_hw: tuple[int, int]) -> list[float]:
        middle, size = self.numbers[:2], self.numbers[2:]
        return _in_pixels(np.concatenate([middle - size / 2, middle + size / 2]).clip(0, 1), size_hw)


def read_yolo_file(path: Path, name: str, faults: Faults, with_scores: bool = False) -> list[YoloObject]:
    """The objects of a file that messages call `name`; lines that are none are faults.

    `with_scores`: a line may end in a confidence, as predictions of Ultralytics do.
    """
    found: list[YoloObject] = []
    with faults.skipping("label files that cannot be read"):
        for number, line in enumerate(read_lines(path), 1):
            if line.strip():
                _add(found, line, f"{name}:{number}", faults, with_scores)
    return found


def _add(found: list[YoloObject], line: str, place: str, faults: Faults, with_scores: bool) -> None:
    with faults.skipping("lines that are no objects"):
        one = _object(line, place, with_scores)
        outside = one.numbers[(one.numbers < -_TOLERANCE) | (one.numbers > 1 + _TOLERANCE)]
        if outside.size:
            faults.add("objects with coordinates outside 0 to 1", f"{place}: {outside[0]:g}")
        else:
            found.append(one)


def _object(line: str, place: str, with_scores: bool) -> YoloObject:
    first, *rest = line.split()
    try:
        values = np.array(rest, np.float64)
        number = float(first)
    except ValueError:
        raise DataError(f"{place}: expected a class number and coordinates, got {shown(line)}") from None
    if not (number.is_integer() and 0 <= number < _HIGHEST_CLASS) or not np.isfinite(values).all():
        raise DataError(f"{place}: expected a class number from 0 on and finite coordinates, got {shown(line)}")
    score = None
    if with_scores and len(values) % 2:
        values, score = values[:-1], float(values[-1])
    if len(values) % 2 or len(values) < _BOX_NUMBERS or (score is not None and not 0 <= score <= 1):
        what = "4 numbers of a box or x, y of 3 corners or more" + ", and a confidence at most" * with_scores
        raise DataError(f"{place}: expected {what}, got {len(rest)} numbers: {shown(line)}")
    return YoloObject(int(number), values, score, place)


def _in_pixels(fractions: NDArray[np.float64], size_hw: tuple[int, int]) -> list[float]:
    height, width = size_hw
    return np.round(fractions.clip(0, 1).reshape(-1, 2) * (width, height), _DECIMALS).reshape(-1).tolist()
