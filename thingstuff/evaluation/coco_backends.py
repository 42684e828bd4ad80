"""The two programs that compute COCO's precision and recall, behind one signature.

hotcoco (compiled, parallel) does the daily work; pycocotools is the reference that it must equal.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thingstuff.evaluation.coco_input import CocoInput

FloatArray = npt.NDArray[np.float64]

COCO_IOU_THRESHS: FloatArray = np.linspace(0.5, 0.95, 10)
COCO_RECALLS: FloatArray = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Accumulated:
    """What the programs count, -1 where a category has no truth of that size.

    T `iou_threshs`, R `COCO_RECALLS`, K categories, A area ranges ("all" first), M limits of detections an image.
    """

    iou_threshs: FloatArray
    precision: FloatArray  # T x R x K x A x M
    recall: FloatArray  # T x K x A x M
    scores: FloatArray  # T x R x K x A x M; the score at which a recall is reached, 0 where it is not


Backend = Callable[[CocoInput, list[int], FloatArray], Accumulated]


def run_hotcoco(data: CocoInput, max_dets: list[int], iou_threshs: FloatArray) -> Accumulated:
    evaluation = open_hotcoco(data, max_dets)
    evaluation.params.iou_thrs = iou_threshs.tolist()
    evaluation.evaluate()
    evaluation.accumulate()
    return _accumulated(iou_threshs, evaluation.eval)


def run_pycocotools(data: CocoInput, max_dets: list[int], iou_threshs: FloatArray) -> Accumulated:
    """As `run_hotcoco`. pycocotools reports its progress on stdout whatever one does, hence the redirection."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth, nothing = COCO(), COCO()
        truth.dataset, nothing.dataset = data.ground_truth, {"annotations": []}
        truth.createIndex()
        # loadRes fails on an empty list, which an untrained model may well give
        found = truth.loadRes(data.results) if data.results else nothing
        evaluation = COCOeval(truth, found, data.iou_type)
        evaluation.params.maxDets = max_dets
        evaluation.params.iouThrs = iou_threshs
        evaluation.evaluate()
        evaluation.accumulate()
    return _accumulated(iou_threshs, evaluation.eval)


BACKENDS: Mapping[str, Backend] = {"hotcoco": run_hotcoco, "pycocotools": run_pycocotools}


def match_images(data: CocoInput, max_dets: int, area: int = 0) -> list[dict[str, Any]]:
    """pycocotools' `evalImgs` at COCO's thresholds of one of its area ranges (0: of all sizes), by hotcoco.

    One record for each image and category that has truth or detections; `dtIds` count the results from 1. hotcoco makes
    these of Python objects, at about 50 microseconds a record.
    """
    evaluation = open_hotcoco(data, [max_dets])
    parameters = evaluation.params
    parameters.area_rng, parameters.area_rng_lbl = [parameters.area_rng[area]], [parameters.area_rng_lbl[area]]
    evaluation.evaluate()
    return [record for record in evaluation.eval_imgs if record is not None]


def open_hotcoco(data: CocoInput, max_dets: list[int]) -> Any:
    """hotcoco's COCOeval of the data, with nothing evaluated yet; it numbers the results from 1, in their order."""
    import hotcoco

    truth = hotcoco.COCO(data.ground_truth)
    evaluation = hotcoco.COCOeval(truth, truth.load_res(data.results), data.iou_type)
    evaluation.params.max_dets = max_dets
    return evaluation


def _accumulated(iou_threshs: FloatArray, counted: Any) -> Accumulated:
    precision, recall, scores = (np.asarray(counted[key]) for key in ("precision", "recall", "scores"))
    return Accumulated(iou_threshs, precision, recall, scores)
