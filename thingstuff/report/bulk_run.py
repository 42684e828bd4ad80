"""Predict in bulk with Ray: what is missing in the store is cut into shards, and what is there is not touched.

Images that cannot be read are quarantined with the reason, are not tried again unless that is asked for, and stop
nothing.
"""

from __future__ import annotations

import csv
import io
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from detectron2.config import CfgNode

from thingstuff.data.bulk.items import BulkInputs, BulkItem
from thingstuff.data.fingerprint import is_still
from thingstuff.engine.bulk.cluster import Cluster, Crew
from thingstuff.engine.bulk.pipeline import BulkTask, predict_shards
from thingstuff.engine.bulk.shard import IMAGES, cut_into_shards
from thingstuff.engine.bulk.spent import COST_FILE, Spent
from thingstuff.engine.bulk.worker_model import WorkerModel
from thingstuff.engine.exported import ExportedPredictor
from thingstuff.engine.folders import make_writable
from thingstuff.engine.predictor import predicted_categories
from thingstuff.engine.stored_prediction import exported_meta, store_meta
from thingstuff.engine.tiling import max_pixels
from thingstuff.errors import DataError
from thingstuff.files import whole_file, write_json
from thingstuff.progress import Progress
from thingstuff.report.prediction_results import (
    Summary,
    Wanted,
    merge_totals,
    refuse_impossible_exports,
    refuse_other_inputs,
    write_counts,
    write_exports,
)
from thingstuff.store import Store, StoreMeta
from thingstuff.store.parquet_writer import ParquetRun


@dataclass(frozen=True)
class BulkJob:
    """What to predict, with what, by whom, and where to. Instead of a config, `model` may be an exported model."""

    model: CfgNode | ExportedPredictor
    inputs: BulkInputs
    output: Path
    wanted: Wanted = field(default_factory=Wanted)
    dataset: str | None = None
    batch: int = 1
    shard_images: int = IMAGES
    retry_quarantined: bool = False
    device: str | None = None  # of an exported model


def run_bulk(job: BulkJob, cluster: Cluster) -> Summary:
    """Everything that `job` wants. What stops it leaves whole shards, and the same call goes on behind them."""
    make_writable(job.output, "--output")
    folder = job.output / "predictions" / (job.dataset or "images")
    refuse_other_inputs(folder)
    with ParquetRun(folder, _meta(job)) as run:
        before = Store.open(folder)
        refuse_changed(job.inputs, before)
        missing = missing_items(job.inputs, before, job.retry_quarantined)
        spent = _predict(job, cluster, run.meta, folder.absolute(), missing) if missing else None
    summary = _summary(job, folder, before, Store.open(folder))
    if spent is not None:
        summary.notes.append(spent.line())
        summary.written["cost"] = job.output / COST_FILE
    return summary


def missing_items(inputs: BulkInputs, store: Store, retry_quarantined: bool = False) -> list[BulkItem]:
    """What the store has nothing of; with `retry_quarantined` what could not be read counts as nothing."""
    quarantined = {} if retry_quarantined else store.quarantined
    return [item for item in inputs.items if item.key not in store and item.key not in quarantined]


def refuse_changed(inputs: BulkInputs, store: Store) -> None:
    """What was predicted under a key was predicted of this very image, as far as one can tell without reading it."""
    sources = {entry.key: entry.source for entry in store.entries}
    for item in inputs.items:
        source = sources.get(item.key)
        if source is None:
            continue
        if item.is_local and "mtime_ns" in source and Path(item.address).is_file():
            same = is_still(Path(item.address), source)
        else:
            same = item.bytes is None or item.bytes == source["bytes"]
        if not same:
            raise DataError(
                f"{item.address} has changed since it was predicted: give another output folder, or remove "
                f"{store.folder}"
            )


def _meta(job: BulkJob) -> StoreMeta:
    if isinstance(job.model, ExportedPredictor):
        meta = exported_meta(job.model, job.dataset, Path(job.inputs.root))
    else:
        meta = store_meta(job.model, predicted_categories(job.model), job.dataset, Path(job.inputs.root))
    return replace(meta, image_root=job.inputs.root)  # a Path would take one of the slashes of s3://


def _predict(job: BulkJob, cluster: Cluster, meta: StoreMeta, folder: Path, missing: list[BulkItem]) -> Spent:
    """Predict them; what it cost, which is also in a file: what a larger job will take can be worked out from it."""
    began, spent = time.perf_counter(), Spent()
    shards = cut_into_shards(missing, job.shard_images)
    first = True
    crew = cluster.crew(_device(job)).for_shards(len(shards))
    with Progress(len(missing), "predicting") as progress:
        task = BulkTask(_worker_model(job, crew), meta.categories, folder, _max_pixels(job), job.batch)
        for done in predict_shards(shards, task, crew):
            progress.step(count=done.predicted + done.quarantined)
            spent += done.spent
            if first and done.predicted:
                first = False
                _refuse_exports(job, folder)
    seconds = round(time.perf_counter() - began, 3)
    cost = {"images": len(missing), "seconds": seconds, "device": _device(job), **asdict(crew), **spent.records()}
    write_json(job.output / COST_FILE, cost)
    return spent


def _refuse_exports(job: BulkJob, folder: Path) -> None:
    store = Store.open(folder)
    refuse_impossible_exports(job.wanted, next(iter(store)))


def _device(job: BulkJob) -> str:
    if isinstance(job.model, ExportedPredictor):
        return job.device or "cpu"
    return str(job.model.MODEL.DEVICE)


def _max_pixels(job: BulkJob) -> int | None:
    return None if isinstance(job.model, ExportedPredictor) else max_pixels(job.model)


def _worker_model(job: BulkJob, crew: Crew) -> WorkerModel:
    if isinstance(job.model, ExportedPredictor):
        return WorkerModel.of_exported(job.model.path, job.device, crew.threads, crew.worker_gib)
    return WorkerModel.of_config(job.model, crew.threads, crew.worker_gib)


# ---- from the store ----------------------------------------------------------------------------------------------


def _summary(job: BulkJob, folder: Path, before: Store, store: Store) -> Summary:
    summary = Summary(written={"predictions": folder})
    wanted = {item.key for item in job.inputs.items}
    keys = [entry.key for entry in store.entries if entry.key in wanted]
    summary.already_there = sum(key in before for key in keys)
    summary.predicted = len(keys) - summary.already_there
    summary.skipped = {key: reason for key, reason in store.quarantined.items() if key in wanted}
    _write_quarantine(job.output / "quarantine.csv", summary)
    if any(store.ledger(key) is not None for key in keys[:1]):
        summary.merged = merge_totals(store, keys)
    write_counts(summary, store, keys, job.wanted, job.output)
    write_exports(summary, store, job.wanted, job.output, Path(job.inputs.root))
    return summary


def _write_quarantine(path: Path, summary: Summary) -> None:
    """The images that could not be read, one a line with the reason; no file where there is none."""
    path.unlink(missing_ok=True)
    if summary.skipped:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("image", "reason"), *sorted(summary.skipped.items())])
        with whole_file(path) as file:
            file.write(text.getvalue().encode())
        summary.written["quarantine"] = path
