"""The `meta.json` of a project of Supervisely: its classes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from thingstuff.data.formats.instance_records import checked_label, shown
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json

META = "meta.json"
_HEAD_BYTES = 1 << 14
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def meta_near(folder: Path) -> Path | None:
    """That of a project's folder, or of the one above a data set; data sets can lie in each other."""
    near = (folder, *folder.absolute().parents[:4])
    return next((each / META for each in near if os.path.isfile(each / META)), None)  # noqa: PTH113  no error for long names


def speaks_of_classes(meta: Path) -> bool:
    with meta.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"classes"' in head


def classes_of(meta: Path) -> list[Record]:
    """The classes as categories, with ids from 1 in their order. What Supervisely's own ids are is of no use here."""
    content = read_json(meta)
    if not isinstance(content, dict) or not isinstance(content.get("classes"), list):
        raise DataError(f"{meta}: expected the meta.json of a project of Supervisely, an object with the list classes")
    return [
        _category(number, value, f"{meta}: classes[{number - 1}]") for number, value in enumerate(content["classes"], 1)
    ]


def _category(number: int, value: Any, place: str) -> Record:
    if not isinstance(value, dict):
        raise DataError(f"{place}: expected an object with title and shape, got {shown(value)}")
    color = value.get("color")
    rgb = isinstance(color, str) and _COLOR.fullmatch(color)
    colored = {"color": [int(color[at : at + 2], 16) for at in (1, 3, 5)]} if rgb else {}
    return {"id": number, "name": checked_label(value.get("title"), place), **colored}
