"""The loader of a training: Detectron2's samplers, batches that can be gone on with, and workers that may fail."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetFromList
from detectron2.data.build import _build_weighted_sampler
from detectron2.data.samplers import RandomSubsetTrainingSampler, RepeatFactorTrainingSampler, TrainingSampler
from detectron2.utils import comm
from torch.utils.data import DataLoader

from thingstuff.data.naming_mapper import Mapper
from thingstuff.data.records import Records
from thingstuff.data.training.batches import TrainingBatches
from thingstuff.data.training.seeded import SeededDataset
from thingstuff.errors import ConfigError, SetupError

Batch = list[dict[str, Any]]

_LOST_WORKER = "DataLoader worker"
_GRACE_S = 20.0  # in which a step ends and its checkpoint is begun, after SIGTERM
_THREADS = 1  # of a worker; the processes themselves are the parallelism


@dataclass(frozen=True)
class LoaderOptions:
    """`batch_size`: of one process and one part of a step. `seed` decides on order and augmentation."""

    batch_size: int
    seed: int
    workers: int = 0
    group_by_orientation: bool = True


class TrainingLoader:
    """Endless batches of mapped records. `start` is how many of them an earlier run has seen, to be set before use."""

    def __init__(self, records: Records, indices: Any, mapper: Mapper, options: LoaderOptions) -> None:
        are_tall = _are_tall(records) if options.group_by_orientation else None
        self._batches = TrainingBatches(indices, options.batch_size, are_tall)
        self._dataset = SeededDataset(DatasetFromList(records, copy=False), mapper, options.seed, comm.get_rank())
        self._options = options

    def start_at(self, batch: int) -> None:
        self._batches.start = batch

    def __iter__(self) -> Iterator[Batch]:
        options = self._options
        loader: DataLoader = DataLoader(
            self._dataset,
            batch_sampler=self._batches,  # type: ignore[arg-type]  of pairs, which torch hands on as they are
            num_workers=options.workers,
            collate_fn=_as_it_is,
            worker_init_fn=_begin_worker,
            generator=torch.Generator().manual_seed(options.seed),  # else it would draw from the training's own
        )
        try:
            yield from loader
        except RuntimeError as error:
            if not str(error).startswith(_LOST_WORKER):
                raise
            raise SetupError(
                f"a process that loads images was killed ({str(error).split(')', maxsplit=1)[0]})), most often because "
                "memory ran out: lower DATALOADER.NUM_WORKERS or the size of the images"
            ) from error


def build_indices(cfg: CfgNode, records: Records, seed: int) -> Any:
    """Detectron2's sampler of the name `DATALOADER.SAMPLER_TRAIN`, with a seed: what this process is to see."""
    if not records:
        raise ConfigError("there are no training images left: look at DATASETS.TRAIN and DATALOADER")
    name, loader = cfg.DATALOADER.SAMPLER_TRAIN, cfg.DATALOADER
    if name not in _SAMPLERS:
        raise ConfigError(f"DATALOADER.SAMPLER_TRAIN is {name}, expected one of {', '.join(_SAMPLERS)}")
    return _SAMPLERS[name](cfg, records, seed, loader)


def _weighted(cfg: CfgNode, seed: int, balanced: bool) -> RepeatFactorTrainingSampler:
    built = _build_weighted_sampler(cfg, enable_category_balance=balanced)
    return RepeatFactorTrainingSampler(built._int_part + built._frac_part, seed=seed)


def _by_frequency(cfg: CfgNode, records: Records, seed: int) -> RepeatFactorTrainingSampler:
    factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
        records, cfg.DATALOADER.REPEAT_THRESHOLD, sqrt=cfg.DATALOADER.REPEAT_SQRT
    )
    return RepeatFactorTrainingSampler(factors, seed=seed)


_SAMPLERS: dict[str, Callable[[CfgNode, Records, int, CfgNode], Any]] = {
    "TrainingSampler": lambda cfg, records, seed, loader: TrainingSampler(len(records), seed=seed),
    "RepeatFactorTrainingSampler": lambda cfg, records, seed, loader: _by_frequency(cfg, records, seed),
    "RandomSubsetTrainingSampler": lambda cfg, records, seed, loader: RandomSubsetTrainingSampler(
        len(records), loader.RANDOM_SUBSET_RATIO, seed_shuffle=seed, seed_subset=seed
    ),
    "WeightedTrainingSampler": lambda cfg, records, seed, loader: _weighted(cfg, seed, balanced=False),
    "WeightedCategoryTrainingSampler": lambda cfg, records, seed, loader: _weighted(cfg, seed, balanced=True),
}


def _are_tall(records: Records) -> list[bool] | None:
    """A square counts as tall, as in Detectron2; None where not every record states its size."""
    if not all("width" in record and "height" in record for record in records):
        return None
    return [record["width"] <= record["height"] for record in records]


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _begin_worker(_number: int) -> None:
    """Signals to all processes are for the training, which needs the batches of its step before it ends."""
    torch.set_num_threads(_THREADS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_later)


def _end_later(_number: int, _frame: FrameType | None) -> None:
    timer = threading.Timer(_GRACE_S, os._exit, (0,))
    timer.daemon = True  # the process may end before, as soon as it is told to
    timer.start()
