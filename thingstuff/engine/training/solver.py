"""Optimisers and schedules by config: Detectron2's, and those that suit small sets and training from scratch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.solver import LRMultiplier
from detectron2.solver import build_lr_scheduler as detectron2_scheduler
from detectron2.solver import build_optimizer as detectron2_optimizer
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from fvcore.common.param_scheduler import CompositeParamScheduler, CosineParamScheduler

from thingstuff.errors import ConfigError

_ADAMS = {"ADAMW": torch.optim.AdamW, "ADAM": torch.optim.Adam}
_OPTIMIZERS = ("SGD", *_ADAMS)
_OF_DETECTRON2 = ("WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR")
_OF_DEEPLAB = "WarmupPolyLR"  # of Detectron2's DeepLab project, which adds the keys that it needs
_SCHEDULES = ("OneCycleLR", *_OF_DETECTRON2, _OF_DEEPLAB)


def build_optimizer(cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
    """SGD exactly as Detectron2 builds it, or AdamW or Adam with the same parameter groups and clipping.

    A backbone may have `optimizer_options`, arguments of Detectron2's `get_default_optimizer_params` that its layers
    want with AdamW and Adam, such as a rate for each depth.
    """
    solver = cfg.SOLVER
    if solver.OPTIMIZER == "SGD":
        return detectron2_optimizer(cfg, model)
    if solver.OPTIMIZER not in _ADAMS:
        raise ConfigError(f"SOLVER.OPTIMIZER is {solver.OPTIMIZER}, expected one of {', '.join(_OPTIMIZERS)}")
    groups = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        **copy.deepcopy(getattr(getattr(model, "backbone", None), "optimizer_options", {})),  # it adds to what it gets
    )
    build = maybe_add_gradient_clipping(cfg, _ADAMS[solver.OPTIMIZER])
    return build(groups, lr=solver.BASE_LR, weight_decay=solver.WEIGHT_DECAY)


def build_lr_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """Detectron2's schedules by their names, and `OneCycleLR`: a cosine up to BASE_LR, then one down to BASE_LR_END."""
    solver = cfg.SOLVER
    if solver.LR_SCHEDULER_NAME not in _SCHEDULES:
        raise ConfigError(
            f"SOLVER.LR_SCHEDULER_NAME is {solver.LR_SCHEDULER_NAME}, expected one of {', '.join(_SCHEDULES)}"
        )
    if solver.LR_SCHEDULER_NAME in _OF_DETECTRON2:
        return detectron2_scheduler(cfg, optimizer)
    if solver.LR_SCHEDULER_NAME == _OF_DEEPLAB:
        return _deeplab_scheduler(cfg, optimizer)
    if not 0 < solver.ONE_CYCLE_RISE < 1:
        raise ConfigError(f"SOLVER.ONE_CYCLE_RISE is {solver.ONE_CYCLE_RISE}, expected a share between 0 and 1")
    rise = CosineParamScheduler(1 / solver.ONE_CYCLE_START_DIVISOR, 1.0)
    fall = CosineParamScheduler(1.0, solver.BASE_LR_END / solver.BASE_LR)
    shares = [solver.ONE_CYCLE_RISE, 1 - solver.ONE_CYCLE_RISE]
    cycle = CompositeParamScheduler([rise, fall], shares, ["rescaled", "rescaled"])
    return LRMultiplier(optimizer, cycle, solver.MAX_ITER)


def set_rates(optimizer: torch.optim.Optimizer, scheduler: Any, rates: Sequence[float]) -> None:
    """The rates of the config, one for each group of parameters, in place of those that a checkpoint has brought.

    If they are the same, nothing changes, to the last bit.
    """
    if not isinstance(scheduler, LRMultiplier):
        return
    scheduler.base_lrs = list(rates)
    for group, rate, now in zip(optimizer.param_groups, rates, scheduler.get_lr(), strict=True):
        group["initial_lr"], group["lr"] = rate, now


def _deeplab_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    if "POLY_LR_POWER" not in cfg.SOLVER:
        raise ConfigError(f"SOLVER.LR_SCHEDULER_NAME is {_OF_DEEPLAB}: name detectron2.projects.deeplab in IMPORTS")
    from detectron2.projects.deeplab import build_lr_scheduler as deeplab_scheduler

    return deeplab_scheduler(cfg, optimizer)
