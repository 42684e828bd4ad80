"""Shards through Ray Data: read on CPUs, predicted by workers that hold the model, encoded and written behind them.

Ray Data holds back whoever is ahead when memory fills, and gives the shard of a worker that died to another.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff import errors
from thingstuff.engine.bulk.cluster import Crew
from thingstuff.engine.bulk.shard import Shard, Tries
from thingstuff.engine.bulk.spent import Spent
from thingstuff.engine.bulk.stages import Place, PredictShard, ReadShard, WholeShard, WriteShard
from thingstuff.engine.bulk.worker_model import WorkerModel
from thingstuff.errors import SetupError, UserError
from thingstuff.structures import Categories

_TRIES_FOLDER = "tries"
_SHARDS_WAITING = 2  # at each worker: the one in work and the next


@dataclass(frozen=True)
class BulkTask:
    """What all shards have in common."""

    model: WorkerModel
    categories: Categories
    folder: Path
    max_pixels: int | None
    batch: int

    def of_model(self, place: Place) -> tuple[WorkerModel, Place, int]:
        """What `PredictShard` takes."""
        return self.model, place, self.batch


@dataclass(frozen=True)
class DoneShard:
    """A shard that is there now: how many of its images were predicted, how many could not be read, at what cost."""

    name: str
    predicted: int
    quarantined: int
    spent: Spent


def predict_shards(shards: Sequence[Shard], task: BulkTask, crew: Crew) -> Iterator[DoneShard]:
    """Each shard when it is there, in no order. Ray has been started. A user's error ends it."""
    tries = Tries(task.folder / _TRIES_FOLDER)
    shutil.rmtree(tries.folder, ignore_errors=True)
    tries.folder.mkdir()
    try:
        for row in _rows(_dataset(shards, task, Place(task.folder, tries), crew)):
            if row["failure"] is not None:
                raise _user_error(row["failure"])
            yield DoneShard(row["shard"], row["predicted"], row["quarantined"], Spent.of_row(row))
    finally:
        shutil.rmtree(tries.folder, ignore_errors=True)


def _dataset(cut: Sequence[Shard], task: BulkTask, place: Place, crew: Crew) -> Any:
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    rows = [{"shard": one.name, "items": pickle.dumps(list(one.items)), "failure": None} for one in cut]
    one_by_one = {"batch_size": 1, "batch_format": "pyarrow"}
    pool = ray.data.ActorPoolStrategy(size=crew.workers, max_tasks_in_flight_per_actor=_SHARDS_WAITING)
    workers = {"compute": pool, **one_by_one, **crew.worker_resources}
    read, write, of_model = ReadShard(place, task.max_pixels), WriteShard(place, task.categories), task.of_model(place)
    shards = ray.data.from_items(rows, override_num_blocks=len(rows))
    if not crew.helpers:
        return shards.map_batches(WholeShard, fn_constructor_args=(read, write, *of_model), **workers)
    helpers = {"compute": ray.data.TaskPoolStrategy(size=crew.helpers), **one_by_one, **crew.helper_resources}
    predicted = shards.map_batches(read, **helpers).map_batches(PredictShard, fn_constructor_args=of_model, **workers)
    return predicted.map_batches(write, **helpers)


def _rows(dataset: Any) -> Iterator[dict[str, Any]]:
    """What comes out; a cluster that fails as a whole is one line."""
    import ray

    try:
        yield from dataset.iter_rows()
    except (ray.exceptions.RayTaskError, UserError):
        raise
    except ray.exceptions.RayError as error:
        first = " ".join(str(error).split())[:300]
        raise SetupError(
            f"the workers are lost ({type(error).__name__}: {first}); what was predicted so far stays, and the same "
            "command goes on"
        ) from error


def _user_error(text: str) -> UserError:
    """The error that a stage met, again as what it was."""
    name, _, message = text.partition(": ")
    kind = getattr(errors, name, SetupError)
    return kind(message)
