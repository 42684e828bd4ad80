"""AP of detections in COCO's result format: the official numbers, what they rest on, and what limits them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from thingstuff.errors import DataError
from thingstuff.evaluation.ap_bootstrap import coco_ap_metric
from thingstuff.evaluation.ap_causes import ap_causes
from thingstuff.evaluation.ap_matches import ap_matches
from thingstuff.evaluation.boundary_ap import BoundaryOptions, evaluate_boundary
from thingstuff.evaluation.coco_ap import MAX_DETS, CocoAP, CocoOptions, average_precision
from thingstuff.evaluation.coco_input import CocoInput, read_coco_input
from thingstuff.evaluation.coco_records import expect_list
from thingstuff.evaluation.id_mapping import find_id_mistake
from thingstuff.evaluation.json_file import JsonFile
from thingstuff.evaluation.lvis_ap import LvisOptions, evaluate_lvis
from thingstuff.report.results_table import TASK_TITLES
from thingstuff.report.scores import Sample, ScoreOptions, Scores

Records = Sequence[Mapping[str, Any]]
Truth = JsonFile | Mapping[str, Any]  # in COCO's or in LVIS's format

_FIELDS = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}


def score_instances(results: JsonFile, truth: Truth, options: ScoreOptions, scores: Scores) -> None:
    """Box AP where there are boxes, mask AP where there are masks, keypoint AP where there are keypoints."""
    expect_list(results.content, results.name)
    score_task = _score_lvis if _is_lvis(truth) else _score_coco
    for task in _tasks(results.content, truth):
        score_task(task, results, truth, options, scores)
    if options.boundary:
        _score_boundary(results, truth, options, scores)


def _tasks(records: Records, truth: Truth) -> list[str]:
    """A task needs its field in every record; what is no record at all is for the task's reader to name."""
    usable = [record for record in records if isinstance(record, Mapping)]
    tasks = [task for task, field in _FIELDS.items() if all(field in record for record in usable)]
    if not records or not _has_keypoints(truth):
        tasks = [task for task in tasks if task != "keypoints"]
    if not tasks:
        counts = Counter(field for record in usable for field in _FIELDS.values() if field in record)
        raise DataError(
            f"no field is in all {len(usable)} predictions, of {', '.join(_FIELDS.values())}: {dict(counts)}"
        )
    return tasks


def _is_lvis(truth: Truth) -> bool:
    return _in_some(truth, "categories", "frequency")


def _has_keypoints(truth: Truth) -> bool:
    return _in_some(truth, "annotations", "keypoints")


def _in_some(truth: Truth, key: str, field: str) -> bool:
    content = truth.content if isinstance(truth, JsonFile) else truth
    records = content.get(key) if isinstance(content, Mapping) else None
    return isinstance(records, list) and any(isinstance(r, Mapping) and field in r for r in records)


def _score_lvis(task: str, results: JsonFile, truth: Truth, options: ScoreOptions, scores: Scores) -> None:
    skips = options.skips()
    measured = evaluate_lvis(truth, results, task, LvisOptions(skips=skips))
    recalls = {name: 100 * value for name, value in measured.numbers.items() if name.startswith("AR")}
    scores.results[task] = measured.percent() | recalls
    scores.undefined[task] = dict(measured.undefined)
    scores.note_skips(f"{TASK_TITLES[task]} AP", skips)
    scores.notes.append(f"{TASK_TITLES[task]} AP is LVIS's: error bars and causes are for COCO's only")


def _score_coco(task: str, results: JsonFile, truth: Truth, options: ScoreOptions, scores: Scores) -> None:
    title, skips = f"{TASK_TITLES[task]} AP", options.skips()
    data = read_coco_input(truth, results, task, skips=skips)
    coco = CocoOptions(options.backend, iou_threshs=options.iou_threshs)
    measured = average_precision(data, coco)
    scores.results[task] = coco_percent(measured) | _at_own_cap(data, coco)
    scores.undefined[task] = dict(measured.undefined)
    scores.curves[task] = measured.curves
    scores.samples[title] = Sample(tuple(i["id"] for i in data.images), coco_ap_metric(ap_matches(data)))
    if options.explain and task != "keypoints":
        scores.ap_causes[task] = ap_causes(data)
    scores.note_skips(title, skips)
    mistake = find_id_mistake(data, measured.numbers["AP"])
    if mistake:
        scores.notes.append(f"{title}: {mistake}")


def coco_percent(measured: CocoAP) -> dict[str, float]:
    """In percent, as in training: AP under Detectron2's keys, recalls under COCO's, and AP@0.30 of further IoUs."""
    recalls = {name: 100 * value for name, value in measured.numbers.items() if name.startswith("AR")}
    further = {f"AP@{iou:.2f}": 100 * value for iou, value in measured.at_iou.items()}
    return measured.percent() | recalls | further


def _at_own_cap(data: CocoInput, options: CocoOptions) -> dict[str, float]:
    """AP with all detections of an image counted, where there are more than COCO looks at."""
    usual = MAX_DETS[data.iou_type]
    cap = max(Counter(r["image_id"] for r in data.results).values(), default=0)
    if cap <= usual[-1]:
        return {}
    limits = (*usual[:-1], cap)
    measured = average_precision(data, CocoOptions(options.backend, max_dets=limits))
    return {f"AP@{cap}dets": 100 * measured.numbers["AP"]}


def _score_boundary(results: JsonFile, truth: Truth, options: ScoreOptions, scores: Scores) -> None:
    skips = options.skips()
    measured = evaluate_boundary(truth, results, BoundaryOptions(iou_threshs=options.iou_threshs, skips=skips))
    scores.results["boundary"] = coco_percent(measured)
    scores.undefined["boundary"] = dict(measured.undefined)
    scores.note_skips("boundary AP", skips)
