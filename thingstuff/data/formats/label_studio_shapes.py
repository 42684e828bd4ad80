"""The areas of Label Studio, in percent of their image, as polygons and masks in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thingstuff.data.formats.instance_records import checked_number, finite, mask_shapes, polygon_shape, shown
from thingstuff.data.formats.label_studio_rle import decode_brush
from thingstuff.data.formats.label_studio_task import LabelStudioRegion
from thingstuff.data.formats.round_outlines import ellipse_polygon, turned
from thingstuff.data.truth import Record
from thingstuff.errors import DataError

_DECIMALS = 3  # of a pixel; what percent lose behind them would decide on whole pixels at the borders of shapes

Size = tuple[int, int]


def shape_of(region: LabelStudioRegion, size_hw: Size | None) -> Record:
    """COCO's segmentation, bbox and area."""
    if size_hw is None:
        raise DataError(
            f"{region.place}: the size of its image is not known: it states none, and the file is not there"
        )
    if region.kind == "brush":
        crop, (x0, y0, _, _) = decode_brush(_brush(region.value, region.place), size_hw, region.place)
        return mask_shapes([crop], [(x0, y0)], *size_hw)[0]
    return polygon_shape([_POLYGONS[region.kind](region.value, size_hw, region.place)], size_hw)


def _polygon(value: Mapping[str, Any], size_hw: Size, place: str) -> list[float]:
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise DataError(f"{place}: expected points as a list of [x, y], got {shown(points)}")
    numbers = [[checked_number(number, place) for number in point] for point in points]
    return [pixels for x, y in numbers for pixels in (_pixels(x, size_hw[1]), _pixels(y, size_hw[0]))]


def _rectangle(value: Mapping[str, Any], size_hw: Size, place: str) -> list[float]:
    """Turned about its first corner."""
    x, y, width, height = _box(value, ("x", "y", "width", "height"), size_hw, place)
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    degrees = _degrees(value, place)
    return [round(each, _DECIMALS) for corner in corners for each in turned(corner, (x, y), degrees)]


def _ellipse(value: Mapping[str, Any], size_hw: Size, place: str) -> list[float]:
    x, y, across, down = _box(value, ("x", "y", "radiusX", "radiusY"), size_hw, place)
    return ellipse_polygon((x, y), (across, down), _degrees(value, place))


_POLYGONS = {"polygon": _polygon, "rectangle": _rectangle, "ellipse": _ellipse}


def _box(value: Mapping[str, Any], names: tuple[str, ...], size_hw: Size, place: str) -> list[float]:
    """Four numbers, along x and y by turns."""
    numbers = finite([checked_number(value.get(name), f"{place}: {name}") for name in names], place)
    return [_pixels(number, size_hw[1 - at % 2]) for at, number in enumerate(numbers)]


def _degrees(value: Mapping[str, Any], place: str) -> float:
    return finite([checked_number(value.get("rotation") or 0, f"{place}: rotation")], place)[0]


def _pixels(percent: float, length: int) -> float:
    return round(percent * length / 100, _DECIMALS)


def _brush(value: Mapping[str, Any], place: str) -> bytes:
    rle = value.get("rle")
    try:
        if value.get("format") != "rle" or not isinstance(rle, list):
            raise TypeError
        return bytes(rle)
    except (TypeError, ValueError):
        raise DataError(
            f"{place}: expected a brush mask of the format rle, a list of bytes, got {shown(rle)}"
        ) from None
