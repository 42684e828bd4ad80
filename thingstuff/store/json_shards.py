"""The layout that one process appends to: a line of JSON an image, and PNG files beside the shards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.store.index import Entry, read_index
from thingstuff.store.layout import panoptic_png, stuff_png
from thingstuff.store.line import Record, to_record
from thingstuff.structures import read_png, rgb_to_ids
from thingstuff.structures.png import MOST_OWN_PX


class JsonShards:
    """What is there when it is made; a writer may be adding to it meanwhile. Nothing is ever quarantined."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.entries = read_index(folder).entries
        self.quarantined: Mapping[str, str] = {}

    def record(self, entry: Entry) -> Record:
        try:
            with (self._folder / entry.shard).open("rb") as file:
                file.seek(entry.offset)
                record = to_record(file.read(entry.length))
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DataError(f"the file has changed since the store was opened: {error}") from error
        if record["key"] != entry.key:
            raise DataError(f"the file has changed since the store was opened: the line is {record['key']!r} now")
        return record

    def stuff_map(self, entry: Entry) -> NDArray[np.uint16]:
        return np.asarray(read_png(stuff_png(self._folder, entry.key), "grey16", MOST_OWN_PX), np.uint16)

    def panoptic_ids(self, entry: Entry) -> NDArray[np.uint32]:
        return np.asarray(rgb_to_ids(read_png(self.panoptic_place(entry), "RGB", MOST_OWN_PX)), np.uint32)

    def panoptic_place(self, entry: Entry) -> str:
        return str(panoptic_png(self._folder, entry.key))
