"""Precision-recall curves of both backends against pycocotools, and thresholds that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from coco_scenes import random_scene, run_pycocotools

from thingstuff.errors import ConfigError
from thingstuff.evaluation import evaluate_coco
from thingstuff.evaluation.coco_ap import CocoOptions

HITS, MISS = ([0, 0, 10, 10], [50, 50, 10, 10]), [100, 100, 10, 10]

backends = pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
iou_types = pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])


def curves_of(truth_boxes, found, backend="hotcoco"):
    """One image; the objects and the (box, score) that are found are of category 'a', of 'b' there is nothing."""
    label = {"image_id": 1, "category_id": 1}
    truth = {
        "images": [{"id": 1, "height": 160, "width": 160}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [{"id": i, **label, "bbox": b, "area": 100, "iscrowd": 0} for i, b in enumerate(truth_boxes, 1)],
    }
    results = [{**label, "bbox": box, "score": score} for box, score in found]
    return evaluate_coco(truth, results, "bbox", CocoOptions(backend)).curves


@backends
@iou_types
def test_curves_are_pycocotools_own(backend, iou_type):
    truth, results = random_scene(10, iou_type)
    expected = run_pycocotools(truth, results, iou_type)[0].eval
    precision, scores = (expected[key][..., 0, -1] for key in ("precision", "scores"))
    curves = evaluate_coco(truth, results, iou_type, CocoOptions(backend)).curves
    np.testing.assert_allclose(curves.precision, np.where(precision > -1, precision, np.nan), atol=1e-12)
    np.testing.assert_allclose(curves.scores, np.where(precision > 0, scores, np.nan), atol=1e-12)
    with_truth = precision[0, 0] > -1
    assert with_truth.any()
    assert not with_truth.all()
    np.testing.assert_allclose(curves.mean(0.75), precision[5][:, with_truth].mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(curves.mean(), precision[:, :, with_truth].mean(axis=(0, 2)), atol=1e-12)


@backends
def test_the_score_threshold_of_the_best_f1(backend):
    """Two objects; hit, miss, hit, miss by score: F1 is 2/3, 1/2, 4/5 and 2/3."""
    curves = curves_of(HITS, [(HITS[0], 0.9), (MISS, 0.8), (HITS[1], 0.7), (MISS, 0.1)], backend)
    assert curves.best_f1("a") == pytest.approx((0.7, 2 / 3, 1, 4 / 5), abs=1e-12)
    assert curves.best_f1("a", iou=0.95) == curves.best_f1("a")
    assert all(math.isnan(v) for v in curves.best_f1("b"))
    nothing = curves_of(HITS, [(MISS, 0.8)], backend).best_f1("a")
    np.testing.assert_equal(tuple(nothing), (math.nan, 0, 0, 0))


def test_curves_without_any_truth():
    curves = curves_of([], [])
    assert np.isnan(curves.mean()).all()
    assert np.isnan(curves.mean(0.5)).all()


def test_what_curves_do_not_have_is_named():
    curves = curves_of([], [])
    with pytest.raises(ConfigError, match=r"no curve at IoU 0.3, only at 0.5, 0.55.*CocoOptions.iou_threshs"):
        curves.mean(0.3)
    with pytest.raises(ConfigError, match="no category 'dog', expected one of a, b"):
        curves.best_f1("dog")
