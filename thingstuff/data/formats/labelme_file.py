"""One JSON file of LabelMe: its image, and its shapes put together to instances."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from thingstuff.data.formats.image_files import UNREADABLE, image_size_hw
from thingstuff.data.formats.instance_records import (
    Crop,
    checked_label,
    checked_number,
    checked_size_hw,
    finite,
    joined_shape,
    polygon_shape,
    shown,
    trimmed,
)
from thingstuff.data.formats.round_outlines import ellipse_polygon
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.structures.png import read_mask_png
from thingstuff.structures.spans import Box

_AREAS = ("polygon", "rectangle", "circle", "mask")
_DRIVE = re.compile("[A-Za-z]:/")


@dataclass(frozen=True)
class PlacedMask:
    """A PNG that lies in the image with its corners at these points, the last pixel included."""

    png: bytes
    points_xy: list[float]
    place: str

    def drawn(self, size_hw: tuple[int, int]) -> tuple[Crop, Box]:
        x0, y0, x1, y1 = (round(value) for value in self.points_xy)
        crop = read_mask_png(self.png, f"{self.place}: mask")
        height, width = crop.shape
        if (height, width) not in ((y1 - y0 + 1, x1 - x0 + 1), (y1 - y0, x1 - x0)):
            raise DataError(f"{self.place}: its mask has {width} x {height} pixels, which its points contradict")
        return trimmed(crop, x0, y0, size_hw)


@dataclass(frozen=True)
class LabelmeInstance:
    """One instance, of one shape or of a group of them."""

    label: str
    place: str
    polygons: list[list[float]]
    masks: list[PlacedMask]
    is_crowd: bool

    def shape(self, size_hw: tuple[int, int] | None) -> Record:
        """COCO's segmentation, bbox and area: an RLE if one of the shapes is a mask."""
        if not self.masks:
            return polygon_shape(self.polygons, size_hw)
        if size_hw is None:
            raise DataError(f"{self.place}: the size of its image is not known: state imageHeight and imageWidth")
        return joined_shape(self.polygons, [mask.drawn(size_hw) for mask in self.masks], size_hw, self.place)


@dataclass(frozen=True)
class LabelmeFile:
    """`name` is relative to the folder of the data set, `image_path` to the file's own; `left_out` are shape types."""

    name: str
    image_path: str
    instances: list[LabelmeInstance]
    left_out: list[str]
    stated_hw: tuple[int, int] | None
    embedded_hw: tuple[int, int] | None

    def size_hw(self, image: Path) -> tuple[int, int] | None:
        return self.stated_hw or image_size_hw(image) or self.embedded_hw


def read_labelme_file(folder: Path, name: str) -> LabelmeFile:
    content = read_json(folder / name)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise DataError(f"{folder / name}: expected a file of LabelMe, an object with the list shapes")
    stated_hw = _stated_size(content, name)
    shapes = [_Shape.of(shape, f"{name}: shapes[{number}]") for number, shape in enumerate(content["shapes"])]
    return LabelmeFile(
        name=name,
        image_path=_image_path(content.get("imagePath"), name),
        instances=_instances([shape for shape in shapes if shape.kind in _AREAS], name),
        left_out=[shape.kind for shape in shapes if shape.kind not in _AREAS],
        stated_hw=stated_hw,
        embedded_hw=_embedded_size(content.get("imageData")) if stated_hw is None else None,
    )


def _stated_size(content: Mapping[str, Any], name: str) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    return None if height is None or width is None else checked_size_hw(height, width, name)


def _embedded_size(image_data: Any) -> tuple[int, int] | None:
    try:
        with Image.open(io.BytesIO(base64.b64decode(image_data))) as image:
            return image.height, image.width
    except UNREADABLE:
        return None


def _image_path(value: Any, name: str) -> str:
    """Relative, with "/"; of an absolute path, which is of somebody's computer, the name alone."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise DataError(f"{name}: expected imagePath, the name of its image, got {shown(value)}")
    path = value.replace("\\", "/")
    return PurePosixPath(path).name if path.startswith("/") or _DRIVE.match(path) else path


@dataclass(frozen=True)
class _Shape:
    label: str
    kind: str
    points_xy: list[float]
    group: int | str | None
    is_crowd: bool
    png: bytes | None
    place: str

    @classmethod
    def of(cls, value: Any, place: str) -> _Shape:
        if not isinstance(value, dict):
            raise DataError(f"{place}: expected an object with label and points, got {shown(value)}")
        kind = value.get("shape_type") or "polygon"  # the first versions drew nothing else
        if not isinstance(kind, str):
            raise DataError(f"{place}: expected a shape_type such as polygon, got {shown(kind)}")
        group, flags = value.get("group_id"), value.get("flags")
        if not isinstance(group, int | str | None):
            raise DataError(f"{place}: expected a group_id that is a number or null, got {shown(group)}")
        return cls(
            label=checked_label(value.get("label"), place),
            kind=kind,
            points_xy=_points(value.get("points"), place),
            group=group,
            is_crowd=isinstance(flags, dict) and bool(flags.get("iscrowd")),
            png=_png(value.get("mask"), place) if kind == "mask" else None,
            place=place,
        )

    def polygon(self) -> list[float]:
        if self.kind == "circle":
            x, y, on_x, on_y = self._two_points()
            radius = ((on_x - x) ** 2 + (on_y - y) ** 2) ** 0.5
            return ellipse_polygon((x, y), (radius, radius))
        if self.kind == "rectangle" and len(self.points_xy) == 4:
            x0, y0, x1, y1 = self.points_xy
            return [x0, y0, x1, y0, x1, y1, x0, y1]
        return self.points_xy

    def mask(self) -> PlacedMask:
        assert self.png is not None
        return PlacedMask(self.png, self._two_points(), self.place)

    def _two_points(self) -> list[float]:
        if len(self.points_xy) != 4:
            raise DataError(f"{self.place}: expected a {self.kind} of two points, got {len(self.points_xy) // 2}")
        return finite(self.points_xy, self.place)


def _points(value: Any, place: str) -> list[float]:
    """[[x, y], ...] -> [x, y, ...]"""
    if not isinstance(value, list) or not all(isinstance(point, list) and len(point) == 2 for point in value):
        raise DataError(f"{place}: expected points as a list of [x, y], got {shown(value)}")
    return [checked_number(number, place) for point in value for number in point]


def _png(value: Any, place: str) -> bytes:
    try:
        return base64.b64decode(value)
    except (TypeError, ValueError):
        raise DataError(f"{place}: expected its mask as a PNG in base64, got {shown(value)}") from None


def _instances(shapes: list[_Shape], name: str) -> list[LabelmeInstance]:
    """Shapes with one label and one group that is not null are one instance, where the first of them stands."""
    groups: dict[Any, list[_Shape]] = {}
    for number, shape in enumerate(shapes):
        key = (None, number) if shape.group is None else (shape.label, shape.group)
        groups.setdefault(key, []).append(shape)
    return [_instance(group, name) for group in groups.values()]


def _instance(shapes: list[_Shape], name: str) -> LabelmeInstance:
    numbers = ", ".join(shape.place.removeprefix(f"{name}: ") for shape in shapes[:5])
    return LabelmeInstance(
        label=shapes[0].label,
        place=f"{name}: {numbers}{', ...' if len(shapes) > 5 else ''}",
        polygons=[shape.polygon() for shape in shapes if shape.kind != "mask"],
        masks=[shape.mask() for shape in shapes if shape.kind == "mask"],
        is_crowd=any(shape.is_crowd for shape in shapes),
    )
