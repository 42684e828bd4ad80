"""A run's results as one table: metrics downwards, tasks across, and a word on what is undefined."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from thingstuff.report.table import text_table

TASK_TITLES = {"bbox": "box", "segm": "mask", "keypoints": "keypoint"}
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
_PANOPTIC_ROWS = {"": "panoptic, all", "_th": "panoptic, things", "_st": "panoptic, stuff"}


def results_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Task -> metric -> percent, as the evaluators give them -> a table of COCO's numbers, mIoU, and each class."""
    parts = []
    instance_tasks = [task for task in TASK_TITLES if task in results]
    if instance_tasks:
        parts.append(_instance_table({task: results[task] for task in instance_tasks}))
    if "sem_seg" in results:
        parts.append(_semantic_table(results["sem_seg"]))
    if "panoptic_seg" in results:
        parts.append(_panoptic_table(results["panoptic_seg"]))
    known = (*TASK_TITLES, "sem_seg", "panoptic_seg")
    others = {task: metrics for task, metrics in results.items() if task not in known}
    parts += [text_table([[k, v] for k, v in m.items()], [task, "percent"], digits=2) for task, m in others.items()]
    return "\n\n".join(parts)


def _instance_table(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    used = [name for name in _AP_ROWS if any(name in metrics for metrics in tasks.values())]
    rows = [[_AP_ROWS[name], *(metrics.get(name) for metrics in tasks.values())] for name in used]
    names = dict.fromkeys(k for metrics in tasks.values() for k in metrics if k.startswith("AP-"))
    rows += [[f"AP of {name.removeprefix('AP-')}", *(m.get(name) for m in tasks.values())] for name in names]
    headers = ["percent", *(TASK_TITLES[task] for task in tasks)]
    return text_table(rows, headers, digits=2, footnotes=_undefined_note(rows))


def _semantic_table(metrics: Mapping[str, Any]) -> str:
    rows = [[title, metrics.get(name)] for name, title in _SEMANTIC_ROWS.items()]
    rows += [[f"IoU of {k.removeprefix('IoU-')}", v] for k, v in metrics.items() if k.startswith("IoU-")]
    return text_table(rows, ["percent", "semantic"], digits=2, footnotes=_undefined_note(rows))


def _panoptic_table(metrics: Mapping[str, Any]) -> str:
    rows = [[title, *(metrics.get(f"{q}{part}") for q in _QUALITIES)] for part, title in _PANOPTIC_ROWS.items()]
    names = [key.removeprefix("PQ-") for key in metrics if key.startswith("PQ-")]
    rows += [[f"PQ of {name}", *(metrics.get(f"{q}-{name}") for q in _QUALITIES)] for name in names]
    return text_table(rows, ["percent", *_QUALITIES], digits=2, footnotes=_undefined_note(rows))


def _undefined_note(rows: list[list[Any]]) -> list[str]:
    empty = any(value is None or (isinstance(value, float) and math.isnan(value)) for row in rows for value in row[1:])
    return ["- : undefined, since the ground truth has nothing of that kind"] if empty else []


def headline(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The few numbers that stand for a run: box_ap, mask_ap, keypoint_ap, miou, pq, pq_things, pq_stuff."""
    numbers = {f"{title}_ap": results[task]["AP"] for task, title in TASK_TITLES.items() if task in results}
    if "sem_seg" in results:
        numbers["miou"] = results["sem_seg"]["mIoU"]
    if "panoptic_seg" in results:
        names = {"pq": "PQ", "pq_things": "PQ_th", "pq_stuff": "PQ_st"}
        numbers |= {name: results["panoptic_seg"][key] for name, key in names.items()}
    return numbers
