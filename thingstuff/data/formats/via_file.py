"""A JSON file of the VGG Image Annotator: its images, and the areas in them with their attributes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.image_references import ImageReference, reference_or_fault
from thingstuff.data.formats.instance_records import checked_number, finite, shown
from thingstuff.data.formats.round_outlines import ellipse_polygon
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json

PROJECT = "_via_img_metadata"  # where a project of VIA 2 has what the other files are as a whole
_VIA_3 = {"project", "config", "attribute", "file", "metadata", "view"}


@dataclass(frozen=True)
class ViaRegion:
    polygon: list[float]
    attributes: Mapping[str, Any]
    place: str


@dataclass(frozen=True)
class ViaImage:
    reference: ImageReference
    regions: list[ViaRegion]
    place: str


@dataclass
class ViaFile:
    """`left_out` counts shapes that are no areas; `options` are the choices of attributes, in the project's order."""

    images: list[ViaImage] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    options: dict[str, list[str]] = field(default_factory=dict)

    @property
    def regions(self) -> Iterator[ViaRegion]:
        for image in self.images:
            yield from image.regions


def read_via_file(path: Path, faults: Faults) -> ViaFile:
    content = read_json(path)
    if isinstance(content, dict) and set(content) >= _VIA_3:
        raise DataError(f"{path}: a project of VIA 3, which is not read: VIA 2 has images with areas in them")
    entries = content.get(PROJECT, content) if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise DataError(f"{path}: expected VIA's JSON, an object with an entry for each image, got {shown(content)}")
    file = ViaFile(options=_options(content.get("_via_attributes")))
    for key, entry in entries.items():
        with faults.skipping("entries that cannot be read"):
            _add_image(file, entry, f"{path.name}: {shown(key)}", faults)
    return file


def _add_image(file: ViaFile, entry: Any, place: str, faults: Faults) -> None:
    if not isinstance(entry, dict):
        raise DataError(f"{place}: expected an object with filename and regions, got {shown(entry)}")
    reference = reference_or_fault(entry.get("filename"), place, faults)
    if reference is None:
        return
    image = ViaImage(reference, [], place)
    for name, region in _numbered(entry.get("regions", []), place):
        with faults.skipping("regions that cannot be read"):
            _add_region(file, image, region, f"{place}: regions[{name}]")
    file.images.append(image)


def _numbered(regions: Any, place: str) -> list[tuple[Any, Any]]:
    """VIA 2 has a list, VIA 1 an object whose keys are numbers."""
    if isinstance(regions, dict):
        return [(key if key.isdecimal() and len(key) < 10 else shown(key), region) for key, region in regions.items()]
    if not isinstance(regions, list):
        raise DataError(f"{place}: expected regions as a list or an object, got {shown(regions)}")
    return list(enumerate(regions))


def _add_region(file: ViaFile, image: ViaImage, region: Any, place: str) -> None:
    if not isinstance(region, dict) or not isinstance(region.get("shape_attributes"), dict):
        raise DataError(f"{place}: expected an object with shape_attributes, got {shown(region)}")
    shape, attributes = region["shape_attributes"], region.get("region_attributes", {})
    kind = shape.get("name")
    if not isinstance(kind, str):
        raise DataError(f"{place}: expected the name of a shape such as polygon, got {shown(kind)}")
    if not isinstance(attributes, dict):
        raise DataError(f"{place}: expected region_attributes as an object, got {shown(attributes)}")
    if kind not in _POLYGONS:
        file.left_out[kind] += 1
        return
    image.regions.append(ViaRegion(_POLYGONS[kind](shape, place), attributes, place))


def _polygon(shape: Mapping[str, Any], place: str) -> list[float]:
    x, y = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
        raise DataError(
            f"{place}: expected all_points_x and all_points_y, lists of equal length, got {shown(x)}, {shown(y)}"
        )
    return [checked_number(value, place) for point in zip(x, y, strict=True) for value in point]


def _rect(shape: Mapping[str, Any], place: str) -> list[float]:
    x, y, width, height = _numbers(shape, ("x", "y", "width", "height"), place)
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def _circle(shape: Mapping[str, Any], place: str) -> list[float]:
    x, y, radius = _numbers(shape, ("cx", "cy", "r"), place)
    return ellipse_polygon((x, y), (radius, radius))


def _ellipse(shape: Mapping[str, Any], place: str) -> list[float]:
    x, y, across, down, theta = _numbers({"theta": 0, **shape}, ("cx", "cy", "rx", "ry", "theta"), place)
    return ellipse_polygon((x, y), (across, down), math.degrees(theta))


_POLYGONS = {"polygon": _polygon, "rect": _rect, "circle": _circle, "ellipse": _ellipse}


def _numbers(shape: Mapping[str, Any], names: tuple[str, ...], place: str) -> list[float]:
    return finite([checked_number(shape.get(name), f"{place}: {name}") for name in names], place)


def _options(attributes: Any) -> dict[str, list[str]]:
    regions = attributes.get("region") if isinstance(attributes, dict) else None
    if not isinstance(regions, dict):
        return {}
    options = {name: value.get("options") for name, value in regions.items() if isinstance(value, dict)}
    return {name: list(choices) for name, choices in options.items() if isinstance(choices, dict) and choices}
