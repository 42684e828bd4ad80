"""The layout that many processes write: Parquet files that hold all of some images each, and are whole or not there."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.store.arrow import damage_named, parquet_module
from thingstuff.store.image import check_key
from thingstuff.store.index import Entry
from thingstuff.store.layout import parquet_paths
from thingstuff.store.line import Record
from thingstuff.store.parquet_row import INDEX_COLUMNS, MAP_COLUMNS, RECORD_COLUMNS, Row, record_of_row
from thingstuff.structures import rgb_to_ids
from thingstuff.structures.png import MOST_OWN_PX, decode_png

_REMEDY = "remove it, and predict again what it held"
_MOST_CACHED = 4  # columns of shards: images are mostly asked for in the order in which they lie there


class ParquetShards:
    """What is there when it is made; other processes may be adding shards meanwhile.

    `entries` are the predicted images, shard by shard in the order of their first keys. `quarantined` are the images
    that could not be read, and why; one that was read at a later try is none of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cached: OrderedDict[tuple[str, tuple[str, ...]], list[Row]] = OrderedDict()
        self.entries: dict[str, Entry] = {}
        bad: dict[str, str] = {}
        for shard in sorted(map(_Shard.read, parquet_paths(folder)), key=lambda shard: (shard.first_key, shard.name)):
            self._add(shard, bad)
        self.quarantined: Mapping[str, str] = {key: reason for key, reason in bad.items() if key not in self.entries}

    def record(self, entry: Entry) -> Record:
        return record_of_row(self._row(entry, (*INDEX_COLUMNS, *RECORD_COLUMNS)))

    def stuff_map(self, entry: Entry) -> NDArray[np.uint16]:
        data = self._row(entry, MAP_COLUMNS)["stuff_png"]
        return np.asarray(decode_png(data, f"the stuff map of {entry.key!r}", "grey16", MOST_OWN_PX), np.uint16)

    def panoptic_ids(self, entry: Entry) -> NDArray[np.uint32]:
        data = self._row(entry, MAP_COLUMNS)["panoptic_png"]
        return np.asarray(rgb_to_ids(decode_png(data, self.panoptic_place(entry), "RGB", MOST_OWN_PX)), np.uint32)

    def panoptic_place(self, entry: Entry) -> str:
        return f"the panoptic map of {entry.key!r}"

    def _add(self, shard: _Shard, bad: dict[str, str]) -> None:
        for entry in shard.entries:
            if entry.key in self.entries:
                both = f"{self.entries[entry.key].shard} and {entry.shard}"
                raise DataError(f"{self._folder}: {both} hold {entry.key!r}: remove one of them, and predict again")
            self.entries[entry.key] = entry
        bad.update(shard.bad)

    def _row(self, entry: Entry, columns: Sequence[str]) -> Row:
        rows = self._rows(entry.shard, ("key", *(name for name in columns if name != "key")))
        if len(rows) < entry.line or rows[entry.line - 1]["key"] != entry.key:
            raise DataError("the file has changed since the store was opened")
        return rows[entry.line - 1]

    def _rows(self, shard: str, columns: tuple[str, ...]) -> list[Row]:
        at = (shard, columns)
        if at not in self._cached:
            self._cached[at] = _read(self._folder / shard, columns)
            while len(self._cached) > _MOST_CACHED:
                self._cached.popitem(last=False)
        self._cached.move_to_end(at)
        return self._cached[at]


@dataclass(frozen=True)
class _Shard:
    name: str
    first_key: str
    entries: tuple[Entry, ...]
    bad: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> _Shard:
        rows = _read(path, INDEX_COLUMNS)
        try:
            bad = {row["key"]: str(row["error"]) for row in rows if row["error"] is not None}
            entries = tuple(_entries(path.name, rows))
        except (DataError, ValueError, TypeError) as error:
            raise DataError(f"{path}: is damaged ({error}): {_REMEDY}") from error
        return cls(path.name, str(rows[0]["key"]) if rows else "", entries, bad)


def _entries(shard: str, rows: Sequence[Row]) -> Iterator[Entry]:
    for number, row in enumerate(rows, 1):
        check_key(row["key"])
        if row["error"] is None:
            yield Entry(
                row["key"],
                int(row["height"]),
                int(row["width"]),
                _loaded(row["image_id"]),
                row["has_detections"],
                row["has_stuff_map"],
                row["has_panoptic"],
                _loaded(row["source"]),
                shard,
                number,
                0,
                0,
            )


def _loaded(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _read(path: Path, columns: Sequence[str]) -> list[Row]:
    """The rows of a shard with these columns alone."""
    parquet = parquet_module()
    with damage_named(path, _REMEDY):
        # memory is not mapped: a shard may be replaced while it is read
        table = parquet.ParquetFile(path, memory_map=False).read(columns=list(columns))
        if table.num_columns != len(columns):
            raise KeyError(f"columns {sorted(set(columns) - set(table.column_names))} are missing")
        rows: list[Row] = table.to_pylist()
    return rows
