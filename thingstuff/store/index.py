"""What a store holds and where: one quick pass over its shards that decodes no mask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.errors import DataError
from thingstuff.store.image import check_key
from thingstuff.store.layout import shard_path, shard_paths
from thingstuff.store.line import to_record


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a store: where its line is (`line` counts from 1, offset and length are bytes), what it has."""

    key: str
    height: int
    width: int
    image_id: int | str | None
    has_detections: bool
    has_stuff_map: bool
    has_panoptic: bool
    source: dict[str, Any] | None
    shard: str
    line: int
    offset: int
    length: int

    @property
    def place(self) -> str:
        return f"{self.shard}:{self.line}"


@dataclass(frozen=True)
class Index:
    """`entries` by key in the order written; the last shard's number, lines and bytes, an incomplete one left out."""

    entries: dict[str, Entry]
    last_shard: int
    last_lines: int
    last_bytes: int


def read_index(folder: Path) -> Index:
    """Every complete line of the shards. The last line of the last shard may be incomplete, and is then left out."""
    paths = shard_paths(folder)
    entries: dict[str, Entry] = {}
    lines = size = 0
    for number, path in enumerate(paths):
        if path != shard_path(folder, number):
            raise DataError(
                f"{shard_path(folder, number)}: is missing among the shards: restore it or remove the folder"
            )
        lines = size = 0
        for entry in _entries(path, is_last=path == paths[-1]):
            if entry.key in entries:
                raise DataError(f"{folder}: {entries[entry.key].place} and {entry.place} are both {entry.key!r}")
            entries[entry.key] = entry
            lines, size = entry.line, entry.offset + entry.length
    return Index(entries, max(len(paths) - 1, 0), lines, size)


def _entries(path: Path, *, is_last: bool) -> Iterator[Entry]:
    offset = 0
    for number, (line, ends_file) in enumerate(_lines(path), 1):
        if not line.endswith(b"\n"):
            if is_last:
                return
            raise _damaged(path, number, "it is cut off")
        try:
            yield _entry(line[:-1], path.name, number, offset)
        except DataError as error:
            raise _damaged(path, number, str(error)) from error
        except ValueError as error:
            if is_last and ends_file:
                return
            raise _damaged(path, number, f"no JSON: {error}") from error
        offset += len(line)


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Each line, and whether it is the last, of what the file holds now: a writer may be adding to it."""
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size
        line = file.readline(left)
        while line:
            left -= len(line)
            following = file.readline(left)
            yield line, not following
            line = following


def _entry(line: bytes, shard: str, number: int, offset: int) -> Entry:
    record = to_record(line)
    check_key(record["key"])
    return Entry(
        record["key"],
        record["height"],
        record["width"],
        record["image_id"],
        record["detections"] is not None,
        record["has_stuff_map"],
        record["segments"] is not None,
        record["source"],
        shard,
        number,
        offset,
        len(line) + 1,
    )


def _damaged(path: Path, number: int, why: str) -> DataError:
    return DataError(f"{path}:{number}: the line is damaged ({why}): restore the file, or remove the folder")
