"""Runs of Detectron2's Python (Lazy) configs. Opening one executes it, so a user must have asked for that."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.engine import AMPTrainer, SimpleTrainer, create_ddp_model, default_writers, hooks
from detectron2.evaluation import inference_on_dataset
from detectron2.utils import comm
from omegaconf import DictConfig

from thingstuff.config import config_path
from thingstuff.console import start_console
from thingstuff.data.catalog import register_shapes
from thingstuff.engine.run import WEIGHTS_FILE, open_output, results_path
from thingstuff.engine.training.hooks.progress import TrainingProgress
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import ConfigError
from thingstuff.files import write_json

logger = logging.getLogger(__name__)


def load_python_config(config_file: str, overrides: Sequence[str]) -> DictConfig:
    """Execute a Lazy config and lay `path.key=value` overrides over it."""
    path = config_path(config_file)
    try:
        cfg = LazyConfig.apply_overrides(LazyConfig.load(str(path)), list(overrides))
    except Exception as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
    missing = [key for key in ("model", "train", "dataloader", "optimizer", "lr_multiplier") if key not in cfg]
    if missing:
        raise ConfigError(f"{path} defines no {missing[0]}, which training needs")
    return cfg


def run_lazy(cfg: DictConfig, resume: bool = False, eval_only: bool = False) -> None:
    """Train and evaluate, or only evaluate, as Detectron2's own script for these configs does."""
    start_console()
    register_shapes()
    if cfg.train.device.startswith("cuda") and not torch.cuda.is_available():
        logger.info("no GPU here: running on the CPU")
        cfg.train.device = "cpu"
    model = instantiate(cfg.model).to(cfg.train.device)
    start = time.perf_counter()
    weights = cfg.train.init_checkpoint
    if eval_only:
        checkpointer = Checkpointer(model, cfg.train.output_dir, whole_model=True)
        checkpointer.resume_or_load(weights, resume=resume)
        open_output(Path(cfg.train.output_dir), keep=True)
        results = _evaluate(cfg, model)
    else:
        results = _train(cfg, model, resume)
        weights = str(Path(cfg.train.output_dir) / WEIGHTS_FILE)
    if comm.is_main_process():
        seconds = None if eval_only else time.perf_counter() - start
        summary = {"results": {"test": results}, "weights": weights, "train_seconds": seconds}
        write_json(results_path(cfg.train.output_dir, eval_only), summary)


def _train(cfg: DictConfig, model: torch.nn.Module, resume: bool) -> dict[str, Any]:
    described = copy.deepcopy(cfg.optimizer)  # a model inside cfg itself would end up in config.yaml
    described.params.model = model
    optimizer = instantiate(described)
    loader = instantiate(cfg.dataloader.train)
    ddp_model = create_ddp_model(model, **cfg.train.ddp)
    use_amp = cfg.train.amp.enabled and cfg.train.device != "cpu"
    trainer = (AMPTrainer if use_amp else SimpleTrainer)(ddp_model, loader, optimizer)
    trainer.start_iter = 0
    reinit = cfg.train.get("reinit_heads", False)
    checkpointer = Checkpointer(ddp_model, cfg.train.output_dir, reinit_heads=reinit, trainer=trainer)
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=resume)
    if resume and checkpointer.has_checkpoint():
        trainer.start_iter = trainer.iter + 1
    open_output(Path(cfg.train.output_dir), keep=resume)
    if comm.is_main_process():
        LazyConfig.save(cfg, str(Path(cfg.train.output_dir) / "config.yaml"))
    results: dict[str, Any] = {}  # of the last evaluation, which the hook runs once more at the end
    evaluate = hooks.EvalHook(cfg.train.eval_period, lambda: results.update(_evaluate(cfg, ddp_model)) or results)
    trainer.register_hooks([*_hooks(cfg, optimizer, checkpointer), evaluate, *_writers(cfg)])
    trainer.train(trainer.start_iter, cfg.train.max_iter)
    return results


def _hooks(cfg: DictConfig, optimizer: torch.optim.Optimizer, checkpointer: Checkpointer) -> list[Any]:
    built = [hooks.IterationTimer(), hooks.LRScheduler(optimizer, instantiate(cfg.lr_multiplier))]
    if comm.is_main_process():
        built += [hooks.PeriodicCheckpointer(checkpointer, **cfg.train.checkpointer), TrainingProgress()]
    return built


def _writers(cfg: DictConfig) -> list[Any]:
    if not comm.is_main_process():
        return []
    return [hooks.PeriodicWriter(default_writers(cfg.train.output_dir, cfg.train.max_iter), cfg.train.log_period)]


def _evaluate(cfg: DictConfig, model: torch.nn.Module) -> dict[str, Any]:
    if "evaluator" not in cfg.dataloader:
        return {}
    evaluator = instantiate(cfg.dataloader.evaluator)
    return inference_on_dataset(model, instantiate(cfg.dataloader.test), evaluator) or {}
