"""The two trainings that are timed: Detectron2's `SimpleTrainer`, and ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import build_detection_train_loader
from detectron2.engine import SimpleTrainer
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer as detectron2_optimizer
from detectron2.utils.events import EventStorage

from thingstuff.engine.training.trainer import Trainer


@dataclass(frozen=True)
class Step:
    """The sum of the losses of one step, and the seconds that it waited for its batch."""

    loss: float
    data_s: float


class Program(Protocol):
    """A training that goes on by one step at a time."""

    def step(self) -> Step: ...


def stock(cfg: CfgNode) -> Program:
    """Detectron2's own loader, optimizer and trainer, in fp32 as it trains on a CPU."""
    return _Stock(cfg)


def ours(cfg: CfgNode) -> Program:
    """Our training of a config, which names the precision and the layout."""
    return _Ours(cfg)


class _Stock:
    def __init__(self, cfg: CfgNode) -> None:
        model = _loaded_model(cfg)
        loader = build_detection_train_loader(cfg)
        self._trainer = SimpleTrainer(model, loader, detectron2_optimizer(cfg, model))
        self._storage = EventStorage(0)
        self._trainer.iter = 0

    def step(self) -> Step:
        with self._storage:
            self._trainer.run_step()
            latest = self._storage.latest()
            self._storage.step()
        self._trainer.iter += 1
        return Step(latest["total_loss"][0], latest["data_time"][0])


class _Ours:
    """The trainer that `tools/train_net.py` runs. Its first batch, which is not timed, is Detectron2's, to compare."""

    def __init__(self, cfg: CfgNode) -> None:
        first = build_detection_train_loader(cfg)
        self._trainer = Trainer(cfg)
        self._trainer.resume_or_load(resume=False)
        self._trainer.data_loader = _Behind(first, self._trainer.data_loader)
        self._trainer.storage = EventStorage(0)
        self._trainer.iter = 0

    def step(self) -> Step:
        storage = self._trainer.storage
        with storage:
            self._trainer.run_step()
            latest = storage.latest()
            storage.step()
        self._trainer.iter += 1
        return Step(latest["total_loss"][0], latest["data_time"][0])


class _Behind:
    """One batch of the first loader, then those of the second."""

    def __init__(self, first: Iterable[Any], second: Any) -> None:
        self._first, self._second = first, second

    def start_at(self, batch: int) -> None:
        self._second.start_at(batch)

    def __iter__(self) -> Iterator[Any]:
        yield next(iter(self._first))
        yield from self._second


def _loaded_model(cfg: CfgNode) -> torch.nn.Module:
    model = build_model(cfg)
    DetectionCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    return model
