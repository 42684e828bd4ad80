"""What somebody marked in images: for each object its class and a box or some points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sam_masks.clip import inside
from sam_masks.prompts import Prompts
from thingstuff.errors import DataError

Point = tuple[float, float, int]  # x, y, and 1 inside of the object or 0 outside


@dataclass(frozen=True)
class Marked:
    """One object. `place` says where it stands in somebody's file; either `box_xyxy` or `points` is there."""

    category_id: int
    place: str
    box_xyxy: tuple[float, float, float, float] | None = None
    points: tuple[Point, ...] = ()
    id: int | str | None = None  # of the annotation that it was


@dataclass(frozen=True)
class MarkedImages:
    """COCO's records of `images` and `categories`, and the objects of each image by its id; `notes` are for people."""

    images: Sequence[Mapping[str, Any]]
    categories: Sequence[Mapping[str, Any]]
    objects: Mapping[int | str, Sequence[Marked]]
    notes: tuple[str, ...] = field(default=())


def prompts_of(objects: Sequence[Marked], height: int, width: int) -> list[tuple[list[int], Prompts]]:
    """Objects of one image -> groups of prompts of one shape, each with the numbers of its objects.

    Objects with equally many points go together: to fill the others up with empty points would change their masks.
    Boxes are cut off at the image's edges; one outside of the image is refused, and so is a point.
    """
    groups: dict[int, list[int]] = {}
    for number, one in enumerate(objects):
        _refuse_outside(one, height, width)
        groups.setdefault(len(one.points), []).append(number)
    return [(numbers, _prompts([objects[n] for n in numbers], height, width)) for numbers in groups.values()]


def _prompts(objects: Sequence[Marked], height: int, width: int) -> Prompts:
    if objects[0].box_xyxy is not None:
        return Prompts(inside(np.array([one.box_xyxy for one in objects], np.float32), height, width)[0])
    points = np.array([one.points for one in objects], np.float64)
    return Prompts(points_xy=points[..., :2], labels=points[..., 2].astype(np.int64))


def _refuse_outside(one: Marked, height: int, width: int) -> None:
    size = f"outside of the image, which is {width} x {height}"
    if one.box_xyxy is not None and not inside(np.array([one.box_xyxy]), height, width)[1][0]:
        shown = ", ".join(f"{number:g}" for number in one.box_xyxy)
        raise DataError(f"{one.place}: the box from x, y to x, y {shown} is {size}")
    for x, y, _ in one.points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise DataError(f"{one.place}: the point {x:g}, {y:g} is {size}")


def finite(value: Any, what: str, place: str) -> float:
    """A number of somebody's file."""
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{place}: {what}: expected a number, got {str(value)[:40]!r}")
    return number
