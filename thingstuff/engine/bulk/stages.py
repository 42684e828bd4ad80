"""The three stages of a shard, as Ray Data calls them: read and decode, predict, encode and write.

A table of one row goes in and out, so that a shard is never taken apart. What a user can mend travels along as the
column `failure`, and the driver raises it; whatever else is raised is a bug of ours and goes through Ray.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.data.bulk.items import BulkItem
from thingstuff.data.bulk.reading import read_images
from thingstuff.engine.bulk.packing import pack, unpack
from thingstuff.engine.bulk.shard import Tries
from thingstuff.engine.bulk.spent import COLUMNS
from thingstuff.engine.bulk.worker_model import WorkerModel, import_ahead
from thingstuff.errors import SetupError, UserError
from thingstuff.store.layout import META_NAME

_BUFFERS = ("pixels", "found")  # columns of large lists of bytes
READING, PREDICTING, WRITING = "reading", "predicting", "writing"


@dataclass(frozen=True)
class Place:
    """Where shards are written, which all workers must see, and where their tries are marked."""

    folder: Path
    tries: Tries

    def check(self) -> None:
        if not (self.folder / META_NAME).is_file():
            raise SetupError(
                f"a worker does not see {self.folder}: give an --output that all machines of the cluster share"
            )

    def begin(self, stage: str, shard: str) -> None:
        self.check()
        failure = self.tries.begin(stage, shard)
        if failure is not None:
            raise SetupError(f"{failure}: perhaps memory ran out; try fewer --workers, or a smaller --shard-size")


@dataclass(frozen=True)
class ReadShard:
    """A shard's items -> their pixels, as one list of bytes: an array of all would be padded."""

    place: Place
    max_pixels: int | None

    def __call__(self, table: Any) -> Any:
        return _stage(table, self._read)

    def _read(self, row: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        self.place.begin(READING, row["shard"])
        items: list[BulkItem] = pickle.loads(row["items"])  # noqa: S301  of our own driver
        heads, pixels = [], []
        for read in read_images(items, self.max_pixels):
            shape = None if read.pixels is None else read.pixels.shape
            heads.append((read.item, shape, read.source, read.error))
            pixels.append(b"" if read.pixels is None else read.pixels.tobytes())
        size = sum(source["bytes"] for _, _, source, _ in heads if source is not None)
        spent = {"bytes_read": size, "reading_s": time.perf_counter() - began}
        return {"heads": pickle.dumps(heads), "pixels": pixels, **spent}


class PredictShard:
    """Pixels -> what is found in them. Lives as long as its process and builds the model with its first shard.

    What the model is built of is imported before, while the first shard is read.
    """

    def __init__(self, model: WorkerModel, place: Place, batch: int) -> None:
        self._model, self._place, self._batch = model, place, batch
        self._predictor: Any = None
        threading.Thread(target=import_ahead, daemon=True).start()

    def __call__(self, table: Any) -> Any:
        return _stage(table, lambda row: self._predict(row, table))

    def _predict(self, row: dict[str, Any], table: Any) -> dict[str, Any]:
        began = time.perf_counter()
        self._place.begin(PREDICTING, row["shard"])
        if self._predictor is None:
            self._predictor = self._model.build()
        loaded = time.perf_counter()
        heads = pickle.loads(row["heads"])  # noqa: S301  of our own worker
        found = [pack(_found(outcome)) for outcome in self._outcomes(heads, _buffers(table, "pixels"))]
        return {"found": found, "loading_s": loaded - began, "predicting_s": time.perf_counter() - loaded}

    def _outcomes(self, heads: list[Any], buffers: list[Any]) -> Iterator[Any]:
        return self._predictor.stream(zip(heads, buffers, strict=True), _pixels, self._batch)


@dataclass(frozen=True)
class WriteShard:
    """What was found -> a file that is there as a whole, and how many images are in it."""

    place: Place
    categories: Any

    def __call__(self, table: Any) -> Any:
        return _stage(table, lambda row: self._write(row, table), keep=("predicted", "quarantined", *COLUMNS))

    def _write(self, row: dict[str, Any], table: Any) -> dict[str, Any]:
        from thingstuff.store.parquet_row import quarantine_row
        from thingstuff.store.parquet_writer import checked_row, write_shard

        began = time.perf_counter()
        self.place.check()
        found = [unpack(one) for one in _buffers(table, "found")]
        rows = [quarantine_row(*one) if isinstance(one, tuple) else checked_row(one, self.categories) for one in found]
        size = write_shard(self.place.folder, row["shard"], rows).stat().st_size
        self.place.tries.end(row["shard"])
        bad = sum(isinstance(one, tuple) for one in found)
        spent = {"bytes_written": size, "writing_s": time.perf_counter() - began}
        return {"predicted": len(found) - bad, "quarantined": bad, **spent}


class WholeShard:
    """All three stages in the process of the worker, where no core is left for others: then nothing has to travel."""

    def __init__(self, read: ReadShard, write: WriteShard, *of_model: Any) -> None:
        """`of_model` is what `PredictShard` takes."""
        self._stages = (read, PredictShard(*of_model), write)

    def __call__(self, table: Any) -> Any:
        for stage in self._stages:
            table = stage(table)
        return table


# ---- one shard ---------------------------------------------------------------------------------------------------


def _stage(table: Any, work: Callable[[dict[str, Any]], dict[str, Any]], keep: tuple[str, ...] = ()) -> Any:
    """`work` of the one row of `table`, unless an earlier stage has failed; a column of buffers is not copied."""
    import pyarrow as pa

    light = table.drop_columns([name for name in _BUFFERS if name in table.column_names])
    (row,) = light.to_pylist()
    answer = {name: row[name] for name in ("shard", "failure", *COLUMNS) if name in row}
    if row["failure"] is None:
        try:
            answer |= work(row)
        except UserError as error:
            answer["failure"] = f"{type(error).__name__}: {error}"
    columns = {
        name: pa.array([answer.get(name)], kind) for name, kind in _kinds(pa).items() if name in answer or name in keep
    }
    return pa.table(columns)


def _buffers(table: Any, name: str) -> list[Any]:
    """What lies in a column of lists of bytes, where Ray has put it."""
    return [one.as_buffer() for one in table.column(name)[0].values]


def _kinds(pa: Any) -> dict[str, Any]:
    lists = dict.fromkeys(_BUFFERS, pa.list_(pa.large_binary()))
    counts = dict.fromkeys(("predicted", "quarantined"), pa.int64())
    spent = {name: pa.float64() if name.endswith("_s") else pa.int64() for name in COLUMNS}
    return {"shard": pa.string(), "failure": pa.string(), "heads": pa.large_binary(), **lists, **counts, **spent}


def _pixels(one: tuple[Any, Any]) -> tuple[np.ndarray, str]:
    """As `Predictor.stream` reads an item. The copy may be written to, which a buffer of the object store may not."""
    from thingstuff.errors import DataError

    (item, shape, _, error), buffer = one
    if error is not None:
        raise DataError(error)
    return np.frombuffer(buffer, np.uint8).reshape(shape).copy(), item.address


def _found(outcome: Any) -> Any:
    """A `PredictedImage`, or the key of an image that could not be read and the reason."""
    from thingstuff.engine.stored_prediction import to_stored

    item, shape, source, _ = outcome.item[0]
    if outcome.error is not None:
        return item.key, str(outcome.error)
    return to_stored(item.key, item.image_id, tuple(shape[:2]), outcome.prediction, source)
