"""COCO's JSON files: found, and read lean and fast, since one of them can hold a million polygons."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thingstuff.errors import DataError

ROBOFLOW_NAME = "_annotations.coco.json"
LISTS = ("images", "annotations", "categories")
_MOST_KNOWN = 1 << 17  # numbers that are kept to be used again; files with two decimals have about as many


def find_json(path: Path) -> Path:
    """A JSON file, or the one in a folder: Roboflow's, or else the only one."""
    if not path.is_dir():
        return path
    try:
        found = sorted(each for each in path.iterdir() if each.suffix.lower() == ".json" and each.is_file())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    by_roboflow = [each for each in found if each.name == ROBOFLOW_NAME]
    if len(by_roboflow or found) == 1:
        return (by_roboflow or found)[0]
    names = ", ".join(each.name for each in found[:5])
    got = f"it holds {len(found)}: {names}" if found else "it holds none"
    raise DataError(f"{path}: expected a folder with one JSON file, and {got}: name the file")


def read_coco_json(path: Path, lists: Sequence[str] = LISTS) -> dict[str, Any]:
    """The whole content, in which `lists` are lists of dictionaries; nothing else of it is checked.

    Equal numbers are one object, which halves the memory that a file of polygons takes, at no cost in time.
    """
    text = _text(path)
    try:
        with _without_collector():
            content = json.loads(text, parse_float=_KnownNumbers().__getitem__)
    except RecursionError:
        raise DataError(f"{path}: not JSON that anybody would write: its lists are nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON, or cut off: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a dictionary with {', '.join(lists)}, as COCO has it, got {kind(content)}")
    for key in lists:
        expect_records(content.get(key), str(path), key)
    return content


def expect_records(records: Any, name: str, key: str) -> None:
    """Refuse what is no list of dictionaries, naming the first entry that is none."""
    if not isinstance(records, list):
        raise DataError(f"{name}: expected a list of {key!r}, as COCO has it, got {kind(records)}")
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise DataError(f"{name}: {key}[{number}]: expected a dictionary, got {kind(record)}")


def kind(value: Any) -> str:
    """A value of somebody's JSON in words."""
    names = {type(None): "none", list: "a list", dict: "a dictionary", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not content.strip():
        raise DataError(f"{path}: the file is empty ({len(content)} bytes): write it again")
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not JSON: {error.reason} at byte {error.start}") from error


@contextmanager
def _without_collector() -> Iterator[None]:
    """JSON has no cycles, and the garbage collector would look for them again and again while it is read."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _KnownNumbers(dict[str, float]):
    """Text -> number, the same object for the same text."""

    def __missing__(self, text: str) -> float:
        value = float(text)
        if len(self) < _MOST_KNOWN:
            self[text] = value
        return value
