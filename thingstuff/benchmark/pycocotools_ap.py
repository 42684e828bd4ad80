"""COCO AP by pycocotools alone, the lines that everybody writes, as the reference of measurements."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

REFERENCE = f"pycocotools {metadata.version('pycocotools')}"
TOLERANCE = 1e-12

Record = dict[str, Any]


def stats_of_records(truth: Mapping[str, Any], results: Sequence[Record], iou_type: str) -> list[float]:
    """The 12 numbers from records in memory, which pycocotools writes into: give it its own."""
    return stats_on(_indexed(truth), results, iou_type)


def prepared_truth(truth: Mapping[str, Any]) -> Any:
    """pycocotools' index of a copy; its first evaluation turns the polygons to RLE once and for all."""
    return _indexed({**truth, "annotations": [dict(annotation) for annotation in truth["annotations"]]})


def stats_on(coco: Any, results: Sequence[Record], iou_type: str) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        return _stats(coco, results, iou_type)


def stats_of_files(truth_file: Path, results_file: Path, iou_type: str) -> list[float]:
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        return _stats(COCO(str(truth_file)), str(results_file), iou_type)


def own_copies(truth: Mapping[str, Any], results: Sequence[Record], iou_type: str) -> tuple[Record, list[Record]]:
    """As shallow as pycocotools allows; masks without their `bbox`, whose area it would take for the mask's."""
    dropped = "bbox" if iou_type == "segm" else None
    copies = [{key: value for key, value in result.items() if key != dropped} for result in results]
    return {**truth, "annotations": [dict(annotation) for annotation in truth["annotations"]]}, copies


def same_numbers(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """pycocotools says -1 for what is undefined, ours NaN."""
    pairs = list(zip(ours, theirs, strict=True))
    return all(a != a if b == -1 else abs(a - b) <= TOLERANCE for a, b in pairs)


def _indexed(truth: Mapping[str, Any]) -> Any:
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
    return coco


def _stats(coco: Any, results: Any, iou_type: str) -> list[float]:
    from pycocotools.cocoeval import COCOeval

    evaluation = COCOeval(coco, coco.loadRes(results), iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()
