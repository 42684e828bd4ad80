"""Prediction from an image's file to COCO RLE: Detectron2, our modes, torchvision and exported models, in turns.

All are fed the same load: 1,000 proposals an image, of which a given number of detections remains. So their heads work
as with trained weights, and it can be seen that all have done the same work. Each is a process of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thingstuff.benchmark.measure import Measurement, OwnMeasurement
from thingstuff.benchmark.prediction.process import OWN, Job
from thingstuff.benchmark.prediction.rows import PredictRow, rows_of
from thingstuff.benchmark.prediction.tables import latency_table, more_tables
from thingstuff.benchmark.prediction.turns import ARTIFACT, TORCHVISION, Plan, measure
from thingstuff.errors import ConfigError

SYSTEMS = ("stock", "exact", "fp32", "fast", "torchvision", "torchvision-mixed")
RECIPE = "thingstuff://coco/mask_rcnn_R_50_FPN_3x.yaml"
PANOPTIC = "thingstuff://coco/panoptic_fpn_R_50_3x.yaml"
NO_PANOPTIC = "none"
_LONGEST = 1333 / 800  # the longest side of an image to its shorter side at test, as in Detectron2's recipes


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--config-file", default=RECIPE, metavar="FILE", help=f"a Mask R-CNN (default {RECIPE})")
    add("--weights", default="", metavar="FILE", help="its weights (default: random ones)")
    choices = ", ".join(SYSTEMS)
    add("--systems", nargs="+", default=list(SYSTEMS), metavar="NAME", help=f"some of {choices} (default: all)")
    add("--artifact", metavar="FILE", help="an exported model too, on what it finds itself, as the others then too")
    add(
        "--panoptic",
        default=PANOPTIC,
        metavar="FILE",
        help=f"a panoptic model too, or {NO_PANOPTIC} (default {PANOPTIC})",
    )
    add("--panoptic-weights", default="", metavar="FILE", help="its weights (default: random ones)")
    add("--size", type=int, default=0, help="shorter side at test in pixels (default: the config's)")
    add(
        "--detections",
        nargs="+",
        default=["20", "100"],
        metavar="N",
        help=f"detections an image (default 20 100); {OWN}: what the networks find themselves",
    )
    add("--proposals", type=int, default=1000, help="proposals an image (default 1000)")
    add(
        "--images",
        type=Path,
        metavar="DIR",
        help="images to predict (default: some like photographs, made on the spot)",
    )
    add("--count", type=int, default=4, help="how many images (default 4; 0: all of --images)")
    add(
        "--batches",
        nargs="+",
        type=int,
        default=[1, 2, 4],
        metavar="N",
        help="batch sizes of throughput (default 1 2 4)",
    )
    add("--threads", type=int, default=1, help="threads of PyTorch and of OpenCV (default 1)")
    add("--seed", type=int, default=0, help="seed of images, weights and load (default 0)")
    add("--ground-truth", metavar="NAME", help="measure accuracy on this registered data set; needs --weights")
    add("--dataset", action="append", default=[], metavar="FILE", help="a declared data set (YAML); again for more")
    add("--plot", type=Path, metavar="FILE", help="accuracy over latency, or bars of the stages, as .png or .svg")
    add("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config options, at the end")


def _rows(args: argparse.Namespace) -> Iterator[PredictRow]:
    """Of the Mask R-CNN, then of the panoptic model."""
    _refuse_odd(args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = _images(args, folder)
        yield from _rows_of_part("instances", args.config_file, args.weights, images, folder, args)
        if args.panoptic != NO_PANOPTIC:
            args = argparse.Namespace(**vars(args) | {"systems": _kin(args.systems), "artifact": None})
            yield from _rows_of_part("panoptic", args.panoptic, args.panoptic_weights, images, folder, args)


def _rows_of_part(
    part: str, config_file: str, weights: str, images: Sequence[Path], folder: Path, args: argparse.Namespace
) -> Iterator[PredictRow]:
    from thingstuff.benchmark.prediction.accuracy import score_stores

    own_folder = folder / part
    own_folder.mkdir()
    plan = _plan(_config(config_file, weights, images[0], own_folder, args), images, own_folder, args)
    plan = replace(plan, dataset=plan.dataset if weights else None)
    measured = measure(plan, own_folder)
    accuracy = {}
    if plan.dataset:
        _register(args.dataset)
        stores = {system: one.store for system, one in measured.items() if one.store}
        accuracy = score_stores(stores, plan.dataset, "exact", args.seed)
    yield from rows_of(part, measured, accuracy)


def _table(rows: Sequence[PredictRow], args: argparse.Namespace) -> dict[str, Any]:
    images = args.count or len(_images_of(args))
    return latency_table(rows, images, args.repeats)


def _draw(rows: Sequence[PredictRow], args: argparse.Namespace) -> None:
    if args.plot:
        from thingstuff.report.figures import latency_figure, save_figure

        figure = latency_figure([(_label(row), row.p50_ms, row.stages_ms, row.accuracy) for row in rows])
        print(f"plot {save_figure(figure, args.plot)}")


def _label(row: PredictRow) -> str:
    panoptic = "panoptic, " if row.part == "panoptic" else ""
    return f"{panoptic}{row.system}, {row.case}"


# ---- preparation -----------------------------------------------------------------------------------------------------


def _refuse_odd(args: argparse.Namespace) -> None:
    for option, least in {"threads": 1, "proposals": 1, "count": 0, "size": 0, "seed": 0}.items():
        if getattr(args, option) < least:
            raise ConfigError(f"--{option} must be {least} or more, got {getattr(args, option)}")
    unknown = [name for name in args.systems if name not in SYSTEMS]
    if unknown:
        raise ConfigError(f"--systems: there is no {unknown[0]!r}: choose some of {', '.join(SYSTEMS)}")
    wrong = [case for case in args.detections if case != OWN and not case.isdecimal()]
    if wrong:
        raise ConfigError(f"--detections: expected numbers or {OWN}, got {wrong[0]!r}")
    most = max((int(case) for case in args.detections if case != OWN), default=0)
    if most > args.proposals:
        raise ConfigError(f"--detections {most} do not come from --proposals {args.proposals}: ask for fewer")
    if min(args.batches) < 1:
        raise ConfigError(f"--batches must be 1 or more, got {min(args.batches)}")
    if args.artifact and not Path(args.artifact).exists():
        raise ConfigError(f"--artifact: there is no file {args.artifact}")
    if args.ground_truth and not (args.weights or args.panoptic_weights):
        raise ConfigError("--ground-truth needs --weights: random weights have no accuracy")
    if args.ground_truth:
        from thingstuff.data.catalog import require_datasets

        _register(args.dataset)
        require_datasets([args.ground_truth])
    if args.images is None and args.count == 0:
        raise ConfigError("--count 0 means all images of --images, and none are given")
    if args.plot:
        from thingstuff.report.figures.style import checked_suffix

        checked_suffix(args.plot.suffix)


def _kin(systems: Sequence[str]) -> list[str]:
    return [system for system in systems if not system.startswith(TORCHVISION)]


def _images(args: argparse.Namespace, folder: Path) -> list[Path]:
    from thingstuff.benchmark.prediction.images import write_photographs

    return _images_of(args) if args.images else write_photographs(folder, args.count, args.seed)


def _images_of(args: argparse.Namespace) -> list[Path]:
    from thingstuff.benchmark.prediction.images import images_of

    return images_of(args.images, args.count)


def _config(config_file: str, weights: str, image: Path, folder: Path, args: argparse.Namespace) -> Any:
    """The recipe on this machine's device with what the load needs, and its weights in a file."""
    from thingstuff.benchmark.prediction.programs import refuse_other_than_mask_rcnn
    from thingstuff.benchmark.train_data import write_weights
    from thingstuff.config import load_config
    from thingstuff.engine.device import settle_device

    _register(args.dataset)
    cfg = load_config(config_file, args.opts)
    refuse_other_than_mask_rcnn(cfg)
    settle_device(cfg)
    counts = [int(case) for case in args.detections if case != OWN]
    cfg.MODEL.RPN.POST_NMS_TOPK_TEST = args.proposals
    cfg.TEST.DETECTIONS_PER_IMAGE = max([cfg.TEST.DETECTIONS_PER_IMAGE, *counts])
    if args.size:
        cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = args.size, round(args.size * _LONGEST)
    cfg.MODEL.WEIGHTS = weights
    if not weights:
        cfg.MODEL.WEIGHTS = str(folder / "weights.pth")
        write_weights(cfg, folder / "weights.pth", args.seed, image)
    return cfg


def _register(declared: Sequence[str]) -> None:
    from thingstuff.data.declared.declare import register_declared

    register_declared(declared)


def _plan(cfg: Any, images: Sequence[Path], folder: Path, args: argparse.Namespace) -> Plan:
    from thingstuff.benchmark.prediction.images import image_sizes

    file = folder / "config.yaml"
    file.write_text(cfg.dump())
    systems, cases = list(dict.fromkeys(args.systems)), list(dict.fromkeys(args.detections))
    if args.artifact:
        systems, cases = [*systems, ARTIFACT], list(dict.fromkeys([*cases, OWN]))
    job = Job(
        system="",
        config_file=str(file),
        artifact=args.artifact,
        declared=[str(Path(one).absolute()) for one in args.dataset],
        images=[str(path) for path in images],
        sizes=image_sizes(images),
        proposals=args.proposals,
        threads=args.threads,
        seed=args.seed,
    )
    return Plan(systems, cases, args.repeats, args.batches, args.ground_truth, job)


MEASUREMENT = Measurement(
    name="predict",
    summary="prediction from an image's file to COCO RLE, against Detectron2 and torchvision",
    add_arguments=_add_arguments,
    cases=None,
    own=OwnMeasurement(_rows, _table, lambda rows, args: more_tables(rows), _draw),
)
