"""Prediction from an image's file to COCO RLE: Detectron2, our modes, torchvision and exported models, in turns.

A Mask R-CNN's are all fed the same load: 1,000 proposals an image, of which a given number of detections remains. So
their heads work as with trained weights, and it can be seen that all have done the same work. Models of any other
architecture are measured on what their weights find. Each program is a process of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from thingstuff.benchmark.measure import Measurement, OwnMeasurement
from thingstuff.benchmark.prediction.process import OWN, Job
from thingstuff.benchmark.prediction.rows import PredictRow, rows_of
from thingstuff.benchmark.prediction.subjects import (
    LOADS,
    NO_PANOPTIC,
    PANOPTIC,
    RECIPE,
    SYSTEMS,
    Subject,
    subjects_of,
)
from thingstuff.benchmark.prediction.tables import latency_table, more_tables, shown_name
from thingstuff.benchmark.prediction.turns import ARTIFACT, Plan, measure
from thingstuff.errors import ConfigError


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--config-file", default=RECIPE, metavar="FILE", help=f"a model of any architecture (default {RECIPE})")
    add("--weights", default="", metavar="FILE", help="its weights (default: random ones)")
    choices = ", ".join(SYSTEMS)
    add("--systems", nargs="+", metavar="NAME", help=f"some of {choices} (default: all that there are for a model)")
    beside = "other models too, of any architecture, each on what it finds itself, unless it is a Mask R-CNN"
    add("--beside", nargs="+", default=[], metavar="FILE[=WEIGHTS]", help=beside)
    add("--artifact", metavar="FILE", help="an exported model too, on what it finds itself, as the others then too")
    add(
        "--panoptic",
        metavar="FILE",
        help=f"a panoptic model too, or {NO_PANOPTIC} (default beside a Mask R-CNN {PANOPTIC})",
    )
    add("--panoptic-weights", default="", metavar="FILE", help="its weights (default: random ones)")
    add("--size", type=int, default=0, help="shorter side at test in pixels (default: the config's)")
    add(
        "--detections",
        nargs="+",
        metavar="N",
        help=f"detections an image (default {' '.join(LOADS)}); {OWN}: what the networks find themselves",
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
    """Of the model that was asked for, then of the panoptic one, then of those beside them."""
    _refuse_odd(args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = _images(args, folder)
        _register(args.dataset)
        for number, subject in enumerate(subjects_of(args, images[0], folder)):
            own_folder = folder / f"subject_{number}"
            own_folder.mkdir()
            yield from _rows_of(subject, images, own_folder, args)


def _rows_of(subject: Subject, images: Sequence[Path], folder: Path, args: argparse.Namespace) -> Iterator[PredictRow]:
    from thingstuff.benchmark.prediction.accuracy import score_stores

    plan = _plan(subject, images, folder, args)
    measured = measure(plan, folder)
    accuracy = {}
    if plan.dataset:
        stores = {system: one.store for system, one in measured.items() if one.store}
        accuracy = score_stores(stores, plan.dataset, "exact", args.seed)
    yield from rows_of(subject.part, measured, accuracy)


def _table(rows: Sequence[PredictRow], args: argparse.Namespace) -> dict[str, Any]:
    images = args.count or len(_images_of(args))
    return latency_table(rows, images, args.repeats)


def _draw(rows: Sequence[PredictRow], args: argparse.Namespace) -> None:
    if args.plot:
        from thingstuff.report.figures import latency_figure, save_figure

        figure = latency_figure([(_words(row), row.p50_ms, row.stages_ms, row.accuracy) for row in rows])
        print(f"plot {save_figure(figure, args.plot)}")


def _words(row: PredictRow) -> str:
    return f"{shown_name(row)}, {row.case}"


# ---- preparation -----------------------------------------------------------------------------------------------------


def _refuse_odd(args: argparse.Namespace) -> None:
    for option, least in {"threads": 1, "proposals": 1, "count": 0, "size": 0, "seed": 0}.items():
        if getattr(args, option) < least:
            raise ConfigError(f"--{option} must be {least} or more, got {getattr(args, option)}")
    unknown = [name for name in args.systems or () if name not in SYSTEMS]
    if unknown:
        raise ConfigError(f"--systems: there is no {unknown[0]!r}: choose some of {', '.join(SYSTEMS)}")
    cases = args.detections or LOADS
    wrong = [case for case in cases if case != OWN and not case.isdecimal()]
    if wrong:
        raise ConfigError(f"--detections: expected numbers or {OWN}, got {wrong[0]!r}")
    most = max((int(case) for case in cases if case != OWN), default=0)
    if most > args.proposals:
        raise ConfigError(f"--detections {most} do not come from --proposals {args.proposals}: ask for fewer")
    if min(args.batches) < 1:
        raise ConfigError(f"--batches must be 1 or more, got {min(args.batches)}")
    if args.artifact and not Path(args.artifact).exists():
        raise ConfigError(f"--artifact: there is no file {args.artifact}")
    trained = args.weights or args.panoptic_weights or any("=" in one for one in args.beside)
    if args.ground_truth and not trained:
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


def _images(args: argparse.Namespace, folder: Path) -> list[Path]:
    from thingstuff.benchmark.prediction.images import write_photographs

    return _images_of(args) if args.images else write_photographs(folder, args.count, args.seed)


def _images_of(args: argparse.Namespace) -> list[Path]:
    from thingstuff.benchmark.prediction.images import images_of

    return images_of(args.images, args.count)


def _register(declared: Sequence[str]) -> None:
    from thingstuff.data.declared.declare import register_declared

    register_declared(declared)


def _plan(subject: Subject, images: Sequence[Path], folder: Path, args: argparse.Namespace) -> Plan:
    from thingstuff.benchmark.prediction.images import image_sizes

    file = folder / "config.yaml"
    file.write_text(subject.cfg.dump())
    job = Job(
        system="",
        config_file=str(file),
        artifact=subject.artifact,
        declared=[str(Path(one).absolute()) for one in args.dataset],
        images=[str(path) for path in images],
        sizes=image_sizes(images),
        proposals=args.proposals,
        threads=args.threads,
        seed=args.seed,
    )
    systems = [*subject.systems, *([ARTIFACT] if subject.artifact else [])]
    dataset = args.ground_truth if subject.weights else None
    return Plan(systems, subject.cases, args.repeats, args.batches, dataset, job)


MEASUREMENT = Measurement(
    name="predict",
    summary="prediction from an image's file to COCO RLE, against Detectron2 and torchvision; any architecture",
    add_arguments=_add_arguments,
    cases=None,
    own=OwnMeasurement(_rows, _table, lambda rows, args: more_tables(rows), _draw),
)
