"""The numbers and keys that Detectron2's own evaluators give for the same input."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from types import SimpleNamespace

import numpy as np
import pytest
from coco_scenes import random_scene, run_pycocotools

from thingstuff.evaluation import SemanticCounts, evaluate_coco
from thingstuff.evaluation.coco_ap import CocoOptions

CLASSES = ("sky", "road", "tree", "never")
VOID = 255


@pytest.fixture(scope="module")
def detectron2_evaluation():
    pytest.importorskip("detectron2")
    pytest.importorskip("thingstuff.config")  # mends Detectron2 before it is imported
    import detectron2.evaluation

    return detectron2.evaluation


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
def test_percent(detectron2_evaluation, iou_type):
    truth, results = random_scene(11, iou_type)
    names = [c["name"] for c in sorted(truth["categories"], key=lambda c: c["id"])]
    summarized = run_pycocotools(truth, results, iou_type)[0]
    evaluator = SimpleNamespace(_logger=logging.getLogger("test"))
    expected = detectron2_evaluation.COCOEvaluator._derive_coco_results(evaluator, summarized, iou_type, names)
    found = evaluate_coco(truth, results, iou_type).percent()
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_other_limits(detectron2_evaluation, iou_type):
    from detectron2.evaluation.coco_evaluation import COCOevalMaxDets, _evaluate_predictions_on_coco
    from pycocotools.coco import COCO

    truth, results = random_scene(12, iou_type)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        expected = _evaluate_predictions_on_coco(
            coco, copy.deepcopy(results), iou_type, cocoeval_fn=COCOevalMaxDets, max_dets_per_image=[1, 2, 4]
        ).stats
    found = evaluate_coco(truth, results, iou_type, CocoOptions(max_dets=(1, 2, 4))).numbers.values()
    assert list(found) == pytest.approx(np.where(expected == -1, np.nan, expected), abs=1e-12, nan_ok=True)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_semantic_scores(detectron2_evaluation):
    rng = np.random.default_rng(0)
    truths = [rng.choice([0, 1, 2, VOID], (13, 17)) for _ in range(3)]
    found = [np.where(rng.random(t.shape) < 0.6, t % 4, rng.integers(0, 4, t.shape)) for t in truths]
    counts = SemanticCounts.empty(CLASSES, VOID)
    for prediction, truth in zip(found, truths, strict=True):
        counts = counts.add(prediction, truth)
    expected = _sem_seg_evaluator(detectron2_evaluation, found, truths)
    percent = counts.scores().percent()
    assert list(percent) == list(expected)
    assert percent == pytest.approx(expected, abs=1e-12, nan_ok=True)


def _sem_seg_evaluator(evaluation, found, truths):
    """SemSegEvaluator as it is, fed by hand instead of by a registered data set."""
    import torch

    evaluator = evaluation.SemSegEvaluator.__new__(evaluation.SemSegEvaluator)
    files = {str(i): str(i) for i in range(len(truths))}
    vars(evaluator).update(
        _num_classes=len(CLASSES),
        _class_names=CLASSES,
        _ignore_label=VOID,
        _compute_boundary_iou=False,
        _contiguous_id_to_dataset_id=None,
        _cpu_device=torch.device("cpu"),
        _distributed=False,
        _output_dir=None,
        _logger=logging.getLogger("test"),
        input_file_to_gt_file=files,
        sem_seg_loading_fn=lambda name, dtype: truths[int(name)].astype(dtype),
    )
    evaluator.reset()
    for name, labels in zip(files, found, strict=True):
        scores = torch.nn.functional.one_hot(torch.as_tensor(labels), len(CLASSES)).permute(2, 0, 1)
        evaluator.process([{"file_name": name}], [{"sem_seg": scores}])
    return evaluator.evaluate()["sem_seg"]
