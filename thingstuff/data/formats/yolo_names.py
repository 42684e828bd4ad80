"""The names behind YOLO's class numbers: declared ones, those of a data.yaml or a list, else numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thingstuff.config.safe_yaml import read_yaml
from thingstuff.data.formats.format import Source
from thingstuff.data.formats.instance_records import checked_label, shown
from thingstuff.data.formats.text_file import read_lines
from thingstuff.data.truth import Record
from thingstuff.errors import DataError

NAMES_FILE = "names.yaml"  # of a split that we wrote
DATA_YAML = (NAMES_FILE, "data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
NAME_LISTS = ("classes.txt", "obj.names")
_LEVELS = 3  # folders upwards in which names are looked for
_BACKGROUNDS = {"background", "__background__", "_background_", "bg", "__ignore__", "_ignore_", "ignore", "dummy"}
_MOST_CLASSES = 100_000


def class_names(source: Source) -> dict[int, str]:
    """Class number -> name, from the option `names`, the declared categories in their order, or a file nearby.

    Empty where nobody names them.
    """
    stated = source.options.get("names")
    if stated is not None:
        return _names_in(Path(stated)) if isinstance(stated, str) else numbered(stated, "names")
    nearby = _nearby(source.annotations)
    if nearby is not None:
        return _names_in(nearby)
    return {} if source.categories is None else dict(enumerate(c.name for c in source.categories.things))


def has_all_labels(annotations: Path) -> bool:
    """Whether every image of the split has a label file, as we write them: others in the folder are not of it."""
    path = annotations.parent / NAMES_FILE
    return path.is_file() and read_yaml(path).get("every_image_has_labels") is True


def category_records(
    source: Source, names: Mapping[int, str], used: Iterable[int]
) -> tuple[list[Record], tuple[str, ...]]:
    """The declared categories, else the named classes with the ids that Ultralytics gives them: number + 1.

    A class 0 that is a background, and that nothing uses, is left out, with a note.
    """
    if source.categories is not None:
        return source.categories.to_coco(), ()
    used = set(used)
    dummy = names.get(0, "").lower() in _BACKGROUNDS and 0 not in used and len(names) > 1
    note = (f"the class 0, {names[0]!r}, is used by no label: left out",) if dummy else ()
    unnamed = {number: f"class_{number}" for number in used} if not names else {}
    records = ({"id": number + 1, "name": name} for number, name in sorted({**unnamed, **names}.items()))
    return [record for record in records if not (dummy and record["id"] == 1)], note


def numbered(value: Any, place: str) -> dict[int, str]:
    """A list of names, or a mapping from numbers, as data.yaml has either."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping) or not value or len(value) > _MOST_CLASSES:
        raise DataError(f"{place}: expected a list of names, or names by number, got {shown(value)}")
    names = {_number(key, place): checked_label(_text(name), place) for key, name in value.items()}
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise DataError(f"{place}: two classes share the name {shown(twice)}: give each its own")
    return dict(sorted(names.items()))


def _number(key: Any, place: str) -> int:
    text = str(key)
    if isinstance(key, bool) or not text.isascii() or not text.isdecimal() or int(text) >= _MOST_CLASSES:
        raise DataError(f"{place}: expected class numbers from 0 on, got {shown(key)}")
    return int(text)


def _text(name: Any) -> Any:
    """A name that YAML took for a number, as 7."""
    return str(name) if isinstance(name, int | float) else name


def _names_in(path: Path) -> dict[int, str]:
    if path.suffix in (".yaml", ".yml"):
        content = read_yaml(path)
        if "kpt_shape" in content:
            raise DataError(f"{path}: kpt_shape: its labels are keypoints, which are not read from YOLO's files")
        return numbered(content.get("names"), f"{path}: names")
    lines = [line.strip() for line in read_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    return numbered(lines, str(path))


def _nearby(annotations: Path) -> Path | None:
    """The first file of names in the folder of the labels, or above it."""
    folder = annotations if annotations.is_dir() else annotations.parent
    for place in [folder, *folder.parents][:_LEVELS]:
        for name in (*DATA_YAML, *NAME_LISTS):
            if (place / name).is_file():
                return place / name
    return None
