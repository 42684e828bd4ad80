"""Points to label: a CSV with a header, or a JSON list of records, one point each.

    image,class,x,y,label,object
    street/0001.jpg,car,310,225,1,a
    street/0001.jpg,car,355,240,0,a

`image` is a path below the folder of images, `x` and `y` are pixels from its upper left corner, `label` is 1 for a
point inside of the object and 0 for one outside. Points of an image and a class with one `object` belong together;
a point without one is an object of its own.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sam_masks.objects import Marked, MarkedImages, finite
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json

_NEEDED = ("image", "class", "x", "y", "label")
_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}


def read_points(path: Path) -> MarkedImages:
    """Images and classes are numbered from 1, in the order in which the file names them."""
    grouped: dict[tuple[Any, ...], list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    images: dict[str, int] = {}
    classes: dict[str, int] = {}
    for number, (place, record) in enumerate(_records(path)):
        image, name = _image(record, place), _text(record, "class", place)
        own = record.get("object")
        grouped[image, name, ("alone", number) if own in (None, "") else str(own)].append((place, record))
        images.setdefault(image, len(images) + 1)
        classes.setdefault(name, len(classes) + 1)
    objects = defaultdict(list)
    for (image, name, _), rows in grouped.items():
        objects[images[image]].append(_marked(classes[name], rows))
    return MarkedImages(
        [{"id": own, "file_name": image} for image, own in images.items()],
        [{"id": own, "name": name} for name, own in classes.items()],
        objects,
    )


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rows = list(_json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path))
    if not rows:
        raise DataError(f"{path} has no points")
    for place, record in rows:
        missing = [key for key in _NEEDED if record.get(key) in (None, "")]
        if missing:
            raise DataError(f"{place}: expected {', '.join(_NEEDED)}, but there is no {missing[0]}")
        yield place, record


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(record, Mapping) for record in content):
        raise DataError(f"{path}: expected a list of points with {', '.join(_NEEDED)}")
    return ((f"{path}: point {number}", record) for number, record in enumerate(content, 1))


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text in UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        header = reader.fieldnames or []
        if set(_NEEDED) - set(header):
            raise DataError(f"{path}: expected a first line with {','.join(_NEEDED)}, got {','.join(header)[:80]!r}")
        yield from ((f"{path}: line {reader.line_num}", record) for record in reader)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: no CSV: {error}") from error


def _image(record: Mapping[str, Any], place: str) -> str:
    name = _text(record, "image", place)
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{place}: image {name!r}: expected a path below the folder of images")
    return path.as_posix()


def _text(record: Mapping[str, Any], key: str, place: str) -> str:
    if not isinstance(record[key], str):
        raise DataError(f"{place}: {key}: expected a text, got {str(record[key])[:40]}")
    return str(record[key])


def _marked(category_id: int, rows: list[tuple[str, Mapping[str, Any]]]) -> Marked:
    points = tuple(
        (finite(r["x"], "x", place), finite(r["y"], "y", place), _label(r["label"], place)) for place, r in rows
    )
    first = rows[0][0]
    if not any(label for _, _, label in points):
        raise DataError(f"{first}: an object needs a point inside of it, with the label 1")
    return Marked(category_id, first, points=points)


def _label(value: Any, place: str) -> int:
    label = None if isinstance(value, bool) else _LABELS.get(str(value).strip())
    if label is None:
        raise DataError(f"{place}: label: expected 1 inside of the object or 0 outside, got {str(value)[:40]!r}")
    return label
