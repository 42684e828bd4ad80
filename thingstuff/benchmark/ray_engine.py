"""Bulk prediction: `predict.py --engine ray` against the plain engine with as many workers, as whole commands.

What is timed is what a user waits for: imports, Ray's start, the model's loading in every worker, reading, prediction,
encoding, the store. The plain engine has no workers of its own, so that `--workers` runs of it share the images out.
Weights are random; of the scores of random weights many pass the threshold, so that there is something to encode.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thingstuff.benchmark.measure import Measurement, OwnMeasurement
from thingstuff.benchmark.own_process import thread_variables
from thingstuff.engine.bulk.spent import COST_FILE
from thingstuff.errors import ConfigError, SetupError

RECIPE = "thingstuff://shapes/panoptic_fpn.yaml"
_DISTINCT = 100  # images that are made; the rest are copies of them
_AS_IMPORTANT = {"RAY_worker_niceness": "0"}  # by default Ray's workers give way to whatever else runs
_HEADERS = ("engine", "workers", "images", "seconds", "images/s", "overhead %", "equal")
_COST_HEADERS = ("images", "workers", "load s", "read ms", "predict ms", "write ms", "KB read", "KB written", "busy %")
_COST_NOTES = (
    "of Ray's last turn, from bulk.json: loading a worker's model; wall-clock time of workers and bytes of an image",
    "busy: predicting / (seconds x workers), the seconds from giving Ray the first shard to getting the last",
)
_NOTES = (
    "medians of {args.repeats} turns of whole commands, each with an empty output folder",
    "overhead = seconds of Ray / of the plain engine - 1; plain: a run a worker, each on its share of the images",
    "equal: every image exactly once, and every record, map and ledger that of the plain engine",
)


@dataclass(frozen=True)
class EngineRow:
    """One engine; the overhead of the plain one is 0, and `cost` is what Ray's stages say of themselves."""

    engine: str
    workers: int
    images: int
    seconds: float
    images_per_s: float
    overhead_percent: float
    equal: bool
    cost: dict[str, Any] | None = None


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--config-file", default=RECIPE, metavar="FILE", help=f"the model (default {RECIPE})")
    add("--images", type=int, default=2000, help="photographs in COCO's sizes (default 2000)")
    add("--workers", type=int, default=1, help="of either engine (default 1)")
    add("--threads", type=int, default=1, help="of each worker (default 1)")
    add("--mode", choices=("exact", "fp32", "fast"), default="exact", help="how to compute (default exact)")
    add("--seed", type=int, default=0, help="of images and weights (default 0)")
    add("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config options, at the end")


def _rows(args: argparse.Namespace) -> Iterator[EngineRow]:
    for option in ("images", "workers", "threads"):
        if getattr(args, option) < 1:
            raise ConfigError(f"--{option} must be 1 or more, got {getattr(args, option)}")
    if importlib.util.find_spec("ray") is None:
        raise SetupError("this compares with Ray, which is not installed: pip install 'thingstuff[ray]'")
    with tempfile.TemporaryDirectory() as name:
        turns = _measured(args, _Data.write(Path(name), args))
    plain, bulk = (statistics.median(turn[engine] for turn in turns) for engine in ("plain", "ray"))
    for engine, seconds, equal in (("plain", plain, True), ("ray", bulk, all(turn["equal"] for turn in turns))):
        overhead = 100 * (seconds / plain - 1)
        cost = turns[-1]["cost"] if engine == "ray" else None
        yield EngineRow(engine, args.workers, args.images, seconds, args.images / seconds, overhead, equal, cost)


def _table(rows: Sequence[EngineRow], args: argparse.Namespace) -> dict[str, Any]:
    """What `text_table` takes."""
    cells = [list(asdict(row).values())[:-1] for row in rows]
    notes = [note.format(args=args) for note in _NOTES]
    return {"rows": cells, "headers": _HEADERS, "align": "lrrrrrl", "digits": 2, "footnotes": notes}


def _costs(rows: Sequence[EngineRow], args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A further table: what a larger job can be worked out from."""
    cells = [_cost_cells(row.cost) for row in rows if row.cost is not None]
    yield {"rows": cells, "headers": _COST_HEADERS, "align": "r" * 9, "digits": 2, "footnotes": _COST_NOTES}


def _cost_cells(cost: dict[str, Any]) -> list[float]:
    images, workers = cost["images"], cost["workers"]
    each = [1000 * cost[f"{stage}_s"] / images for stage in ("reading", "predicting", "writing")]
    sizes = [cost[name] / images / 1000 for name in ("bytes_read", "bytes_written")]
    busy = 100 * cost["predicting_s"] / (cost["seconds"] * workers)
    return [images, workers, cost["loading_s"] / workers, *each, *sizes, busy]


# ---- preparation -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Data:
    """`shares` are folders of one image root each, `whole` holds all images under the same keys."""

    folder: Path
    weights: Path
    whole: Path
    shares: tuple[Path, ...]

    @classmethod
    def write(cls, folder: Path, args: argparse.Namespace) -> _Data:
        """Images, dealt out in turn so that all shares are alike, and weights."""
        from thingstuff.benchmark.prediction.images import write_photographs
        from thingstuff.benchmark.train_data import write_weights
        from thingstuff.config import load_config

        distinct = folder / "distinct"
        distinct.mkdir()
        made = write_photographs(distinct, min(args.images, _DISTINCT), args.seed)
        whole = folder / "whole"
        shares = tuple(whole / f"{number}" for number in range(args.workers))
        for share in shares:
            share.mkdir(parents=True)
        for number in range(args.images):
            shutil.copy(made[number % len(made)], shares[number % args.workers] / f"{number:06d}.jpg")
        cfg = load_config(args.config_file, ["MODEL.DEVICE", "cpu", *args.opts])
        write_weights(cfg, folder / "weights.pth", args.seed, made[0])
        return cls(folder, folder / "weights.pth", whole, shares)


# ---- measurement -------------------------------------------------------------------------------------------------


def _measured(args: argparse.Namespace, data: _Data) -> list[dict[str, Any]]:
    """Seconds of both engines a turn, the first of a turn being the second of the next, and whether they agree."""
    turns = []
    for number in range(args.repeats):
        seconds = {}
        for engine in ("plain", "ray") if number % 2 == 0 else ("ray", "plain"):
            seconds[engine] = _plain(args, data) if engine == "plain" else _ray(args, data)
        cost = json.loads((data.folder / "ray" / COST_FILE).read_text())
        turns.append(seconds | {"equal": _agree(data), "cost": cost})
    return turns


def _plain(args: argparse.Namespace, data: _Data) -> float:
    outputs = [_emptied(data.folder / f"plain{number}") for number in range(len(data.shares))]
    pairs = zip(data.shares, outputs, strict=True)
    return _timed(args, data, [("--input", share, "--output", output, "--no-overlays") for share, output in pairs])


def _ray(args: argparse.Namespace, data: _Data) -> float:
    output = _emptied(data.folder / "ray")
    options = ("--engine", "ray", "--workers", args.workers)
    return _timed(args, data, [("--input", data.whole, "--output", output, *options)])


def _timed(args: argparse.Namespace, data: _Data, runs: Sequence[tuple[Any, ...]]) -> float:
    """Seconds until all runs, started together, have ended."""
    fixed = ("--config-file", args.config_file, "--weights", data.weights, "--mode", args.mode)
    opts = ("--opts", "MODEL.DEVICE", "cpu", *args.opts)
    variables = os.environ | thread_variables(args.threads) | _AS_IMPORTANT
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "thingstuff.cli.predict", *map(str, (*fixed, *run, *opts))],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=variables,
            )
            for run in runs
        ]
        codes = [process.wait() for process in started]
        seconds = time.perf_counter() - began
        if any(codes):
            errors.seek(0)
            last = (errors.read().strip().splitlines() or [f"exit codes {codes}"])[-1]
            raise SetupError(f"a prediction failed: {last.removeprefix('predict: error: ')}")
    return seconds


def _agree(data: _Data) -> bool:
    """Whether Ray's store has each image of the plain engine's once, and the same of it."""
    from thingstuff.store import Store

    bulk, seen = Store.open(data.folder / "ray/predictions/images"), 0
    for number, share in enumerate(data.shares):
        plain = Store.open(data.folder / f"plain{number}/predictions/images")
        for entry in plain.entries:
            key = f"{share.name}/{entry.key}"
            if key not in bulk or not _same(plain, entry.key, bulk, key):
                return False
            seen += 1
    return seen == len(bulk)


def _same(plain: Any, key: str, bulk: Any, bulk_key: str) -> bool:
    import numpy as np

    if plain.coco_records(key, 0) != bulk.coco_records(bulk_key, 0) or plain.ledger(key) != bulk.ledger(bulk_key):
        return False
    one, other = plain.read(key), bulk.read(bulk_key)
    if not np.array_equal(one.stuff_map, other.stuff_map):
        return False
    if one.panoptic is None or other.panoptic is None:
        return one.panoptic is other.panoptic
    return np.array_equal(one.panoptic.ids, other.panoptic.ids) and one.panoptic.segments == other.panoptic.segments


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


MEASUREMENT = Measurement(
    name="ray",
    summary="bulk prediction with Ray, against the plain engine with as many workers",
    add_arguments=_add_arguments,
    cases=None,
    own=OwnMeasurement(_rows, _table, _costs),
)
