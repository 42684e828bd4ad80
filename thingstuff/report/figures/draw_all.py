"""All figures that one results.json allows, as files in a folder."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thingstuff.errors import DataError
from thingstuff.evaluation.bootstrap import Interval
from thingstuff.evaluation.json_file import read_json
from thingstuff.report.figures.class_bars import class_bars_figure
from thingstuff.report.figures.confusion import confusion_figure
from thingstuff.report.figures.size_bars import SIZES, size_bars_figure
from thingstuff.report.figures.style import SUFFIXES, checked_suffix, save_figure
from thingstuff.report.results_table import TASK_TITLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# task -> what the metric of all classes and, with a dash, of each one is called
_CLASS_METRICS = dict.fromkeys(TASK_TITLES, "AP") | {"sem_seg": "IoU", "panoptic_seg": "PQ"}
_OVERALL = {"sem_seg": "mIoU"}


def draw_all(results_json: str | Path, folder: str | Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """The files that were written: for each task bars of its classes and its confusion matrix, and AP by object size.

    `results_json` is what an evaluation or a training writes. What it does not have is not drawn; of several data sets
    each has a folder of its own, except for what is known of the evaluation as a whole.
    """
    endings = [checked_suffix(suffix) for suffix in suffixes]
    record = _read(Path(results_json))
    written = []
    for name, figure in _figures(record):
        written += [save_figure(figure, Path(folder) / f"{name}{ending}") for ending in endings]
    return written


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    record: dict[str, Any] = content if isinstance(content, dict) else {}
    results = record.get("results")
    if not isinstance(results, dict) or not all(isinstance(tasks, dict) for tasks in results.values()):
        raise DataError(f"{path}: no results by data set in it: expected a results.json of an evaluation or a training")
    return record


def _figures(record: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """One at a time, as a large one takes memory."""
    results = record["results"]
    alone = len(results) == 1  # intervals are of the whole evaluation
    intervals, of_classes = ((record.get(key) or {}) if alone else {} for key in ("intervals", "class_intervals"))
    for dataset, tasks in results.items():
        known = {task: metrics for task, metrics in tasks.items() if isinstance(metrics, dict)}
        for name, figure in _figures_of(known, intervals, of_classes):
            yield (name if alone else f"{_file_name(dataset)}/{name}"), figure
    for task, causes in (record.get("causes") or {}).items():
        confusion = causes.get("confusion") if isinstance(causes, dict) else None
        if isinstance(confusion, dict):
            yield f"confusion_{_file_name(task)}", _confusion(task, confusion, causes.get("iou_thresh"))


def _figures_of(
    tasks: Mapping[str, Mapping[str, Any]], intervals: Mapping[str, Any], of_classes: Mapping[str, Any]
) -> Iterator[tuple[str, Figure]]:
    for task, metric in _CLASS_METRICS.items():
        classes = _classes(tasks.get(task, {}), metric)
        if classes:
            label = f"{TASK_TITLES[task]} {metric}" if task in TASK_TITLES else metric
            overall = _overall(task, metric, tasks[task], intervals)
            yield (
                f"classes_{task}",
                class_bars_figure(
                    classes, f"{label} in percent", intervals=_whiskers(of_classes.get(task)), overall=overall
                ),
            )
    sizes = {TASK_TITLES[t]: tasks[t] for t in TASK_TITLES if any(tasks.get(t, {}).get(s) is not None for s in SIZES)}
    if sizes:
        yield "sizes", size_bars_figure(sizes)


def _classes(metrics: Mapping[str, Any], metric: str) -> dict[str, float]:
    prefix = f"{metric}-"
    return {name.removeprefix(prefix): _number(v) for name, v in metrics.items() if name.startswith(prefix)}


def _whiskers(records: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Interval]:
    return {n: Interval(*(_number(r.get(k)) for k in ("value", "low", "high"))) for n, r in (records or {}).items()}


def _overall(task: str, metric: str, metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> Interval:
    """The value of all classes; its bounds are NaN where none are known."""
    key = _OVERALL.get(task, metric)
    found = intervals.get(f"{TASK_TITLES[task]} {key}" if task in TASK_TITLES else key) or {}
    return Interval(_number(metrics.get(key)), _number(found.get("low")), _number(found.get("high")))


def _confusion(task: str, confusion: Mapping[str, Any], iou_thresh: float | None) -> Figure:
    said = [TASK_TITLES.get(task, task)]
    said += [] if iou_thresh is None else [f"IoU ≥ {iou_thresh:g}"]
    said += [] if confusion.get("min_score") is None else [f"score ≥ {confusion['min_score']:g}"]
    return confusion_figure(confusion.get("counts", []), confusion.get("names", []), ", ".join(said))


def _number(value: Any) -> float:
    """JSON has null for NaN."""
    return float(value) if isinstance(value, int | float) else math.nan


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "unnamed"
