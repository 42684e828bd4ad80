"""Store: the predictions of a run, read image by image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.store.image import PredictedImage
from thingstuff.store.index import Entry
from thingstuff.store.json_shards import JsonShards
from thingstuff.store.layout import JSONL, PARQUET
from thingstuff.store.line import Record, coco_records_of, detections_of, segments_of
from thingstuff.store.meta import StoreMeta
from thingstuff.store.parquet_shards import ParquetShards
from thingstuff.structures import PanopticMap

_PLACES = {JSONL: "line", PARQUET: "row"}


class Shards(Protocol):
    """How predictions lie on the disk. `panoptic_place` is what messages call the panoptic map of an image."""

    entries: dict[str, Entry]
    quarantined: Mapping[str, str]

    def record(self, entry: Entry) -> Record: ...

    def stuff_map(self, entry: Entry) -> NDArray[np.uint16]: ...

    def panoptic_ids(self, entry: Entry) -> NDArray[np.uint32]: ...

    def panoptic_place(self, entry: Entry) -> str: ...


class Store:
    """A store as it was when it was opened; a writer may be adding to it meanwhile. Iterating gives its images."""

    def __init__(self, folder: Path, meta: StoreMeta, shards: Shards) -> None:
        self.folder = folder
        self.meta = meta
        self._shards = shards
        self._entries = shards.entries

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Store:
        """Read meta.json and the index; masks and maps are read when an image is asked for."""
        path = Path(folder)
        meta = StoreMeta.read(path)
        return cls(path, meta, _open_shards(path, meta.layout))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is known of each image without reading it, in the order written."""
        return tuple(self._entries.values())

    def keys(self) -> tuple[str, ...]:
        """The keys in the order written."""
        return tuple(self._entries)

    @property
    def quarantined(self) -> Mapping[str, str]:
        """The images that a bulk prediction could not read, and why; they are no entries."""
        return self._shards.quarantined

    def read(self, key: str, *, stuff: bool = True, panoptic: bool = True) -> PredictedImage:
        """One image; a map that is not wanted is None, and its PNG is not read."""
        entry = self._entry(key)
        try:
            record = self._shards.record(entry)
            image = PredictedImage(
                key,
                entry.height,
                entry.width,
                entry.image_id,
                detections_of(record),
                self._shards.stuff_map(entry) if stuff and entry.has_stuff_map else None,
                self._panoptic(entry, record) if panoptic and entry.has_panoptic else None,
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
            return coco_records_of(self._shards.record(entry), image_id)
        except DataError as error:
            raise DataError(f"{self.folder / entry.shard}:{entry.line} ({key!r}): {error}") from error

    def ledger(self, key: str) -> tuple[Record, ...] | None:
        """`PredictedImage.ledger` of one image, fast: masks and maps are not read."""
        entry = self._entry(key)
        try:
            records = self._shards.record(entry)["ledger"]
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

    def _panoptic(self, entry: Entry, record: Record) -> PanopticMap:
        segments = segments_of(record, self.meta.categories)
        ids = self._shards.panoptic_ids(entry)
        try:
            return PanopticMap(ids, segments)
        except DataError as error:
            place = self._shards.panoptic_place(entry)
            raise DataError(f"{place} does not fit its {_PLACES[self.meta.layout]}: {error}") from error


def _open_shards(folder: Path, layout: str) -> Shards:
    return ParquetShards(folder) if layout == PARQUET else JsonShards(folder)
