"""Optimisers and schedules: Detectron2's unchanged, one-cycle as its formula says."""

import math

import pytest
import torch
from detectron2.solver import build_optimizer as reference_optimizer

from thingstuff.config import load_config
from thingstuff.engine.training.solver import build_lr_scheduler, build_optimizer
from thingstuff.errors import ConfigError


def net():
    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))


def cfg_with(*overrides):
    return load_config(None, list(overrides))


def test_sgd_is_detectron2s():
    cfg, model = cfg_with("SOLVER.BASE_LR", "0.02"), net()
    ours, theirs = build_optimizer(cfg, model), reference_optimizer(cfg, model)
    assert type(ours) is type(theirs)
    for a, b in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert {k: v for k, v in a.items() if k != "params"} == {k: v for k, v in b.items() if k != "params"}


def test_adamw_spares_norms_from_decay():
    cfg = cfg_with("SOLVER.OPTIMIZER", "ADAMW", "SOLVER.WEIGHT_DECAY", "0.05", "SOLVER.WEIGHT_DECAY_NORM", "0.0")
    model = net()
    optimizer = build_optimizer(cfg, model)
    assert isinstance(optimizer, torch.optim.AdamW)
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert [decay[id(p)] for p in model.parameters()] == [0.05, 0.05, 0.0, 0.0]


def test_adamw_clips_when_asked():
    base = ("SOLVER.OPTIMIZER", "ADAMW", "SOLVER.CLIP_GRADIENTS.ENABLED", "True")
    model = net()
    optimizer = build_optimizer(cfg_with(*base, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "0.5"), model)
    for p in model.parameters():
        p.grad = torch.full_like(p, 9.0)
    optimizer.step()
    assert all(float(p.grad.max()) == 0.5 for p in model.parameters())


def test_one_cycle_follows_its_formula():
    total, base, end, rise, divisor = 40, 0.01, 0.0001, 0.25, 25.0
    options = {
        "SOLVER.LR_SCHEDULER_NAME": "OneCycleLR",
        "SOLVER.MAX_ITER": total,
        "SOLVER.BASE_LR": base,
        "SOLVER.BASE_LR_END": end,
        "SOLVER.ONE_CYCLE_RISE": rise,
        "SOLVER.ONE_CYCLE_START_DIVISOR": divisor,
    }
    cfg = cfg_with(*(str(part) for pair in options.items() for part in pair))
    optimizer = torch.optim.SGD(net().parameters(), lr=base)
    schedule = build_lr_scheduler(cfg, optimizer)
    for step in range(total):
        where = step / total
        low, high, share = (base / divisor, base, where / rise) if where < rise else (end, base, 0)
        expected = high + (low - high) * (1 + math.cos(math.pi * share)) / 2
        if where >= rise:
            expected = end + (base - end) * (1 + math.cos(math.pi * (where - rise) / (1 - rise))) / 2
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-6), step
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("name", ["WarmupMultiStepLR", "WarmupCosineLR"])
def test_detectron2s_schedules_keep_their_names(name):
    cfg = cfg_with("SOLVER.LR_SCHEDULER_NAME", name)
    assert build_lr_scheduler(cfg, torch.optim.SGD(net().parameters(), lr=0.1)).last_epoch == 0


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("SOLVER.OPTIMIZER", "LION"), "SGD, ADAMW"),
        (("SOLVER.LR_SCHEDULER_NAME", "Exp"), "OneCycleLR"),
        (("SOLVER.LR_SCHEDULER_NAME", "OneCycleLR", "SOLVER.ONE_CYCLE_RISE", "1.5"), "between 0 and 1"),
    ],
)
def test_unknown_choices_name_the_known(overrides, said):
    cfg = cfg_with(*overrides)
    with pytest.raises(ConfigError, match=said):
        build_lr_scheduler(cfg, build_optimizer(cfg, net()))


def test_adam_is_torchs(tiny_cfg):
    cfg = tiny_cfg("shapes/mask_rcnn.yaml", "SOLVER.OPTIMIZER", "ADAM")
    assert type(build_optimizer(cfg, torch.nn.Linear(2, 2))) is torch.optim.Adam


def test_the_polynomial_schedule_of_detectron2s_deeplab(tiny_cfg):
    named = ("SOLVER.LR_SCHEDULER_NAME", "WarmupPolyLR", "SOLVER.MAX_ITER", "100", "SOLVER.WARMUP_ITERS", "0")
    with pytest.raises(ConfigError, match=r"detectron2\.projects\.deeplab in IMPORTS"):
        build_lr_scheduler(tiny_cfg("shapes/mask_rcnn.yaml", *named), None)
    cfg = tiny_cfg("shapes/mask_rcnn.yaml", "IMPORTS", "['detectron2.projects.deeplab']", *named)
    optimizer = torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=1.0)
    schedule = build_lr_scheduler(cfg, optimizer)
    for _ in range(40):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx((1 - 40 / 100) ** 0.9)
