"""Writing Parquet shards: a store that is begun or continued by one run, whose workers each write whole shards."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from thingstuff.errors import DataError
from thingstuff.store.arrow import parquet_module
from thingstuff.store.image import PredictedImage
from thingstuff.store.layout import PARQUET, half_written_paths, parquet_path
from thingstuff.store.lock import WriterLock
from thingstuff.store.meta import StoreMeta
from thingstuff.store.parquet_row import Row, schema, to_row
from thingstuff.store.writer import make_folder, settle_meta
from thingstuff.structures import Categories


class ParquetRun:
    """The one run that may have shards written into a folder; use in a `with` block. It writes none itself."""

    def __init__(self, folder: Path, meta: StoreMeta) -> None:
        """Begin a store, or continue one of the same config, weights and categories."""
        make_folder(folder)
        self.folder = folder
        self._lock = WriterLock(folder)
        try:
            self.meta = settle_meta(folder, replace(meta, layout=PARQUET))
            for path in half_written_paths(folder):
                path.unlink(missing_ok=True)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> ParquetRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def shard_name(keys: Sequence[str]) -> str:
    """Of the images that a shard holds: whoever predicts them again writes the same file."""
    return hashlib.sha256(json.dumps(list(keys)).encode()).hexdigest()[:20]


def checked_row(image: PredictedImage, categories: Categories) -> Row:
    """The row of an image, whose ids and labels `categories` has."""
    try:
        image.check_categories(categories)
        return to_row(image)
    except DataError as error:
        raise DataError(f"predictions of {image.key!r}: {error}") from error


def write_shard(folder: Path, name: str, rows: Iterable[Row]) -> Path:
    """Write the shard `name`, which is there once it is whole and on the disk; a shard of that name is replaced.

    Workers of several machines may write at the same time, so that what is not yet whole has a name of its own.
    """
    import pyarrow as pa

    parquet, target = parquet_module(), parquet_path(folder, name)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            parquet.write_table(pa.Table.from_pylist(list(rows), schema()), file, use_dictionary=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
