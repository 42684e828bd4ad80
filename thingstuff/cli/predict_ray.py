"""The options of `predict --engine ray`, and its job."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from thingstuff.errors import ConfigError

_OPTIONS = {
    "address": ("HOST:PORT", str, "the head of a cluster, or auto (default: this machine alone)"),
    "workers": ("N", int, "processes that hold the model (default: one a GPU, or for every four cores)"),
    "worker_memory": ("GIB", float, "reserve this for each worker, and refuse a model that takes more"),
    "shard_size": ("N", int, "images a shard, which is predicted and written as a whole (default 32)"),
    "image_root": ("DIR", str, "where the images of a COCO file lie (default: beside it)"),
    "image_column": ("NAME", str, "of Parquet: the images' bytes or addresses (default: by common names)"),
    "key_column": ("NAME", str, "of Parquet: what images are stored under (default: by common names)"),
}
_NOT_DRAWN = ("view", "side_by_side", "cutouts")  # a bulk prediction makes no pictures


def add_ray(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine", choices=("plain", "ray"), default="plain", help="this process, or workers of Ray (default plain)"
    )
    group = parser.add_argument_group(
        "with --engine ray", "--input may also be one COCO file, Parquet files, or addresses of storage (s3://...)"
    )
    for name, (metavar, kind, text) in _OPTIONS.items():
        group.add_argument(_option(name), type=kind, metavar=metavar, help=text)
    group.add_argument("--retry-quarantined", action="store_true", help="try again what could not be read before")


def refuse_ray_options(args: argparse.Namespace) -> None:
    """Of the plain engine, which would do without them in silence."""
    for name in (*_OPTIONS, "retry_quarantined"):
        if getattr(args, name) not in (None, False):
            raise ConfigError(f"{_option(name)} is for --engine ray: add that, or leave it out")


def predict_with_ray(args: argparse.Namespace, model_of: Callable[[argparse.Namespace], Any]) -> Any:
    """The `Summary`. The model is looked at after what is quick to refuse."""
    _refuse_odd(args)
    from thingstuff.engine.bulk.cluster import ClusterOptions, ray_here
    from thingstuff.engine.bulk.worker_model import import_ahead

    with ray_here(ClusterOptions(args.address, args.workers, args.worker_memory), import_ahead) as cluster:
        from thingstuff.report.bulk_run import run_bulk

        return run_bulk(_bulk_job(args, model_of), cluster)


def _bulk_job(args: argparse.Namespace, model_of: Callable[[argparse.Namespace], Any]) -> Any:
    """A `BulkJob`, whose data set may be the input."""
    from thingstuff.data.bulk.find import Listing, find_bulk_inputs
    from thingstuff.data.bulk.parquet_images import Columns
    from thingstuff.engine.bulk.shard import IMAGES
    from thingstuff.report.bulk_run import BulkJob
    from thingstuff.report.prediction_results import Wanted

    model = model_of(args)
    listing = Listing(args.image_root, Columns(args.image_column, args.key_column), args.output)
    inputs, dataset = find_bulk_inputs(args.input, listing)
    wanted = Wanted(
        overlays=False,
        counts=args.counts,
        exports=tuple(args.export),
        overwrite=args.overwrite,
        score_thresh=args.score_thresh,
    )
    shard_images = args.shard_size or IMAGES
    return BulkJob(
        model, inputs, args.output, wanted, dataset, args.batch, shard_images, args.retry_quarantined, args.device
    )


def _refuse_odd(args: argparse.Namespace) -> None:
    for name in _NOT_DRAWN:
        if getattr(args, name):
            raise ConfigError(f"--engine ray makes no pictures: leave out {_option(name)}, or use the plain engine")
    if args.on_bad_image == "fail":
        raise ConfigError("--engine ray quarantines what it cannot read and goes on: leave out --on-bad-image fail")
    for name in ("workers", "shard_size"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ConfigError(f"{_option(name)} must be 1 or more, got {getattr(args, name)}")
    if args.worker_memory is not None and not args.worker_memory > 0:
        raise ConfigError(f"--worker-memory must be above 0, got {args.worker_memory:g}")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
