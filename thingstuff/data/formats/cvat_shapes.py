"""The shapes of an image in CVAT's XML, put together to instances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thingstuff.data.formats.cvat_file import CvatImage, CvatShape, whole_number
from thingstuff.data.formats.instance_records import Crop, checked_label, finite, joined_shape, shown, trimmed
from thingstuff.data.formats.round_outlines import ellipse_polygon, turned
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.structures.png import MOST_PX

_MASK_PLACE = ("left", "top", "width", "height")


@dataclass
class CvatInstance:
    """One instance, of one shape or of a group of them. `masks` are crops with the corner of each."""

    label: str
    place: str
    z_order: int
    is_crowd: bool = False
    polygons: list[list[float]] = field(default_factory=list)
    masks: list[tuple[Crop, int, int]] = field(default_factory=list)

    def shape(self, size_hw: tuple[int, int]) -> Record:
        """COCO's segmentation, bbox and area: an RLE if one of the shapes is a mask."""
        inside = [trimmed(crop, x0, y0, size_hw) for crop, x0, y0 in self.masks]
        return joined_shape(self.polygons, inside, size_hw, self.place)


def instances_of(image: CvatImage) -> tuple[list[CvatInstance], list[str]]:
    """The instances from the lowest to the one in front, and the kinds of the shapes that are no areas."""
    groups: dict[Any, CvatInstance] = {}
    others = []
    for number, shape in enumerate(image.shapes):
        if shape.kind not in _POLYGONS and shape.kind != "mask":
            others.append(shape.kind)
            continue
        label = checked_label(shape.attributes.get("label"), shape.place)
        z_order = whole_number(shape.attributes, "z_order", shape.place, "0")
        group = whole_number(shape.attributes, "group_id", shape.place, "0")
        key = (label, group) if group else (None, number)
        instance = groups.setdefault(key, CvatInstance(label, shape.place, z_order))
        instance.z_order = max(instance.z_order, z_order)
        instance.is_crowd |= shape.is_crowd
        if shape.kind == "mask":
            instance.masks.append(_mask(shape))
        else:
            instance.polygons.append(_POLYGONS[shape.kind](shape))
    return sorted(groups.values(), key=lambda each: each.z_order), others


def _polygon(shape: CvatShape) -> list[float]:
    """ "x,y;x,y;..." -> [x, y, ...]"""
    text = shape.attributes.get("points", "")
    pairs = [pair.split(",") for pair in text.split(";")] if text.strip() else []
    try:
        return [float(value) for x, y in pairs for value in (x, y)]
    except ValueError:
        raise DataError(f"{shape.place}: expected points as x,y;x,y;..., got {shown(text)}") from None


def _box(shape: CvatShape) -> list[float]:
    x0, y0, x1, y1 = (_number(shape, name) for name in ("xtl", "ytl", "xbr", "ybr"))
    center = (x0 + x1) / 2, (y0 + y1) / 2
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return [value for corner in corners for value in turned(corner, center, _degrees(shape))]


def _ellipse(shape: CvatShape) -> list[float]:
    x, y, across, down = (_number(shape, name) for name in ("cx", "cy", "rx", "ry"))
    return ellipse_polygon((x, y), (across, down), _degrees(shape))


_POLYGONS = {"polygon": _polygon, "box": _box, "ellipse": _ellipse}


def _mask(shape: CvatShape) -> tuple[Crop, int, int]:
    """Run lengths along the rows of a box, outside first."""
    left, top, width, height = (whole_number(shape.attributes, name, shape.place) for name in _MASK_PLACE)
    text = shape.attributes.get("rle", "")
    try:
        runs = [int(run) for run in text.split(",")]
    except ValueError:
        raise DataError(f"{shape.place}: expected rle as whole numbers, got {shown(text)}") from None
    if width <= 0 or height <= 0 or width * height > MOST_PX or min(runs) < 0 or sum(runs) != width * height:
        raise DataError(
            f"{shape.place}: expected runs of {shown(width)} x {shown(height)} pixels, got runs of {shown(sum(runs))}"
        )
    inside = (np.arange(len(runs)) % 2).astype(np.uint8)
    return np.repeat(inside, runs).reshape(height, width), left, top


def _degrees(shape: CvatShape) -> float:
    return _number(shape, "rotation") if "rotation" in shape.attributes else 0.0


def _number(shape: CvatShape, name: str) -> float:
    text = shape.attributes.get(name, "")
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{shape.place}: expected {name} as a number, got {shown(text)}") from None
    return finite([value], shape.place)[0]
