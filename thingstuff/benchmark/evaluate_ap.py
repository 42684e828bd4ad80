"""COCO AP of boxes and masks: `evaluate_coco` against pycocotools, in training, of foreign records, and from files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from thingstuff.benchmark.coco_scenes import random_coco
from thingstuff.benchmark.measure import Case
from thingstuff.benchmark.pycocotools_ap import (
    REFERENCE,
    own_copies,
    prepared_truth,
    same_numbers,
    stats_of_files,
    stats_of_records,
    stats_on,
)
from thingstuff.evaluation import CocoTruth, OwnResults, evaluate_coco

IOU_TYPES = ("segm", "bbox")
NAMES = {"segm": "mask AP", "bbox": "box AP"}

Record = dict[str, Any]


def ap_cases(images: int, objects: float, seed: int) -> Iterator[Case]:
    truth, detections = random_coco(images, objects, seed)
    size = f"{images} images, {len(detections)} detections"
    for iou_type in IOU_TYPES:
        yield _in_training(f"{NAMES[iou_type]} in training, {size}", truth, detections, iou_type)
        yield _from_memory(f"{NAMES[iou_type]} from memory, {size}", truth, detections, iou_type)
        with tempfile.TemporaryDirectory() as folder:
            files = write_files(Path(folder), truth, detections, iou_type)
            yield _from_files(f"{NAMES[iou_type]} from files, {size}", *files, iou_type)


def write_files(folder: Path, truth: Record, detections: Sequence[Record], iou_type: str) -> tuple[Path, Path]:
    """Ground truth and results in COCO's formats; with a box beside a mask, pycocotools would take the box's area."""
    dropped = {"bbox": "segmentation", "segm": "bbox"}[iou_type]
    results = [{key: value for key, value in detection.items() if key != dropped} for detection in detections]
    return _write(folder / "ground_truth.json", truth), _write(folder / f"{iou_type}.json", results)


def _write(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def _in_training(name: str, truth: Record, detections: list[Record], iou_type: str) -> Case:
    """As in an evaluator that runs again and again: both have the truth ready, and trust what the model gives."""
    ours, theirs = CocoTruth.read(truth, iou_type).with_filled_polygons(), prepared_truth(truth)

    def run_theirs() -> list[float]:
        _, copies = own_copies({"annotations": []}, detections, iou_type)
        return stats_on(theirs, copies, iou_type)

    return Case(
        name=name,
        reference=REFERENCE,
        ours=lambda: list(evaluate_coco(ours, OwnResults(detections), iou_type).numbers.values()),
        theirs=run_theirs,
        equal=same_numbers,
    )


def _from_memory(name: str, truth: Record, detections: list[Record], iou_type: str) -> Case:
    return Case(
        name=name,
        reference=REFERENCE,
        ours=lambda: list(evaluate_coco(truth, detections, iou_type).numbers.values()),
        theirs=lambda: stats_of_records(*own_copies(truth, detections, iou_type), iou_type),
        equal=same_numbers,
    )


def _from_files(name: str, truth_file: Path, results_file: Path, iou_type: str) -> Case:
    return Case(
        name=name,
        reference=REFERENCE,
        ours=lambda: list(evaluate_coco(truth_file, results_file, iou_type).numbers.values()),
        theirs=lambda: stats_of_files(truth_file, results_file, iou_type),
        equal=same_numbers,
    )
