"""The two programs that compute COCO's precision and recall, behind one signature.

hotcoco (compiled, parallel) does the daily work; pycocotools is the reference that it must equal.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from thingstuff.evaluation.coco_input import CocoInput

FloatArray = npt.NDArray[np.float64]


def run_hotcoco(data: CocoInput, max_dets: list[int]) -> tuple[FloatArray, FloatArray]:
    """Precision T x R x K x A x M and recall T x K x A x M, -1 where undefined.

    T IoU thresholds 0.5:0.95, R recall thresholds 0:0.01:1, K categories, A area ranges, M `max_dets`.
    """
    import hotcoco

    truth = hotcoco.COCO(data.ground_truth)
    evaluation = hotcoco.COCOeval(truth, truth.load_res(data.results), data.iou_type)
    evaluation.params.max_dets = max_dets
    evaluation.evaluate()
    evaluation.accumulate()
    return _arrays(evaluation.eval)


def run_pycocotools(data: CocoInput, max_dets: list[int]) -> tuple[FloatArray, FloatArray]:
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
        evaluation.evaluate()
        evaluation.accumulate()
    return _arrays(evaluation.eval)


BACKENDS = {"hotcoco": run_hotcoco, "pycocotools": run_pycocotools}


def _arrays(evaluated: Any) -> tuple[FloatArray, FloatArray]:
    return np.asarray(evaluated["precision"]), np.asarray(evaluated["recall"])
