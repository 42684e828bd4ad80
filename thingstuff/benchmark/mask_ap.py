"""COCO AP of boxes and masks: `evaluate_coco` against pycocotools, from two files to twelve numbers."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from thingstuff.benchmark.coco_scenes import random_coco
from thingstuff.benchmark.measure import Case, Measurement
from thingstuff.errors import ConfigError
from thingstuff.evaluation import evaluate_coco

TOLERANCE = 1e-12
IOU_TYPES = ("bbox", "segm")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=200, help="number of images (default 200)")
    parser.add_argument("--objects", type=float, default=7.0, help="objects an image, on average (default 7, as COCO)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random scenes (default 0)")


def _cases(args: argparse.Namespace) -> Iterator[Case]:
    if args.images < 1 or args.objects <= 0:
        raise ConfigError(f"--images and --objects must be above 0, got {args.images} and {args.objects}")
    ground_truth, detections = random_coco(args.images, args.objects, args.seed)
    with tempfile.TemporaryDirectory() as folder:
        truth_file = _write(Path(folder, "ground_truth.json"), ground_truth)
        for iou_type in IOU_TYPES:
            results_file = _write(Path(folder, f"{iou_type}.json"), [_result(d, iou_type) for d in detections])
            name = f"{iou_type}, {args.images} images, {len(detections)} detections"
            yield _case(name, truth_file, results_file, iou_type)


def _write(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def _result(detection: dict, iou_type: str) -> dict:
    """One kind a file: with a box beside it, pycocotools would take the box's area for the mask's."""
    dropped = {"bbox": "segmentation", "segm": "bbox"}[iou_type]
    return {key: value for key, value in detection.items() if key != dropped}


def _case(name: str, truth_file: Path, results_file: Path, iou_type: str) -> Case:
    return Case(
        name=name,
        reference=f"pycocotools {metadata.version('pycocotools')}",
        ours=lambda: list(evaluate_coco(truth_file, results_file, iou_type).numbers.values()),
        theirs=lambda: _pycocotools(truth_file, results_file, iou_type),
        equal=_same_numbers,
    )


def _pycocotools(truth_file: Path, results_file: Path, iou_type: str) -> list[float]:
    """The lines that everybody writes, and nothing of ours."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(truth_file))
        evaluation = COCOeval(truth, truth.loadRes(str(results_file)), iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def _same_numbers(ours: list[float], theirs: list[float]) -> bool:
    """pycocotools says -1 for what is undefined, ours NaN."""
    pairs = list(zip(ours, theirs, strict=True))
    return all(a != a if b == -1 else abs(a - b) <= TOLERANCE for a, b in pairs)


MEASUREMENT = Measurement(
    "mask-ap", "COCO AP of boxes and masks, hotcoco's adapter against pycocotools", _add_arguments, _cases
)
