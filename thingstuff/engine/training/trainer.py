"""The trainer: Detectron2's hooks around our update, with everything in its checkpoint that an exact resume needs."""

from __future__ import annotations

import logging
import time
import weakref
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, hooks
from detectron2.engine.hooks import HookBase
from detectron2.engine.train_loop import TrainerBase
from detectron2.utils import comm
from detectron2.utils.events import EventStorage, EventWriter, JSONWriter, TensorboardXWriter
from fvcore.nn.precise_bn import get_bn_modules
from torch.nn.parallel import DistributedDataParallel

from thingstuff.data.mappers import build_mapper
from thingstuff.data.naming_mapper import NamingMapper
from thingstuff.data.records import Records, training_records
from thingstuff.data.training.loader import Batch, LoaderOptions, TrainingLoader, build_indices
from thingstuff.engine.evaluate import evaluate
from thingstuff.engine.panoptic import PanopticOption
from thingstuff.engine.training.averaged import AveragedWeights
from thingstuff.engine.training.bad_losses import BadLosses
from thingstuff.engine.training.hooks.best import BestWeights
from thingstuff.engine.training.hooks.checkpoints import Checkpoints
from thingstuff.engine.training.hooks.evaluation import Evaluation
from thingstuff.engine.training.hooks.interruption import Interruption
from thingstuff.engine.training.hooks.precise_bn import SameBatchesPreciseBN
from thingstuff.engine.training.hooks.progress import TrainingProgress
from thingstuff.engine.training.hooks.resources import Resources
from thingstuff.engine.training.hooks.validation_loss import ValidationLoss
from thingstuff.engine.training.precision import Precision
from thingstuff.engine.training.rng import capture_rng, restore_rng
from thingstuff.engine.training.solver import build_lr_scheduler, build_optimizer, set_rates
from thingstuff.engine.training.update import Outcome, Update
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import UserError
from thingstuff.modeling.training_speed import plain_layout, prepare_model

_WRITE_EVERY_STEPS = 20

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """Trains what a config describes. Nothing is written to `OUTPUT_DIR` before `train` is called.

    So everything that can be wrong with a config, its data and its weights is found while an earlier run's output
    still lies there untouched. `results` holds the last evaluation, by data set. The parts are built as by
    DefaultTrainer, whose `build_...` methods a subclass may replace; the loop and the step are our own.
    """

    # DefaultTrainer's are properties, of a trainer within it
    model: Any = None
    optimizer: Any = None
    data_loader: Any = None

    def __init__(self, cfg: CfgNode, records: Records | None = None) -> None:
        TrainerBase.__init__(self)
        self.cfg = cfg
        self.results: dict[str, Any] = {}
        self.evaluated: dict[str, float] = {}  # the latest value of each number that an evaluation gave
        self.evaluation_seconds = 0.0
        self.start_iter, self.max_iter = 0, cfg.SOLVER.MAX_ITER
        self.panoptic = PanopticOption.from_config(cfg) if cfg.DATASETS.TEST else None
        self.seed = cfg.SEED if cfg.SEED >= 0 else comm.shared_random_seed()
        self._records = training_records(cfg) if records is None else records
        model = self.build_model(cfg)
        prepare_model(model, channels_last=cfg.MODEL.CHANNELS_LAST, compile_backbone=cfg.MODEL.COMPILE_BACKBONE)
        self.optimizer = self.build_optimizer(cfg, model)
        self.scheduler = self.build_lr_scheduler(cfg, self.optimizer)
        self.model = _with_processes(model)
        self.model.train()
        self.averaged: AveragedWeights | None = None
        self._rng: list[dict[str, Any]] = []  # by process, as of the last save or load
        self._update = Update(self.model, self.optimizer, cfg.SOLVER.MICRO_BATCHES, Precision.from_config(cfg))
        self._bad_losses = BadLosses(cfg.SOLVER.ON_BAD_LOSS, cfg.SOLVER.BAD_LOSS_LIMIT, Path(cfg.OUTPUT_DIR))
        self.data_loader = self._build_loader(cfg.DATALOADER.NUM_WORKERS)
        self._stream: Any = None
        self.checkpointer = Checkpointer(
            model, cfg.OUTPUT_DIR, reinit_heads=cfg.MODEL.REINIT_HEADS, trainer=weakref.proxy(self)
        )
        self.register_hooks(self.build_hooks())

    # ---- the parts -----------------------------------------------------------------------------------------------

    def build_hooks(self) -> list[HookBase]:
        """All but the writers, which open files and so come with `train`."""
        cfg = self.cfg
        built: list[HookBase | None] = [hooks.IterationTimer(), hooks.LRScheduler(), self._precise_bn()]
        built += [Resources(cfg.MODEL.DEVICE)]
        built += [Checkpoints(Path(cfg.OUTPUT_DIR), cfg.SOLVER.CHECKPOINT_PERIOD, cfg.SOLVER.CHECKPOINTS_KEPT)]
        if comm.is_main_process():
            built.append(TrainingProgress())
        if cfg.TEST.LOSS_PERIOD > 0:
            loss = ValidationLoss.from_config(cfg, self.model, self.seed)
            built.append(Evaluation(cfg.TEST.LOSS_PERIOD, lambda: self._with_mean(loss)))
        built.append(Evaluation(cfg.TEST.EVAL_PERIOD, lambda: self._with_mean(self._evaluate)))
        if cfg.TEST.BEST_METRIC:
            built.append(BestWeights(cfg.TEST.BEST_METRIC, self._save_weights, cfg.TEST.PATIENCE))
        built.append(Interruption())
        return [hook for hook in built if hook]

    def _precise_bn(self) -> HookBase | None:
        if not (self.cfg.TEST.PRECISE_BN.ENABLED and get_bn_modules(self.model)):
            return None
        loader = self._build_loader(workers=0)  # a second set of workers would double the memory
        return SameBatchesPreciseBN(self.cfg.TEST.EVAL_PERIOD, self.model, loader, self.cfg.TEST.PRECISE_BN.NUM_ITER)

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
        """The batches of one process and one part of a step, on records that were checked first."""
        return _train_loader(cfg, training_records(cfg), max(cfg.SEED, 0), cfg.DATALOADER.NUM_WORKERS)

    def _build_loader(self, workers: int) -> TrainingLoader:
        return _train_loader(self.cfg, self._records, self.seed, workers)

    @classmethod
    def test(cls, cfg: CfgNode, model: torch.nn.Module, evaluators: Any = None) -> dict[str, Any]:
        """As Detectron2's, with our evaluators where none are given; always by data set."""
        if evaluators is not None:
            return super().test(cfg, model, evaluators)
        return evaluate(cfg, model, PanopticOption.from_config(cfg))

    # ---- the loop ------------------------------------------------------------------------------------------------

    def train(self) -> dict[str, Any]:
        """Run the training and return the results by data set."""
        if comm.is_main_process():
            self.register_hooks([hooks.PeriodicWriter(self.build_writers(), period=_WRITE_EVERY_STEPS)])
        self.iter = self.start_iter
        with EventStorage(self.start_iter) as self.storage:
            try:
                self.before_train()
                self._go_on_with_random_numbers()
                while self.iter < self.max_iter:  # a hook may lower it
                    self.before_step()
                    self.run_step()
                    self.after_step()
                    self.iter += 1
            finally:
                self.after_train()
                if self._stream is not None:
                    self._stream.close()  # and with it the processes that load images
        return self.results

    def run_step(self) -> None:
        start = time.perf_counter()
        try:
            batches = self._next_batches()
        except UserError:
            self._save_what_is_done()
            raise
        data_seconds = time.perf_counter() - start
        outcome = self._update(iter(batches), self.after_backward)
        self._bad_losses.judge(outcome, batches, self.iter)
        if not outcome.is_bad:
            self._write(outcome)
            if self.averaged is not None:
                self.averaged.update()
        self.storage.put_scalar("data_time", data_seconds)

    def _next_batches(self) -> list[Batch]:
        parts = self.cfg.SOLVER.MICRO_BATCHES
        if self._stream is None:
            self.data_loader.start_at(self.iter * parts)
            self._stream = iter(self.data_loader)
        return [next(self._stream) for _ in range(parts)]

    @property
    def skipped(self) -> int:
        """Steps that changed nothing, since their losses were no numbers."""
        return self._bad_losses.skipped

    def _write(self, outcome: Outcome) -> None:
        self.storage.put_scalars(total_loss=sum(outcome.losses.values()), grad_norm=outcome.grad_norm)
        if set(outcome.losses) != {"total_loss"}:
            self.storage.put_scalars(**outcome.losses)

    def _with_mean(self, measure: Any) -> Any:
        with self._mean_in_model():
            return measure()

    def finished_model(self) -> torch.nn.Module:
        """After the training: the model with the weights that were evaluated and saved."""
        if self.averaged is not None:
            self.averaged.exchange()
            self.averaged = None
        return self.checkpointer.model.to(memory_format=torch.contiguous_format)

    def _mean_in_model(self) -> AbstractContextManager[None]:
        return nullcontext() if self.averaged is None else self.averaged.in_model()

    def _evaluate(self) -> dict[str, Any]:
        start = time.perf_counter()
        with plain_layout(self.model):
            self.results = evaluate(self.cfg, self.model, self.panoptic)
        self.evaluation_seconds += time.perf_counter() - start
        # metrics.json keeps Detectron2's keys, which name the data set only where there are several
        return next(iter(self.results.values())) if len(self.results) == 1 else self.results

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def save(self, name: str) -> None:
        """Write `NAME.pth`; all processes must call it. Its weights are those that an evaluation would see."""
        self._rng = comm.all_gather(capture_rng())
        if comm.is_main_process():
            with self._mean_in_model():
                self.checkpointer.save(name, iteration=self._last_step())
        comm.synchronize()

    def _save_what_is_done(self) -> None:
        """Where a step cannot be begun, the one before is written. Not among several processes: one may be gone."""
        if comm.get_world_size() == 1 and self.iter > self.start_iter:
            self.iter -= 1
            self.save(f"model_{self.iter:07d}")
            logger.info("the %d steps before that are kept: go on with --resume", self.iter + 1)

    def _save_weights(self, name: str) -> None:
        if comm.is_main_process():
            with self._mean_in_model():
                self.checkpointer.save_weights(name, self.checkpointer.model.state_dict(), iteration=self._last_step())

    def _last_step(self) -> int:
        return min(self.iter, self.max_iter - 1)

    def resume_or_load(self, resume: bool = True) -> None:
        super().resume_or_load(resume)
        if self.averaged is None and self.cfg.SOLVER.EMA_DECAY > 0:
            self.averaged = AveragedWeights(self.checkpointer.model, self.cfg.SOLVER.EMA_DECAY)

    def state_dict(self) -> dict[str, Any]:
        """Detectron2's entries, so that either reads the other's checkpoints, and ours."""
        state = TrainerBase.state_dict(self)
        state |= {"iteration": self._last_step(), "seed": self.seed, "rng": self._rng}
        state["_trainer"] = {"iteration": self._last_step(), **self._update.state_dict()}
        if self.averaged is not None:
            state["averaged"] = self.averaged.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        rates = [group["initial_lr"] for group in self.optimizer.param_groups]
        TrainerBase.load_state_dict(self, state)
        self._update.load_state_dict(state["_trainer"])
        set_rates(self.optimizer, self.scheduler, rates)
        self._rng = state.get("rng", [])
        if "averaged" in state and self.cfg.SOLVER.EMA_DECAY > 0:  # the file's weights are the mean
            self.averaged = AveragedWeights(self.checkpointer.model, self.cfg.SOLVER.EMA_DECAY)
            self.averaged.load_state_dict(state["averaged"])
            self.averaged.exchange()
        if state.get("seed", self.seed) != self.seed:
            self.seed = state["seed"]
            self.data_loader = self._build_loader(self.cfg.DATALOADER.NUM_WORKERS)

    def _go_on_with_random_numbers(self) -> None:
        if self.start_iter and len(self._rng) == comm.get_world_size():
            restore_rng(self._rng[comm.get_rank()])


def _with_processes(model: torch.nn.Module) -> torch.nn.Module:
    """As Detectron2's `create_ddp_model`, on CPUs too; statistics of batch norm stay each process's own."""
    if comm.get_world_size() == 1:
        return model
    on_gpu = next(model.parameters()).device.type == "cuda"
    devices = [comm.get_local_rank()] if on_gpu else None
    return DistributedDataParallel(model, device_ids=devices, forward_sync_buffers=False)


def _train_loader(cfg: CfgNode, records: Records, seed: int, workers: int) -> TrainingLoader:
    mapper = NamingMapper(build_mapper(cfg, records))
    size = cfg.SOLVER.IMS_PER_BATCH // (comm.get_world_size() * cfg.SOLVER.MICRO_BATCHES)
    options = LoaderOptions(size, seed, workers, cfg.DATALOADER.ASPECT_RATIO_GROUPING)
    return TrainingLoader(records, build_indices(cfg, records, seed), mapper, options)
