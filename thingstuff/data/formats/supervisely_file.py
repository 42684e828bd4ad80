"""One label file of Supervisely: the objects of an image."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.image_files import image_size_hw
from thingstuff.data.formats.instance_records import (
    Crop,
    checked_label,
    checked_number,
    checked_size_hw,
    drawn_polygons,
    finite,
    joined_shape,
    polygon_shape,
    shown,
    trimmed,
)
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.structures.png import SIGNATURE, read_mask_png
from thingstuff.structures.spans import Box

CROWD = "iscrowd"  # the tag by which we know a crowd again
_MOST_PNG_BYTES = 1 << 26
_FEWEST_NUMBERS = 6  # of a polygon


@dataclass(frozen=True)
class SuperviselyObject:
    """`shape` is COCO's segmentation, bbox and area."""

    label: str
    shape: Record
    is_crowd: bool
    place: str


@dataclass(frozen=True)
class SuperviselyFile:
    """`left_out` are the types of objects that are not read."""

    size_hw: tuple[int, int]
    objects: list[SuperviselyObject]
    left_out: list[str]


def read_supervisely_file(path: Path, name: str, image: Path, faults: Faults) -> SuperviselyFile:
    """`name` is for messages, and `image` gives the size where the file does not state it."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("objects"), list):
        raise DataError(f"{name}: expected a label file of Supervisely, an object with size and the list objects")
    size_hw = _size_hw(content.get("size"), name, image)
    objects, left_out = [], []
    for number, value in enumerate(content["objects"]):
        place = f"{name}: objects[{number}]"
        with faults.skipping("objects that cannot be read"):
            if not isinstance(value, dict):
                raise DataError(f"{place}: expected an object with classTitle and geometryType, got {shown(value)}")
            kind = checked_label(value.get("geometryType"), f"{place}: geometryType")
            if kind in _SHAPES:
                label = checked_label(value.get("classTitle"), f"{place}: classTitle")
                objects.append(SuperviselyObject(label, _SHAPES[kind](value, size_hw, place), _is_crowd(value), place))
            else:
                left_out.append(kind)
    return SuperviselyFile(size_hw, objects, left_out)


def _size_hw(value: Any, name: str, image: Path) -> tuple[int, int]:
    size = value if isinstance(value, dict) else {}
    if "height" in size or "width" in size:
        return checked_size_hw(size.get("height"), size.get("width"), f"{name}: size")
    found = image_size_hw(image)
    if found is None:
        raise DataError(f"{name}: states no size of its image, and {image} cannot be read: state height and width")
    return found


def _is_crowd(value: Mapping[str, Any]) -> bool:
    tags = value.get("tags")
    return isinstance(tags, list) and any(isinstance(tag, dict) and tag.get("name") == CROWD for tag in tags)


def _bitmap(value: Mapping[str, Any], size_hw: tuple[int, int], place: str) -> Record:
    """`origin` is the place of its first pixel."""
    bitmap = value.get("bitmap")
    origin = bitmap.get("origin") if isinstance(bitmap, dict) else None
    if not isinstance(bitmap, dict) or not isinstance(origin, list) or len(origin) != 2:
        raise DataError(f"{place}: expected a bitmap with data and an origin x, y, got {shown(bitmap)}")
    x0, y0 = (int(number) for number in finite([checked_number(each, f"{place}: origin") for each in origin], place))
    crop = read_mask_png(_png(bitmap.get("data"), size_hw, f"{place}: data"), f"{place}: data", by_alpha=True)
    return joined_shape([], [trimmed(crop, x0, y0, size_hw)], size_hw, place)


def _png(text: Any, size_hw: tuple[int, int], place: str) -> bytes:
    """Neither the text nor the picture becomes larger than a mask of the image can be."""
    if not isinstance(text, str):
        raise DataError(f"{place}: expected a PNG, packed by zlib and in base64, got {shown(text)}")
    try:
        packed = zlib.decompressobj()
        png = packed.decompress(base64.b64decode(text), _MOST_PNG_BYTES)
    except (ValueError, zlib.error) as error:
        raise DataError(f"{place}: expected a PNG, packed by zlib and in base64: {error}") from error
    if not packed.eof:
        why = f"holds more than {_MOST_PNG_BYTES} bytes" if len(png) >= _MOST_PNG_BYTES else "is cut off"
        raise DataError(f"{place}: {why}: draw it again")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    if png.startswith(SIGNATURE) and width * height > size_hw[0] * size_hw[1]:
        raise DataError(
            f"{place}: {width} x {height} pixels are more than its image of {size_hw[1]} x {size_hw[0]} has"
        )
    return png


def _rectangle(value: Mapping[str, Any], size_hw: tuple[int, int], place: str) -> Record:
    """Whole numbers are the first and the last pixel, as Supervisely's programs write them, others are the edges."""
    corners, _, is_in_pixels = _rings(value, place)
    if len(corners) != 4:
        raise DataError(f"{place}: expected a rectangle of two points, got {len(corners) // 2}")
    (x0, x1), (y0, y1) = sorted(corners[::2]), sorted(corners[1::2])
    if is_in_pixels:
        x1, y1 = x1 + (x1 < size_hw[1]), y1 + (y1 < size_hw[0])
    return polygon_shape([[x0, y0, x1, y0, x1, y1, x0, y1]], size_hw)


def _polygon(value: Mapping[str, Any], size_hw: tuple[int, int], place: str) -> Record:
    """Whole numbers are pixels, and the rings are drawn over their own: outer ones in, inner ones out of the mask.

    Others are points of the plane; without inner rings these stay a polygon.
    """
    exterior, interiors, is_in_pixels = _rings(value, place)
    rings = [exterior, *interiors]
    if not interiors and not (is_in_pixels and len(exterior) >= _FEWEST_NUMBERS):
        return polygon_shape(rings, size_hw)
    if any(len(ring) < _FEWEST_NUMBERS for ring in rings):
        raise DataError(f"{place}: expected rings of 3 points or more, got {shown(value['points'])}")
    draw = _drawn_in_pixels if is_in_pixels else _drawn_in_points
    return joined_shape([], [draw(rings, size_hw, place)], size_hw, place)


def _drawn_in_pixels(rings: list[list[float]], size_hw: tuple[int, int], place: str) -> tuple[Crop, Box]:
    """As Supervisely's programs draw it, with OpenCV, whose polygons include their border."""
    points = [np.array(ring, np.int64).reshape(-1, 2) for ring in rings]
    low = np.clip(points[0].min(axis=0), 0, size_hw[::-1])
    high = np.clip(points[0].max(axis=0) + 1, low, size_hw[::-1])
    crop = np.zeros((high - low)[::-1], np.uint8)
    if crop.size:
        for number, ring in enumerate(points):
            cv2.fillPoly(crop, [(ring - low).astype(np.int32)], int(number == 0))
    return trimmed(crop, int(low[0]), int(low[1]), size_hw)


def _drawn_in_points(rings: list[list[float]], size_hw: tuple[int, int], place: str) -> tuple[Crop, Box]:
    drawn = [each for each in (drawn_polygons([ring], size_hw) for ring in rings) if each is not None]
    if len(drawn) < len(rings):
        raise DataError(f"{place}: its rings are longer than anybody draws them")
    (whole, (left, top, _, _)), *holes = drawn
    crop = whole.copy()
    for hole, (x, y, _, _) in holes:
        inside, (x0, y0, x1, y1) = trimmed(hole, x - left, y - top, crop.shape)
        crop[y0:y1, x0:x1] &= 1 - inside
    return trimmed(crop, left, top, size_hw)


_SHAPES = {"bitmap": _bitmap, "polygon": _polygon, "rectangle": _rectangle}


def _rings(value: Mapping[str, Any], place: str) -> tuple[list[float], list[list[float]], bool]:
    """The outer ring and the inner ones, x, y, x, y ..., and whether all of these numbers are whole."""
    points = value.get("points")
    stated = points if isinstance(points, dict) else {}
    interiors = stated.get("interior") or []
    if not isinstance(interiors, list):
        raise DataError(f"{place}: expected interior as a list of rings, got {shown(interiors)}")
    exterior, *inner = [_ring(each, place) for each in (stated.get("exterior"), *interiors)]
    return exterior, inner, all(number.is_integer() for ring in (exterior, *inner) for number in ring)


def _ring(value: Any, place: str) -> list[float]:
    if not isinstance(value, list) or not all(isinstance(point, list) and len(point) == 2 for point in value):
        raise DataError(f"{place}: expected points as a list of [x, y], got {shown(value)}")
    return finite([checked_number(number, place) for point in value for number in point], place)
