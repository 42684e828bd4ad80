"""A recipe in numbers for one data set and one machine: the schedule, the batch and the learning rate."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction

from detectron2.config import CfgNode

from thingstuff.data.declared.declare import is_declared
from thingstuff.engine.training.bad_losses import ACTIONS
from thingstuff.engine.training.precision import CHOICES
from thingstuff.engine.weights.kind import is_of_backbone
from thingstuff.errors import ConfigError

FEWEST_STEPS = 1000  # of a fine-tuning: fewer do not teach new heads, however small the data set
EPOCHS_OF_DETECTOR = 12  # COCO's "1x"
EPOCHS_OF_BACKBONE = 36  # COCO's "3x"
_SCALINGS = {"linear": float, "sqrt": math.sqrt}
_CHOICES = {
    "RATE_SCALING": tuple(_SCALINGS),
    "ON_BAD_LOSS": ACTIONS,
    "AMP.PRECISION": CHOICES,
}
_HIGHEST_RATE = {"SGD": 1.0, "ADAMW": 0.1, "ADAM": 0.1}
_GPUS_OF_ZOO = 8
_SCHEDULE_KEYS = ("SOLVER.MAX_ITER", "SOLVER.EPOCHS", "SOLVER.STEPS")


@dataclass(frozen=True, slots=True)
class _Schedule:
    max_iter: int
    steps: tuple[int, ...]
    batch: int
    rates: tuple[float, ...]  # for SGD with this batch


# Of the recipes of Detectron2's model zoo, but for its quick tests.
_ZOO_SCHEDULES = (
    _Schedule(90_000, (60_000, 80_000), 16, (0.02, 0.01)),  # COCO 1x; RetinaNet has the lower rate
    _Schedule(270_000, (210_000, 250_000), 16, (0.02, 0.01)),  # COCO 3x
    _Schedule(202_500, (187_500, 197_500), 64, (0.08,)),  # COCO 9x, from scratch
    _Schedule(135_000, (105_000, 125_000), 32, (0.04,)),
    _Schedule(50_000, (35_000, 45_000), 128, (0.16,)),
    _Schedule(180_000, (120_000, 160_000), 16, (0.02,)),  # LVIS
    _Schedule(24_000, (18_000,), 8, (0.01,)),  # Cityscapes
    _Schedule(18_000, (12_000, 16_000), 16, (0.02,)),  # Pascal VOC
)


# ---- for this batch and these epochs -----------------------------------------------------------------------------


def settle_recipe(cfg: CfgNode, images: int, overrides: Collection[str] = ()) -> list[str]:
    """Set in `cfg`, in place, what SOLVER.REFERENCE_BATCH and SOLVER.EPOCHS mean for `images` training images.

    `overrides` holds the keys that a user gave beside the config; they stay. A settled config is not changed by
    being settled again. Returns a line for the log for each change.
    """
    _refuse_nonsense(cfg, images, overrides)
    return [*_settle_rate(cfg.SOLVER, overrides), *_settle_epochs(cfg.SOLVER, images, overrides)]


def _refuse_nonsense(cfg: CfgNode, images: int, overrides: Collection[str]) -> None:
    solver = cfg.SOLVER
    _require_choice(cfg, "RATE_SCALING")
    if solver.IMS_PER_BATCH < 1:
        raise ConfigError(f"SOLVER.IMS_PER_BATCH is {solver.IMS_PER_BATCH}, expected 1 or more")
    if solver.REFERENCE_BATCH < 0:
        raise ConfigError(f"SOLVER.REFERENCE_BATCH is {solver.REFERENCE_BATCH}, expected a number of images, or 0")
    if not 0 <= solver.EPOCHS < math.inf:
        raise ConfigError(f"SOLVER.EPOCHS is {solver.EPOCHS:g}, expected how often each image is seen, or 0")
    if not solver.EPOCHS:
        return
    if "SOLVER.MAX_ITER" in overrides:
        raise ConfigError(f"SOLVER.MAX_ITER contradicts SOLVER.EPOCHS {solver.EPOCHS:g}: drop it or set EPOCHS 0")
    if solver.MAX_ITER < 1:
        raise ConfigError(f"SOLVER.EPOCHS {solver.EPOCHS:g} contradicts SOLVER.MAX_ITER {solver.MAX_ITER}: drop one")
    if images < 1:
        raise ConfigError(f"SOLVER.EPOCHS is {solver.EPOCHS:g}, but there are no training images")


def _settle_rate(solver: CfgNode, overrides: Collection[str]) -> list[str]:
    reference, batch = solver.REFERENCE_BATCH, solver.IMS_PER_BATCH
    if not reference:
        return _rate_of_another_batch(solver, overrides)
    if reference == batch:
        return []
    solver.REFERENCE_BATCH = batch
    if "SOLVER.BASE_LR" in overrides:
        return [f"learning rate {solver.BASE_LR:g} as given, not changed for batches of {batch} instead of {reference}"]
    old, factor = solver.BASE_LR, _SCALINGS[solver.RATE_SCALING](batch / reference)
    solver.BASE_LR *= factor
    if "SOLVER.BASE_LR_END" not in overrides:
        solver.BASE_LR_END *= factor
    return [
        f"learning rate {old:g} for batches of {reference} -> {solver.BASE_LR:g} for {batch} ({solver.RATE_SCALING})"
    ]


def _rate_of_another_batch(solver: CfgNode, overrides: Collection[str]) -> list[str]:
    """A warning where the steps and the rate are those of a recipe of the zoo, but its batch is not."""
    if "SOLVER.BASE_LR" in overrides or solver.OPTIMIZER != "SGD":
        return []
    own = (solver.MAX_ITER, tuple(solver.STEPS))
    for known in _ZOO_SCHEDULES:
        is_known = own == (known.max_iter, known.steps) and solver.BASE_LR in known.rates
        if is_known and known.batch != solver.IMS_PER_BATCH:
            return [
                f"learning rate {solver.BASE_LR:g} was found for batches of {known.batch}, not {solver.IMS_PER_BATCH}: "
                f"with SOLVER.REFERENCE_BATCH {known.batch} it follows the batch"
            ]
    return []


def _settle_epochs(solver: CfgNode, images: int, overrides: Collection[str]) -> list[str]:
    if not solver.EPOCHS:
        return []
    old, batch = solver.MAX_ITER, solver.IMS_PER_BATCH
    # as a fraction, so that 0.1 epochs of 30 images are 3 steps of one image, and not a rounding error more
    new = max(1, math.ceil(Fraction(str(solver.EPOCHS)) * images / batch))
    if new == old:
        return []
    solver.MAX_ITER = new
    line = f"{solver.EPOCHS:g} epochs of {images} images in batches of {batch}: SOLVER.MAX_ITER {old} -> {new}"
    if not solver.LR_SCHEDULER_NAME.startswith("Warmup"):
        return [line]  # the others have neither steps nor a warm-up of their own
    if "SOLVER.STEPS" not in overrides:
        solver.STEPS = _decay_steps((step / old for step in solver.STEPS), new)
    if "SOLVER.WARMUP_ITERS" not in overrides:
        solver.WARMUP_ITERS = _shorter(solver.WARMUP_ITERS, new / old)
    return [f"{line}, STEPS {tuple(solver.STEPS)}, WARMUP_ITERS {solver.WARMUP_ITERS}"]


def _decay_steps(shares: Iterator[float], max_iter: int) -> tuple[int, ...]:
    """Distinct and ascending, as fvcore's schedule needs them; none at the very end, where nothing would follow."""
    steps = {max(1, round(share * max_iter)) for share in shares}
    return tuple(sorted(steps - {max_iter}))


def _shorter(warmup: int, ratio: float) -> int:
    return min(warmup, max(1, round(warmup * ratio)))


# ---- for a declared data set -------------------------------------------------------------------------------------


def schedule_for(images: int, batch: int, epochs: float = EPOCHS_OF_DETECTOR) -> int:
    """Steps of a fine-tuning: each image `epochs` times, but FEWEST_STEPS at least."""
    return max(FEWEST_STEPS, math.ceil(epochs * images / batch))


def finetune_defaults(cfg: CfgNode, images: int, overrides: Collection[str] = (), processes: int = 1) -> list[str]:
    """Fit the batch and the schedule of a recipe of the zoo, in place, to a declared data set; a line for each change.

    Only what the zoo's recipe says is changed: keys in `overrides`, and schedules that a config of the user's states,
    stay. The batch is 2 images on the CPU, and a GPU's share of the recipe's otherwise, which was made for 8 GPUs; with
    SOLVER.REFERENCE_BATCH the learning rate follows in `settle_recipe`. It is not lowered beyond that: the zoo's own
    fine-tuning, from COCO to Cityscapes, keeps the rate for an image too. Images are seen 12 times if MODEL.WEIGHTS are
    those of a detector, and 36 times if of a backbone, but never more of them than the recipe has. Without weights the
    schedule stays.
    """
    recipe = _recipe_of_zoo(cfg, overrides)
    names = cfg.DATASETS.TRAIN
    if recipe is None or images < 1 or not names or not all(is_declared(name) for name in names):
        return []
    return [*_settle_batch(cfg, recipe, overrides, processes), *_settle_schedule(cfg, recipe, images, overrides)]


def _recipe_of_zoo(cfg: CfgNode, overrides: Collection[str]) -> _Schedule | None:
    """The zoo's schedule that the config holds where the user did not write over it."""
    solver = cfg.SOLVER
    for known in _ZOO_SCHEDULES:
        own = {"MAX_ITER": solver.MAX_ITER, "STEPS": tuple(solver.STEPS), "IMS_PER_BATCH": solver.IMS_PER_BATCH}
        zoo = {"MAX_ITER": known.max_iter, "STEPS": known.steps, "IMS_PER_BATCH": known.batch}
        if all(own[key] == zoo[key] or f"SOLVER.{key}" in overrides for key in own):
            return known
    return None


def _settle_batch(cfg: CfgNode, recipe: _Schedule, overrides: Collection[str], processes: int) -> list[str]:
    solver, is_cpu = cfg.SOLVER, cfg.MODEL.DEVICE == "cpu"
    batch = max(2, processes if is_cpu else max(1, recipe.batch // _GPUS_OF_ZOO) * processes)
    if "SOLVER.IMS_PER_BATCH" in overrides or batch >= recipe.batch:
        return []
    solver.IMS_PER_BATCH = batch
    if not solver.REFERENCE_BATCH and "SOLVER.REFERENCE_BATCH" not in overrides:
        solver.REFERENCE_BATCH = recipe.batch
    where = "the CPU" if is_cpu else "1 GPU" if processes == 1 else f"{processes} GPUs"
    return [f"batches of {batch} images for {where} (the recipe's {recipe.batch}); SOLVER.IMS_PER_BATCH sets another"]


def _settle_schedule(cfg: CfgNode, recipe: _Schedule, images: int, overrides: Collection[str]) -> list[str]:
    solver, weights = cfg.SOLVER, cfg.MODEL.WEIGHTS
    if not weights or solver.EPOCHS or any(key in overrides for key in _SCHEDULE_KEYS):
        return []
    is_backbone = is_of_backbone(weights)
    most = max(1, recipe.max_iter * recipe.batch // solver.IMS_PER_BATCH)
    epochs = EPOCHS_OF_BACKBONE if is_backbone else EPOCHS_OF_DETECTOR
    solver.MAX_ITER = min(schedule_for(images, solver.IMS_PER_BATCH, epochs), most)
    solver.STEPS = _decay_steps(iter((2 / 3, 8 / 9)), solver.MAX_ITER)
    if "SOLVER.WARMUP_ITERS" not in overrides:
        solver.WARMUP_ITERS = min(solver.WARMUP_ITERS, max(1, round(0.1 * solver.MAX_ITER)))
    if "SOLVER.CHECKPOINT_PERIOD" not in overrides:
        solver.CHECKPOINT_PERIOD = min(solver.CHECKPOINT_PERIOD, max(1, round(0.1 * solver.MAX_ITER)))
    seen = solver.MAX_ITER * solver.IMS_PER_BATCH / images
    return [
        f"{solver.MAX_ITER} steps from the weights of a {'backbone' if is_backbone else 'detector'}, {seen:.3g} times "
        f"each of {images} images (the recipe: {recipe.max_iter} of {recipe.batch}); STEPS {tuple(solver.STEPS)}, "
        f"WARMUP_ITERS {solver.WARMUP_ITERS}, CHECKPOINT_PERIOD {solver.CHECKPOINT_PERIOD}; SOLVER.EPOCHS sets another "
        "length"
    ]


# ---- what cannot be meant ----------------------------------------------------------------------------------------


def check_recipe(cfg: CfgNode, processes: int = 1) -> None:
    """ConfigError where a number of SOLVER cannot be meant, or does not fit the processes that train together."""
    for key in _CHOICES:
        _require_choice(cfg, key)
    _check_rate(cfg.SOLVER)
    _check_batch(cfg.SOLVER, processes)
    if not 0 <= cfg.SOLVER.EMA_DECAY < 1:
        raise ConfigError(f"SOLVER.EMA_DECAY is {cfg.SOLVER.EMA_DECAY:g}, expected 0 or more and below 1")


def _require_choice(cfg: CfgNode, key: str) -> None:
    value = cfg.SOLVER.AMP.PRECISION if key == "AMP.PRECISION" else cfg.SOLVER[key]
    if value not in _CHOICES[key]:
        raise ConfigError(f"SOLVER.{key} is {value}, expected one of {', '.join(_CHOICES[key])}")


def _check_rate(solver: CfgNode) -> None:
    rate, end = solver.BASE_LR, solver.BASE_LR_END
    highest = _HIGHEST_RATE.get(solver.OPTIMIZER, math.inf)
    if not 0 < rate < math.inf:
        raise ConfigError(f"SOLVER.BASE_LR is {rate:g}, expected a number above 0")
    if rate > highest:
        raise ConfigError(f"SOLVER.BASE_LR {rate:g} is huge for {solver.OPTIMIZER}, expected {highest:g} at most")
    if not 0 <= end < math.inf:
        raise ConfigError(f"SOLVER.BASE_LR_END is {end:g}, expected 0 or a number above it")


def _check_batch(solver: CfgNode, processes: int) -> None:
    batch, parts = solver.IMS_PER_BATCH, solver.MICRO_BATCHES
    if batch < processes:
        raise ConfigError(f"SOLVER.IMS_PER_BATCH is {batch}, but each of {processes} processes needs an image")
    if batch < 1 or batch % processes:
        raise ConfigError(f"SOLVER.IMS_PER_BATCH is {batch}, expected a multiple of the {processes} processes")
    if parts < 1 or (batch // processes) % parts:
        raise ConfigError(
            f"SOLVER.MICRO_BATCHES is {parts}, expected a divisor of the {batch // processes} images of a process"
        )
