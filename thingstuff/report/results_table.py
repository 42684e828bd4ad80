"""A run's results as one table: metrics downwards, tasks across, and a word on what is undefined."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from thingstuff.report.table import Table

Undefined = Mapping[str, Mapping[str, str]]

TASK_TITLES = {"bbox": "box", "segm": "mask", "boundary": "boundary", "keypoints": "keypoint"}
_ALL_TITLES = TASK_TITLES | {f"{task}_TTA": f"{title}, TTA" for task, title in TASK_TITLES.items()}
_AP_ROWS = {
    "AP": "AP @[ IoU=0.50:0.95 | all    ]",
    "AP50": "AP @[ IoU=0.50      | all    ]",
    "AP75": "AP @[ IoU=0.75      | all    ]",
    "APs": "AP @[ IoU=0.50:0.95 | small  ]",
    "APm": "AP @[ IoU=0.50:0.95 | medium ]",
    "APl": "AP @[ IoU=0.50:0.95 | large  ]",
    "AR1": "AR @[ IoU=0.50:0.95 | all    | 1 detection ]",
    "AR10": "AR @[ IoU=0.50:0.95 | all    | 10 detections ]",
    "AR100": "AR @[ IoU=0.50:0.95 | all    | 100 detections ]",
    "AR": "AR @[ IoU=0.50:0.95 | all    ]",
    "AR50": "AR @[ IoU=0.50      | all    ]",
    "AR75": "AR @[ IoU=0.75      | all    ]",
    "ARs": "AR @[ IoU=0.50:0.95 | small  ]",
    "ARm": "AR @[ IoU=0.50:0.95 | medium ]",
    "ARl": "AR @[ IoU=0.50:0.95 | large  ]",
}
_SEMANTIC_ROWS = {
    "mIoU": "mean IoU",
    "fwIoU": "frequency-weighted IoU",
    "mACC": "mean class accuracy",
    "pACC": "pixel accuracy",
}
_QUALITIES = ("PQ", "SQ", "RQ")
_NOTHING = "undefined, since the ground truth has nothing of that kind"
_PANOPTIC_ROWS = {"": "panoptic, all", "_th": "panoptic, things", "_st": "panoptic, stuff"}


def results_table(results: Mapping[str, Mapping[str, Any]], undefined: Undefined | None = None) -> str:
    """Task -> metric -> percent, as the evaluators give them -> a table of COCO's numbers, mIoU, and each class."""
    return "\n\n".join(table.text() for table in results_tables(results, undefined))


def results_tables(results: Mapping[str, Mapping[str, Any]], undefined: Undefined | None = None) -> list[Table]:
    """One for the instance tasks, one for semantics, one for panoptic quality, and one for each task not known here.

    `undefined`: task -> metric -> the reason why it has no value.
    """
    tables = []
    instance_tasks = {task: results[task] for task in _ALL_TITLES if task in results}
    if instance_tasks:
        tables.append(_instance_table(instance_tasks, undefined or {}))
    if "sem_seg" in results:
        tables.append(_semantic_table(results["sem_seg"]))
    if "panoptic_seg" in results:
        tables.append(_panoptic_table(results["panoptic_seg"], (undefined or {}).get("panoptic_seg", {})))
    known = (*_ALL_TITLES, "sem_seg", "panoptic_seg")
    others = {task: metrics for task, metrics in results.items() if task not in known}
    return tables + [Table([[k, v] for k, v in m.items()], [task, "percent"], digits=2) for task, m in others.items()]


def _instance_table(tasks: Mapping[str, Mapping[str, Any]], undefined: Undefined) -> Table:
    titles = dict.fromkeys(name for metrics in tasks.values() for name in metrics)
    names = [*(name for name in _AP_ROWS if name in titles), *(name for name in titles if name not in _AP_ROWS)]
    rows = [[_ap_title(name), *(metrics.get(name) for metrics in tasks.values())] for name in names]
    reasons = {_ap_title(name): reason for each in undefined.values() for name, reason in each.items()}
    headers = ["percent", *(_ALL_TITLES[task] for task in tasks)]
    return Table(rows, headers, digits=2, footnotes=_undefined_notes(rows, reasons))


def _ap_title(name: str) -> str:
    """AP50 and the like as COCO writes them, AP@0.30 and AP@300dets of our own, and AP-cat of a class."""
    if name in _AP_ROWS:
        return _AP_ROWS[name]
    if match := re.fullmatch(r"AP@(\d+)dets", name):
        return f"AP @[ IoU=0.50:0.95 | all    | {match[1]} detections ]"
    if name.startswith("AP@"):
        return f"AP @[ IoU={name.removeprefix('AP@'):<9} | all    ]"
    return f"{name[:2]} of {name[3:]}" if name[2:3] == "-" else name


def _semantic_table(metrics: Mapping[str, Any]) -> Table:
    rows = [[title, metrics.get(name)] for name, title in _SEMANTIC_ROWS.items()]
    rows += [[f"IoU of {k.removeprefix('IoU-')}", v] for k, v in metrics.items() if k.startswith("IoU-")]
    return Table(rows, ["percent", "semantic"], digits=2, footnotes=_undefined_notes(rows, {}))


def _panoptic_table(metrics: Mapping[str, Any], reasons: Mapping[str, str]) -> Table:
    rows = [[title, *(metrics.get(f"{q}{part}") for q in _QUALITIES)] for part, title in _PANOPTIC_ROWS.items()]
    names = [key.removeprefix("PQ-") for key in metrics if key.startswith("PQ-")]
    rows += [[f"PQ of {name}", *(metrics.get(f"{q}-{name}") for q in _QUALITIES)] for name in names]
    titles = {f"PQ{part}": title for part, title in _PANOPTIC_ROWS.items()} | {f"PQ-{n}": f"PQ of {n}" for n in names}
    named = {titles[name]: reason for name, reason in reasons.items() if name in titles}
    return Table(rows, ["percent", *_QUALITIES], digits=2, footnotes=_undefined_notes(rows, named))


def _undefined_notes(rows: list[list[Any]], reasons: Mapping[str, str]) -> list[str]:
    """One line a reason, with all the rows it holds for; a general one where no reasons are known."""
    by_reason: dict[str, list[str]] = {}
    for title, *values in rows:
        if any(value is None or (isinstance(value, float) and math.isnan(value)) for value in values):
            by_reason.setdefault(reasons.get(title, _NOTHING), []).append(title)
    return [f"- : {reason} ({_shortened(titles)})" for reason, titles in by_reason.items()]


def _shortened(titles: list[str], most: int = 4) -> str:
    """A data set of a thousand classes may lack hundreds."""
    more = f" and {len(titles) - most} more" if len(titles) > most else ""
    return ", ".join(" ".join(title.split()) for title in titles[:most]) + more


def headline(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The few numbers that stand for a run: box_ap, mask_ap, keypoint_ap, miou, pq, pq_things, pq_stuff."""
    numbers = {f"{title}_ap": results[task]["AP"] for task, title in TASK_TITLES.items() if task in results}
    if "sem_seg" in results:
        numbers["miou"] = results["sem_seg"]["mIoU"]
    if "panoptic_seg" in results:
        names = {"pq": "PQ", "pq_things": "PQ_th", "pq_stuff": "PQ_st"}
        numbers |= {name: results["panoptic_seg"][key] for name, key in names.items()}
    return numbers
