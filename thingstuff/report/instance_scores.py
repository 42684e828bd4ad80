"""AP of detections in COCO's result format: the official numbers, what they rest on, and what limits them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from thingstuff.errors import DataError
from thingstuff.evaluation.ap_bootstrap import coco_ap_metric
from thingstuff.evaluation.ap_causes import ap_causes
from thingstuff.evaluation.ap_curves import SAME_IOU
from thingstuff.evaluation.ap_matches import ApMatches, ap_matches
from thingstuff.evaluation.boundary_ap import BoundaryOptions, evaluate_boundary
from thingstuff.evaluation.coco_ap import MAX_DETS, CocoAP, CocoOptions, average_precision
from thingstuff.evaluation.coco_input import CocoInput, read_coco_input
from thingstuff.evaluation.coco_records import expect_list
from thingstuff.evaluation.id_mapping import find_id_mistake
from thingstuff.evaluation.json_file import JsonFile
from thingstuff.evaluation.lvis_ap import LvisOptions, evaluate_lvis
from thingstuff.report.figures import score_reliability
from thingstuff.report.results_table import TASK_TITLES
from thingstuff.report.scores import Sample, ScoreOptions, Scores

Truth = JsonFile | Mapping[str, Any]  # in COCO's or in LVIS's format

_FIELDS = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}


def score_instances(results: JsonFile, truth: Truth, options: ScoreOptions, scores: Scores) -> None:
    """Box AP where there are boxes, mask AP where there are masks, keypoint AP where there are keypoints."""
    expect_list(results.content, results.name)
    score_task = _score_lvis if _is_lvis(truth) else _score_coco
    tasks = _tasks(results, truth, scores)
    for task in tasks:
        score_task(task, results, truth, options, scores)
    if options.boundary and score_task is _score_lvis:
        raise DataError("boundary AP is for a ground truth in COCO's format, not for LVIS's: leave --boundary out")
    if options.boundary:
        _score_boundary(results, truth, options, scores)


def _tasks(results: JsonFile, truth: Truth, scores: Scores) -> list[str]:
    """A task needs its field in every prediction and in the truth; one that some predictions lack is said."""
    records = [record for record in results.content if isinstance(record, Mapping)]
    if not records:
        return [task for task in ("bbox", "segm") if _in_some(truth, "annotations", _FIELDS[task])] or ["bbox"]
    counts = {task: sum(field in record for record in records) for task, field in _FIELDS.items()}
    tasks, lacking = [], []
    for task, field in ((task, field) for task, field in _FIELDS.items() if counts[task]):
        if counts[task] < len(records):
            lacking.append(f"{len(records) - counts[task]} of {len(records)} predictions have no {field!r}")
        elif not _in_some(truth, "annotations", field) and _in_some(truth, "annotations", "id"):
            lacking.append(f"the ground truth has no {field!r}")
        else:
            tasks.append(task)
    if not tasks:
        raise DataError(f"{results.name}: {'; '.join(lacking) or 'no prediction has a box, a mask or keypoints'}")
    scores.notes.extend(f"{reason}, so that nothing is said about it" for reason in lacking)
    return tasks


def _is_lvis(truth: Truth) -> bool:
    return _in_some(truth, "categories", "frequency")


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
    scores.notes.append(f"{TASK_TITLES[task]} AP is LVIS's: error bars, causes and further IoUs are for COCO's only")


def _score_coco(task: str, results: JsonFile, truth: Truth, options: ScoreOptions, scores: Scores) -> None:
    title, skips = f"{TASK_TITLES[task]} AP", options.skips()
    data = read_coco_input(truth, results, task, options.image_ids, skips)
    coco = CocoOptions(options.backend, iou_threshs=options.iou_threshs)
    measured = average_precision(data, coco)
    scores.results[task] = coco_percent(measured) | _at_own_cap(data, coco)
    scores.undefined[task] = dict(measured.undefined)
    scores.curves[task] = measured.curves
    ids, matches = tuple(i["id"] for i in data.images), ap_matches(data)
    scores.samples[title] = Sample(ids, coco_ap_metric(matches))
    scores.class_samples[task] = {
        name: Sample(ids, coco_ap_metric(ApMatches(matches.images, {name: own})))
        for name, own in matches.categories.items()
    }
    if options.explain and task != "keypoints":
        scores.ap_causes[task] = ap_causes(data)
    if options.reliability:
        scores.reliability[task] = score_reliability(matches)
    scores.note_skips(title, skips)
    scores.note_once(_images_without(data), _unlisted(data))
    mistake = find_id_mistake(data, measured.numbers["AP"])
    if mistake:
        scores.notes.append(f"{title}: {mistake}")


def _images_without(data: CocoInput) -> str | None:
    """Of predictions in a file nobody knows whether an image was seen and nothing found, or not seen at all."""
    with_objects = {truth["image_id"] for truth in data.truths}
    missing = len(with_objects - {result["image_id"] for result in data.results})
    if not missing:
        return None
    return f"{missing} of the {len(with_objects)} images with objects have no detection: AP counts them as missed"


def _unlisted(data: CocoInput) -> str | None:
    if not data.unlisted:
        return None
    return f"annotations of images or categories that the ground truth does not list are left out: {data.unlisted}"


def coco_percent(measured: CocoAP) -> dict[str, float]:
    """In percent, as in training: AP under Detectron2's keys, recalls under COCO's, and AP@0.30 of further IoUs."""
    recalls = {name: 100 * value for name, value in measured.numbers.items() if name.startswith("AR")}
    further = {f"AP@{_shown(iou)}": 100 * value for iou, value in measured.at_iou.items()}
    return measured.percent() | recalls | further


def _shown(iou: float) -> str:
    return f"{iou:.2f}" if abs(round(iou, 2) - iou) < SAME_IOU else f"{iou:g}"


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
