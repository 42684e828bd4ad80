"""JSON lists longer than the memory: written record by record, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thingstuff.files import whole_file


def write_list(path: Path, records: Iterable[Any]) -> None:
    """A file that is one list, a record a line."""
    _write(path, "[", records, "]")


def write_with_list(path: Path, head: Mapping[str, Any], name: str, records: Iterable[Any]) -> None:
    """A file that is `head` with one more entry, the list `name`."""
    opening = json.dumps(head, allow_nan=False).removesuffix("}")
    _write(path, f"{opening}{', ' if head else ''}{json.dumps(name)}: [", records, "]}")


def _write(path: Path, opening: str, records: Iterable[Any], closing: str) -> None:
    with whole_file(path) as file:
        file.write(opening.encode())
        separator = "\n"
        for record in records:
            file.write(f"{separator}{json.dumps(record, allow_nan=False)}".encode())
            separator = ",\n"
        file.write(f"\n{closing}\n".encode())
