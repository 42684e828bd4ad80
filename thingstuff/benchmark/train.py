"""Training: ours against Detectron2's `SimpleTrainer` with its own loader in fp32, on one config, data and weights.

The images and their about 7 instances each are made on the spot, and the weights are random. Convolutions cost the same
for any weights, and the heads are fed 512 sampled proposals an image whatever the proposals are; but the cost of
RoIAlign depends on their sizes, which are those of the anchors here. `MODEL.WEIGHTS FILE` times trained weights
instead. Each training is a process of its own, and ours and Detectron2's take turns, step by step.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thingstuff.benchmark.measure import Measurement, OwnMeasurement
from thingstuff.benchmark.train_process import SET_NAME, Timed, TrainProcess
from thingstuff.errors import ConfigError

REFERENCE = "Detectron2 0.6 SimpleTrainer, fp32"
RECIPE = "thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml"
_LOSS_TOLERANCE = {"fp32": 1e-3, "mixed bf16": 0.05, "mixed fp16": 0.05}  # mixed: other proposals are sampled
_LEARNING_RATE = 1e-4  # random weights would diverge at the recipe's
_HEADERS = ("training", "images/s", "ratio", "ratio of processor time", "peak MiB", "loader %", "first loss", "equal")
_NOTES = (
    "medians of {steps} steps each, ours and Detectron2's in turns",
    "ratio = Detectron2's seconds / ours: above 1, ours is faster",
    "equal: the first step's loss is Detectron2's, within 0.1 % in fp32 and 5 % in mixed precision, which samples other"
    " proposals",
)


@dataclass(frozen=True)
class TrainRow:
    """One training: medians over its steps, and ratios to Detectron2's steps in the same turns."""

    training: str
    images_per_s: float
    ratio: float
    cpu_ratio: float
    peak_mib: float
    loader_percent: float
    first_loss: float
    equal: bool


@dataclass(frozen=True)
class _Turns:
    """The steps of both programs, the first of which is unmeasured."""

    ours: Sequence[Timed]
    stock: Sequence[Timed]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--config-file", default=RECIPE, metavar="FILE", help=f"the recipe to train (default {RECIPE})")
    add("--size", type=int, default=480, help="length of an image's shorter side in pixels (default 480)")
    add("--batch", type=int, default=2, help="images a step (default 2)")
    add("--steps", type=int, default=1, help="steps of each training in a turn (default 1)")
    add("--seed", type=int, default=0, help="seed of images, weights and sampling (default 0)")
    add("--threads", type=int, default=1, help="threads of PyTorch and of OpenCV (default 1)")
    add("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="config options over the file's, at the end")


def _rows(args: argparse.Namespace) -> Iterator[TrainRow]:
    """Detectron2's row, then ours in fp32 and mixed precision, each in both layouts of memory."""
    _refuse_odd_numbers(args)
    cfg = _config(args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_data(cfg, folder, args)
        measured = {words: _measure(one, cfg, folder, args) for words, one in _variants(cfg).items()}
    yield _stock_row([turns.stock for turns in measured.values()], args.batch)
    for words, turns in measured.items():
        yield _our_row(words, turns, args.batch)


def _table(rows: Sequence[TrainRow], args: argparse.Namespace) -> dict[str, Any]:
    """What `text_table` takes."""
    notes = [note.format(steps=args.repeats * args.steps) for note in _NOTES]
    cells = [list(asdict(row).values()) for row in rows]
    return {"rows": cells, "headers": _HEADERS, "align": "lrrrrrrl", "digits": 2, "footnotes": notes}


# ---- preparation -------------------------------------------------------------------------------------------------


def _refuse_odd_numbers(args: argparse.Namespace) -> None:
    for option in ("size", "batch", "steps", "threads"):
        if getattr(args, option) < 1:
            raise ConfigError(f"--{option} must be 1 or more, got {getattr(args, option)}")


def _config(args: argparse.Namespace) -> Any:
    """The recipe in fp32 on this machine's device, with the user's options over what a benchmark needs."""
    from thingstuff.config import load_config
    from thingstuff.engine.device import settle_device

    base = {
        "MODEL.WEIGHTS": "",
        "DATASETS.TRAIN": f"('{SET_NAME}',)",
        "DATASETS.TEST": "()",
        "DATASETS.CHECK": "False",
        "INPUT.MIN_SIZE_TRAIN": f"({args.size},)",
        "SOLVER.IMS_PER_BATCH": str(args.batch),
        "SOLVER.BASE_LR": str(_LEARNING_RATE),
        "SEED": str(args.seed),
    }
    cfg = load_config(args.config_file, [*(word for pair in base.items() for word in pair), *args.opts])
    settle_device(cfg)
    if cfg.MODEL.DEVICE == "cpu" and "DATALOADER.NUM_WORKERS" not in args.opts[::2]:
        cfg.DATALOADER.NUM_WORKERS = 0  # they would compute on the cores that are measured
    return cfg


def _variants(cfg: Any) -> dict[str, Any]:
    """Our trainings by their names; without mixed precision where the device has none."""
    from thingstuff.engine.training.precision import Precision

    variants = {}
    for mixed in (False, True):
        for channels_last in (False, True):
            one = cfg.clone()
            one.SOLVER.AMP.ENABLED, one.MODEL.CHANNELS_LAST = mixed, channels_last
            words = Precision.from_config(one).words
            variants[f"ours, {words}{', channels_last' if channels_last else ''}"] = one
    return variants


def _write_data(cfg: Any, folder: Path, args: argparse.Namespace) -> None:
    from thingstuff.benchmark.train_data import write_images, write_weights

    write_images(folder, args.seed)
    if not cfg.MODEL.WEIGHTS:
        cfg.MODEL.WEIGHTS = str(folder / "weights.pth")
        write_weights(cfg, folder / "weights.pth", args.seed)


# ---- measurement -------------------------------------------------------------------------------------------------


def _measure(ours_cfg: Any, stock_cfg: Any, folder: Path, args: argparse.Namespace) -> _Turns:
    """One step of each unmeasured, then turns, the first of a turn being the second of the next."""
    stock_cfg = stock_cfg.clone()
    stock_cfg.SOLVER.AMP.ENABLED = False
    files = {name: folder / f"{name}.yaml" for name in ("ours", "stock")}
    for name, one in (("ours", ours_cfg), ("stock", stock_cfg)):
        one.MODEL.WEIGHTS = stock_cfg.MODEL.WEIGHTS
        files[name].write_text(one.dump())
    with (
        TrainProcess("ours", files["ours"], folder, args.threads) as ours,
        TrainProcess("stock", files["stock"], folder, args.threads) as stock,
    ):
        programs = {"ours": ours, "stock": stock}
        steps = {name: [program.step()] for name, program in programs.items()}
        for turn in range(args.repeats):
            for name in sorted(programs, reverse=turn % 2 == 1):
                steps[name] += [programs[name].step() for _ in range(args.steps)]
    return _Turns(**steps)


# ---- rows --------------------------------------------------------------------------------------------------------


def _stock_row(stock: Sequence[Sequence[Timed]], batch: int) -> TrainRow:
    together = [stock[0][0], *(step for steps in stock for step in steps[1:])]
    return _row(REFERENCE, together, together, batch, equal=True)


def _our_row(words: str, turns: _Turns, batch: int) -> TrainRow:
    tolerance = next(share for precision, share in _LOSS_TOLERANCE.items() if precision in words)
    expected = turns.stock[0].loss
    equal = abs(turns.ours[0].loss - expected) <= tolerance * abs(expected)
    return _row(words, turns.ours, turns.stock, batch, equal)


def _row(words: str, ours: Sequence[Timed], stock: Sequence[Timed], batch: int, equal: bool) -> TrainRow:
    wall_s = _median(ours, "wall_s")
    return TrainRow(
        training=words,
        images_per_s=batch / wall_s,
        ratio=_median(stock, "wall_s") / wall_s,
        cpu_ratio=_median(stock, "cpu_s") / _median(ours, "cpu_s"),
        peak_mib=max(step.peak_mib for step in ours),
        loader_percent=100 * sum(step.data_s for step in ours[1:]) / sum(step.wall_s for step in ours[1:]),
        first_loss=ours[0].loss,
        equal=equal,
    )


def _median(steps: Sequence[Timed], what: str) -> float:
    return statistics.median(getattr(step, what) for step in steps[1:])


MEASUREMENT = Measurement(
    name="train",
    summary="training steps with their data loading, against Detectron2's trainer",
    add_arguments=_add_arguments,
    cases=None,
    own=OwnMeasurement(_rows, _table),
)
