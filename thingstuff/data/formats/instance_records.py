"""What readers of instances share: masks and polygons -> COCO annotations, labels -> categories, numbers checked."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.structures import Categories
from thingstuff.structures.png import MOST_PX
from thingstuff.structures.polygons import checked_polygon, polygons_crop
from thingstuff.structures.rle import encode_crops
from thingstuff.structures.spans import Box

Crop = NDArray[np.uint8]
MOST_LABEL_CHARACTERS = 1000
_LONGEST_OUTLINE_PX = 200_000  # what is longer is not drawn, since a million steps can take much time and memory


@dataclass
class Instances:
    """Annotations as they are found, with their places; `category_id` is the label until `categorised`."""

    annotations: list[Record] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def add(self, image_id: int, label: Any, shape: Mapping[str, Any], place: str, iscrowd: bool = False) -> None:
        number = len(self.annotations) + 1
        record = {"id": number, "image_id": image_id, "category_id": label, **shape, "iscrowd": int(iscrowd)}
        self.annotations.append(record)
        self.places.append(place)

    def categorised(self, categories: Sequence[Record]) -> list[Record]:
        """The annotations with the ids of these categories; a label that none of them has stays as it is."""
        ids = {category["name"]: category["id"] for category in categories}
        return [note | {"category_id": ids.get(note["category_id"], note["category_id"])} for note in self.annotations]

    def all_as(self, category_id: int) -> list[Record]:
        """The annotations with one category, whatever their labels are."""
        return [note | {"category_id": category_id} for note in self.annotations]

    def labels(self) -> set[Any]:
        return {note["category_id"] for note in self.annotations}


def categories_of(declared: Categories | None, labels: Iterable[str]) -> tuple[list[Record], tuple[str, ...]]:
    """The declared categories, else the labels in alphabetical order with ids from 1, and a note that says so."""
    if declared is not None:
        return declared.to_coco(), ()
    names = sorted(labels)
    note = (f"categories are the labels found, in alphabetical order: {', '.join(names[:20])}",) if names else ()
    return [{"id": number, "name": name} for number, name in enumerate(names, 1)], note


def mask_shapes(crops: Sequence[Crop], corners_xy: Sequence[tuple[int, int]], height: int, width: int) -> list[Record]:
    """Tight uint8 crops of 0 and 1 with their top left corners -> segmentation (RLE), bbox and area of each."""
    rles = encode_crops(crops, np.array(corners_xy, np.int64).reshape(-1, 2), height, width)
    boxes = ([x0, y0, crop.shape[1], crop.shape[0]] for crop, (x0, y0) in zip(crops, corners_xy, strict=True))
    areas = (int(np.count_nonzero(crop)) for crop in crops)
    return [{"segmentation": rle, "bbox": box, "area": area} for rle, box, area in zip(rles, boxes, areas, strict=True)]


def polygon_shape(polygons: list[list[float]], size_hw: tuple[int, int] | None) -> Record:
    """Polygons, and bbox and area of their mask in the image; without these two where they cannot be drawn.

    Measured by pycocotools, which takes a tenth of the time of numpy here, and formats can hold a million polygons.
    """
    if size_hw is None or not polygons or not _can_be_drawn(polygons):
        return {"segmentation": polygons}
    try:
        checked = [checked_polygon(polygon).tolist() for polygon in polygons]
    except DataError:
        return {"segmentation": polygons}
    whole = mask_api.merge(mask_api.frPyObjects(checked, *size_hw))
    box = [int(value) for value in mask_api.toBbox(whole)]
    return {"segmentation": polygons, "bbox": box, "area": int(mask_api.area(whole))}


def joined_shape(
    polygons: list[list[float]], masks: Sequence[tuple[Crop, Box]], size_hw: tuple[int, int], place: str
) -> Record:
    """Polygons and tight masks of one instance -> one RLE, with bbox and area; polygons alone stay polygons."""
    if not masks:
        return polygon_shape(polygons, size_hw)
    drawn = list(masks)
    for polygon in polygons:
        one = drawn_polygons([polygon], size_hw)
        if one is None:
            raise DataError(f"{place}: a mask cannot be joined with {shown(polygon)}, which is no polygon")
        drawn.append(one)
    crop, corner_xy = _union(drawn)
    return mask_shapes([crop], [corner_xy], *size_hw)[0]


def drawn_polygons(polygons: list[list[float]], size_hw: tuple[int, int]) -> tuple[Crop, Box] | None:
    """The tight mask of polygons; None for what is no polygon, and for outlines as nobody draws them."""
    try:
        return polygons_crop(polygons, *size_hw) if _can_be_drawn(polygons) else None
    except DataError:
        return None


def trimmed(crop: Crop, x0: int, y0: int, size_hw: tuple[int, int]) -> tuple[Crop, Box]:
    """A crop with its corner at (x0, y0) -> the part of it inside the image, trimmed to its pixels, and its box."""
    height, width = size_hw
    inside = crop[max(0, -y0) : max(0, height - y0), max(0, -x0) : max(0, width - x0)]
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size == 0:
        return np.zeros((0, 0), np.uint8), (0, 0, 0, 0)
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    x, y = max(0, x0), max(0, y0)
    return np.ascontiguousarray(inside[top:bottom, left:right]), (x + left, y + top, x + right, y + bottom)


def checked_size_hw(height: Any, width: Any, place: str) -> tuple[int, int]:
    """The stated size of an image, which is neither of another type nor so large that a mask would fill the memory."""
    for name, value in (("height", height), ("width", width)):
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise DataError(f"{place}: expected a {name} in whole pixels above 0, got {shown(value)}")
    if height * width > MOST_PX:
        raise DataError(f"{place}: {shown(width)} x {shown(height)} pixels are more than the {MOST_PX} that are read")
    return height, width


def checked_label(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_LABEL_CHARACTERS:
        raise DataError(f"{place}: expected a label, got {shown(value)}")
    return value


def checked_number(value: Any, place: str) -> float:
    """A number as JSON has it, NaN and infinity included."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        return float(value)
    except (TypeError, OverflowError):
        raise DataError(f"{place}: expected a number, got {shown(value)}") from None


def finite(values: Sequence[float], place: str) -> list[float]:
    """Coordinates from which a shape can be made."""
    for value in values:
        if not (math.isfinite(value) and abs(value) <= MOST_PX):
            raise DataError(f"{place}: expected coordinates in pixels, got {value}")
    return list(values)


def shown(value: Any, most: int = 60) -> str:
    """A value of somebody's file for a message, on one line."""
    shortener = reprlib.Repr()  # it may be lists in lists in lists, or the same list a billion times
    shortener.maxlevel, shortener.maxlist, shortener.maxtuple, shortener.maxdict = 3, 20, 20, 20
    shortener.maxstring = shortener.maxlong = shortener.maxother = 4 * most
    try:
        text = shortener.repr(value)
    except ValueError:  # of an integer with thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]} ..."


def _union(masks: Sequence[tuple[Crop, Box]]) -> tuple[Crop, tuple[int, int]]:
    """Several tight masks as one, and its corner."""
    masks = [(crop, box) for crop, box in masks if crop.size]
    if not masks:
        return np.zeros((0, 0), np.uint8), (0, 0)
    boxes = np.array([box for _, box in masks])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    joined = np.zeros((bottom - top, right - left), np.uint8)
    for crop, (x0, y0, x1, y1) in masks:
        joined[y0 - top : y1 - top, x0 - left : x1 - left] |= crop
    return joined, (left, top)


def _can_be_drawn(polygons: list[list[float]]) -> bool:
    length = 0.0
    for polygon in polygons:
        x, y = np.asarray(polygon[0::2], np.float64), np.asarray(polygon[1::2], np.float64)
        with np.errstate(all="ignore"):
            length += sum(
                float(np.abs(side[1:] - side[:-1]).sum()) + abs(side[-1] - side[0]) for side in (x, y) if side.size
            )
    return length <= _LONGEST_OUTLINE_PX
