"""The trainer: Detectron2's `DefaultTrainer` with safe checkpoints, our solvers and evaluation, and progress."""

from __future__ import annotations

import time
import weakref
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, build_detection_train_loader
from detectron2.engine import DefaultTrainer, hooks
from detectron2.engine.hooks import HookBase
from detectron2.utils import comm
from detectron2.utils.events import EventWriter, JSONWriter, TensorboardXWriter
from fvcore.nn.precise_bn import get_bn_modules

from thingstuff.data.mappers import build_mapper
from thingstuff.data.naming_mapper import NamingMapper
from thingstuff.data.records import training_records
from thingstuff.engine.evaluate import evaluate
from thingstuff.engine.panoptic import PanopticOption
from thingstuff.engine.training.progress import TrainingProgress
from thingstuff.engine.training.solver import build_lr_scheduler, build_optimizer
from thingstuff.engine.weights.checkpoint import Checkpointer

_LOG_EVERY_STEPS = 20


class Trainer(DefaultTrainer):
    """Trains what a config describes. Nothing is written to `OUTPUT_DIR` before `train` is called.

    So everything that can be wrong with a config, its data and its weights is found while an earlier run's output
    still lies there untouched. `results` holds the last evaluation, by data set.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self.results: dict[str, Any] = {}
        self.evaluation_seconds = 0.0
        self.panoptic = PanopticOption.from_config(cfg) if cfg.DATASETS.TEST else None
        super().__init__(cfg)

    def build_hooks(self) -> list[HookBase]:
        """DefaultTrainer's hooks but for the writers, which open files and so come with `train`."""
        self.checkpointer = Checkpointer(self.model, self.cfg.OUTPUT_DIR, trainer=weakref.proxy(self))
        built: list[HookBase | None] = [hooks.IterationTimer(), hooks.LRScheduler(), self._precise_bn()]
        if comm.is_main_process():
            built.append(hooks.PeriodicCheckpointer(self.checkpointer, self.cfg.SOLVER.CHECKPOINT_PERIOD))
            built.append(TrainingProgress())
        built.append(hooks.EvalHook(self.cfg.TEST.EVAL_PERIOD, self._evaluate))
        return [hook for hook in built if hook]

    def _precise_bn(self) -> HookBase | None:
        if not (self.cfg.TEST.PRECISE_BN.ENABLED and get_bn_modules(self.model)):
            return None
        cfg = self.cfg.clone()
        cfg.defrost()
        cfg.DATALOADER.NUM_WORKERS = 0  # a second set of workers would double the memory
        loader = self.build_train_loader(cfg)
        return hooks.PreciseBN(cfg.TEST.EVAL_PERIOD, self.model, loader, cfg.TEST.PRECISE_BN.NUM_ITER)

    def _evaluate(self) -> dict[str, Any]:
        start = time.perf_counter()
        self.results = evaluate(self.cfg, self.model, self.panoptic)
        self.evaluation_seconds += time.perf_counter() - start
        # metrics.json keeps Detectron2's keys, which name the data set only where there are several
        return next(iter(self.results.values())) if len(self.results) == 1 else self.results

    def train(self) -> dict[str, Any]:
        """Run the training and return the results by data set."""
        if comm.is_main_process():
            self.register_hooks([hooks.PeriodicWriter(self.build_writers(), period=_LOG_EVERY_STEPS)])
        super().train()
        return self.results

    def build_writers(self) -> list[EventWriter]:
        return [JSONWriter(f"{self.cfg.OUTPUT_DIR}/metrics.json"), TensorboardXWriter(self.cfg.OUTPUT_DIR)]

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
        return build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> Any:
        return build_lr_scheduler(cfg, optimizer)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        """Detectron2's loader with the mapper that the config names, on records that were checked first."""
        mapper = NamingMapper(build_mapper(cfg) or DatasetMapper(cfg, is_train=True))
        return build_detection_train_loader(cfg, dataset=training_records(cfg), mapper=mapper)

    @classmethod
    def test(cls, cfg: CfgNode, model: torch.nn.Module, evaluators: Any = None) -> dict[str, Any]:
        """As Detectron2's, with our evaluators where none are given; always by data set."""
        if evaluators is not None:
            return super().test(cfg, model, evaluators)
        return evaluate(cfg, model, PanopticOption.from_config(cfg))
