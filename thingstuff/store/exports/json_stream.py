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


def write_entries(path: Path, entries: Iterable[tuple[str, Any]]) -> None:
    """A file that is one object, an entry a line."""
    lines = (f"{json.dumps(name)}: {json.dumps(entry, allow_nan=False)}" for name, entry in entries)
    _write_lines(path, "{", lines, "}")


def _write(path: Path, opening: str, records: Iterable[Any], closing: str) -> None:
    _write_lines(path, opening, (json.dumps(record, allow_nan=False) for record in records), closing)


def _write_lines(path: Path, opening: str, lines: Iterable[str], closing: str) -> None:
    with whole_file(path) as file:
        file.write(opening.encode())
        separator = "\n"
        for line in lines:
            file.write(f"{separator}{line}".encode())
            separator = ",\n"
        file.write(f"\n{closing}\n".encode())
