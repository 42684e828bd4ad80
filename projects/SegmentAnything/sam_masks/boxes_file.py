"""Boxes to label: COCO's instances JSON, of which the masks, if it has any, are not looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sam_masks.objects import Marked, MarkedImages, finite
from thingstuff.data.formats.coco_json import read_coco_json
from thingstuff.errors import DataError


def read_boxes(path: Path) -> MarkedImages:
    """Every annotation's box is an object. Crowds, whose boxes hold many objects, are left out with a note."""
    content = read_coco_json(path)
    image_ids = _ids(content["images"], "images", path)
    category_ids = _ids(content["categories"], "categories", path)
    objects, crowds = defaultdict(list), 0
    for number, record in enumerate(content["annotations"]):
        place = f"{path}: annotations[{number}]"
        if record.get("iscrowd"):
            crowds += 1
            continue
        image_id = _known(record, "image_id", image_ids, place)
        objects[image_id].append(
            Marked(_known(record, "category_id", category_ids, place), place, _box(record, place), id=record.get("id"))
        )
    notes = (f"{crowds} crowds are left out: a box of many objects says nothing of one",) if crowds else ()
    return MarkedImages(content["images"], content["categories"], objects, notes)


def _ids(records: list[Mapping[str, Any]], key: str, path: Path) -> set[Any]:
    needed = ("id", "file_name") if key == "images" else ("id", "name")
    for number, record in enumerate(records):
        wrong = [field for field in needed if not isinstance(record.get(field), int | str)]
        if wrong:
            raise DataError(f"{path}: {key}[{number}]: expected {' and '.join(needed)}, got {sorted(record)}")
    ids = {record["id"] for record in records}
    if len(ids) < len(records):
        raise DataError(f"{path}: two {key} have one id: give each its own")
    return ids


def _known(record: Mapping[str, Any], key: str, known: set[Any], place: str) -> Any:
    value = record.get(key)
    if not isinstance(value, int | str) or value not in known:
        raise DataError(f"{place}: {key} {value!r} is none of the file's")
    return value


def _box(record: Mapping[str, Any], place: str) -> tuple[float, float, float, float]:
    box = record.get("bbox")
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise DataError(f"{place}: bbox: expected x, y, width, height, got {str(box)[:60]}")
    x, y, width, height = (finite(number, "bbox", place) for number in box)
    if width <= 0 or height <= 0:
        raise DataError(f"{place}: bbox: expected a width and a height above 0, got {width:g} and {height:g}")
    return x, y, x + width, y + height
