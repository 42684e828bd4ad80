"""Store: the predictions of a run, read image by image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.store.image import PredictedImage
from thingstuff.store.index import Entry, read_index
from thingstuff.store.layout import panoptic_png, stuff_png
from thingstuff.store.line import Record, coco_records_of, detections_of, segments_of, to_record
from thingstuff.store.meta import StoreMeta
from thingstuff.structures import PanopticMap, read_png, rgb_to_ids
from thingstuff.structures.png import MOST_OWN_PX


class Store:
    """A store as it was when it was opened; a writer may be adding to it meanwhile. Iterating gives its images."""

    def __init__(self, folder: Path, meta: StoreMeta, entries: dict[str, Entry]) -> None:
        self.folder = folder
        self.meta = meta
        self._entries = entries

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Store:
        """Read meta.json and the index; masks and maps are read when an image is asked for."""
        path = Path(folder)
        return cls(path, StoreMeta.read(path), read_index(path).entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is known of each image without reading it, in the order written."""
        return tuple(self._entries.values())

    def keys(self) -> tuple[str, ...]:
        """The keys in the order written."""
        return tuple(self._entries)

    def read(self, key: str, *, stuff: bool = True, panoptic: bool = True) -> PredictedImage:
        """One image; a map that is not wanted is None, and its PNG is not read."""
        entry = self._entry(key)
        try:
            record = self._record(entry)
            image = PredictedImage(
                key,
                entry.height,
                entry.width,
                entry.image_id,
                detections_of(record),
                self._stuff_map(key) if stuff and entry.has_stuff_map else None,
                self._panoptic(record) if panoptic and entry.has_panoptic else None,
                None if record["ledger"] is None else tuple(record["ledger"]),
                record["source"],
            )
            image.check_categories(self.meta.categories)
        except DataError as error:
            raise DataError(f"{self.folder / entry.shard}:{entry.line} ({key!r}): {error}") from error
        return image

    def coco_records(self, key: str, image_id: int | str) -> list[Record]:
        """One image's detections as COCO result records, fast: masks stay as they were written, and unchecked."""
        entry = self._entry(key)
        try:
            return coco_records_of(self._record(entry), image_id)
        except DataError as error:
            raise DataError(f"{self.folder / entry.shard}:{entry.line} ({key!r}): {error}") from error

    def ledger(self, key: str) -> tuple[Record, ...] | None:
        """`PredictedImage.ledger` of one image, fast: masks and maps are not read."""
        entry = self._entry(key)
        try:
            records = self._record(entry)["ledger"]
        except DataError as error:
            raise DataError(f"{self.folder / entry.shard}:{entry.line} ({key!r}): {error}") from error
        return None if records is None else tuple(records)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __getitem__(self, key: str) -> PredictedImage:
        return self.read(key)

    def __iter__(self) -> Iterator[PredictedImage]:
        return (self.read(key) for key in self._entries)

    def _entry(self, key: str) -> Entry:
        if key not in self._entries:
            raise DataError(f"{self.folder}: has no predictions of {key!r} ({len(self)} images)")
        return self._entries[key]

    def _record(self, entry: Entry) -> Record:
        try:
            with (self.folder / entry.shard).open("rb") as file:
                file.seek(entry.offset)
                record = to_record(file.read(entry.length))
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DataError(f"the file has changed since the store was opened: {error}") from error
        if record["key"] != entry.key:
            raise DataError(f"the file has changed since the store was opened: the line is {record['key']!r} now")
        return record

    def _stuff_map(self, key: str) -> NDArray[np.uint16]:
        return np.asarray(read_png(stuff_png(self.folder, key), "grey16", MOST_OWN_PX), np.uint16)

    def _panoptic(self, record: Record) -> PanopticMap:
        path = panoptic_png(self.folder, record["key"])
        segments = segments_of(record, self.meta.categories)
        ids = rgb_to_ids(read_png(path, "RGB", MOST_OWN_PX))
        try:
            return PanopticMap(ids, segments)
        except DataError as error:
            raise DataError(f"{path} does not fit its line: {error}") from error
