"""Semantic scores against their formulas, written out on maps small enough to count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thingstuff.errors import DataError
from thingstuff.evaluation import SemanticCounts

NAMES = ("sky", "road", "tree")
VOID = 255


def scores(*pairs, names=NAMES):
    counts = SemanticCounts.empty(names, VOID)
    for prediction, truth in pairs:
        counts = counts.add(np.array(prediction, np.uint8), np.array(truth, np.uint8))
    return counts.scores()


def test_formulas():
    truth = [[0, 0, 0, 1], [1, 1, VOID, VOID]]
    found = [[0, 0, 1, 1], [1, 0, 0, 1]]
    result = scores((found, truth))
    # labelled pixels: sky 3 (2 hit, 1 called road), road 3 (2 hit, 1 called sky); the void ones do not count
    assert result.iou == {"sky": 2 / (3 + 3 - 2), "road": 2 / (3 + 3 - 2), "tree": pytest.approx(math.nan, nan_ok=True)}
    assert result.numbers["mIoU"] == (1 / 2 + 1 / 2) / 2
    assert result.numbers["fwIoU"] == 3 / 6 * 1 / 2 + 3 / 6 * 1 / 2
    assert result.numbers["mACC"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert result.numbers["pACC"] == 4 / 6
    assert result.undefined == {
        "IoU-tree": "no pixel of 'tree' in the ground truth",
        "ACC-tree": "no pixel of 'tree' in the ground truth",
    }


def test_a_class_that_is_only_predicted_harms_the_others_alone():
    result = scores(([[0, 2, 2, 2]], [[0, 0, 0, 0]]))
    assert math.isnan(result.iou["tree"])
    assert result.numbers["mIoU"] == 1 / 4


def test_counts_are_summed_before_they_are_divided():
    pairs = [([[0, 1]], [[0, 0]]), ([[1, 1]], [[1, VOID]])]
    together = scores(([[0, 1, 1, 1]], [[0, 0, 1, VOID]]))
    assert scores(*pairs).percent() == pytest.approx(together.percent(), nan_ok=True)
    halves = [SemanticCounts.empty(NAMES).add(*pair) for pair in pairs]
    np.testing.assert_array_equal(
        (halves[0] + halves[1]).confusion, SemanticCounts.empty(NAMES).add(*pairs[0]).add(*pairs[1]).confusion
    )


def test_adding_leaves_counts_and_maps_alone():
    counts, found, truth = SemanticCounts.empty(NAMES), np.zeros((2, 2), np.uint8), np.full((2, 2), VOID, np.uint8)
    counts.add(found, truth)
    assert (counts.confusion.sum(), found.sum(), truth.sum()) == (0, 0, 4 * VOID)


def test_no_class_in_a_prediction_is_a_miss():
    result = scores(([[0, VOID, VOID, VOID]], [[0, 0, 0, VOID]]))
    assert result.iou["sky"] == result.accuracy["sky"] == result.numbers["pACC"] == 1 / 3


@pytest.mark.parametrize("pairs", [(), [([[]], [[]])], [([[0, 1]], [[VOID, VOID]])]], ids=["none", "empty", "void"])
def test_nothing_labelled_is_undefined(pairs):
    result = scores(*pairs)
    assert all(math.isnan(value) for value in result.percent().values())
    assert result.undefined["mIoU"] == result.undefined["fwIoU"] == "no labelled pixel in the ground truth"
    assert set(result.undefined) == set(result.percent())


@pytest.mark.parametrize("ignored", [-1, 0, 65535])
def test_ignore_label_may_be_any_number(ignored):
    counts = SemanticCounts.empty(NAMES, ignored).add(np.array([[1, 2, 1]]), np.array([[1, 1, ignored]]))
    assert counts.scores().numbers["pACC"] == 1 / 2


def test_keys_are_in_the_order_of_detectron2():
    keys = list(scores(([[0]], [[0]]), names=("a", "b")).percent())
    assert keys == ["mIoU", "fwIoU", "IoU-a", "IoU-b", "mACC", "pACC", "ACC-a", "ACC-b"]


@pytest.mark.parametrize(
    ("found", "truth", "message"),
    [
        ([[3]], [[0]], r"the prediction holds the label 3, expected 0\.\.\.2 and 255"),
        ([[0]], [[7]], "the truth holds the label 7"),
        ([[0, 0]], [[0]], r"the prediction has shape \(1, 2\), but the truth has \(1, 1\)"),
    ],
)
def test_bad_maps_are_named(found, truth, message):
    with pytest.raises(DataError, match=message):
        scores((found, truth))


def test_counts_of_other_classes_do_not_add():
    with pytest.raises(ValueError, match="other classes"):
        SemanticCounts.empty(NAMES) + SemanticCounts.empty(NAMES[:2])
    with pytest.raises(ValueError, match="expected a 4 x 4 confusion matrix"):
        SemanticCounts(NAMES, VOID, np.zeros((3, 3), np.int64))
