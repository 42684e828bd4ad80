"""Which anchor learns which truth: SSD's rules by hand, and crowds."""

import torch
from detectron2.structures import Boxes
from yolact.matching import NEUTRAL, AnchorMatcher

BACKGROUND = 6


def matches_of(anchors, boxes, classes, crowds=()):
    matcher = AnchorMatcher([0.4, 0.5], crowd_share_thresh=0.7, num_classes=BACKGROUND)
    boxes = [Boxes(torch.tensor(some, dtype=torch.float32).reshape(-1, 4)) for some in (anchors, boxes, crowds)]
    return matcher(boxes[0], boxes[1], torch.tensor(classes, dtype=torch.int64), boxes[2])


def bar(length, y=0):
    """An anchor whose IoU with a truth of 100 x 1 at the same place is its length in percent."""
    return [0, y, length, y + 1]


def test_the_two_thresholds():
    found = matches_of([bar(100), bar(50), bar(49), bar(40), bar(39), bar(100, y=5)], [bar(100)], [2])
    assert found.labels.tolist() == [2, 2, NEUTRAL, NEUTRAL, BACKGROUND, BACKGROUND]
    assert found.positives.tolist() == [0, 1]
    assert found.truths[found.positives].tolist() == [0, 0]


def test_the_best_anchor_of_a_truth_is_positive_whatever_its_iou():
    found = matches_of([bar(10), bar(30), bar(45, y=5), bar(42, y=5)], [bar(100), bar(100, y=5)], [1, 3])
    assert found.labels.tolist() == [BACKGROUND, 1, 3, NEUTRAL]
    assert found.truths[found.positives].tolist() == [0, 1]


def test_two_truths_that_want_one_anchor():
    """The one that fits better has it, and the other takes its next best, though the first anchor is its best."""
    anchors = [[0, 0, 10, 10], [8, 0, 18, 10], [40, 0, 50, 10]]
    truths = [[3, 0, 11, 10], [1, 0, 11, 10]]  # IoUs with the first anchor 7/11 and 9/11, with the second 1/5 and 3/17
    found = matches_of(anchors, truths, [4, 5])
    assert found.labels.tolist() == [5, 4, BACKGROUND]
    assert found.truths[found.positives].tolist() == [1, 0]


def test_the_best_anchor_is_taken_from_a_truth_that_it_fits_better():
    """SSD: the anchor is learnt as the truth that has no other, although it overlaps another one more."""
    anchors = [[0, 0, 100, 1], [0, 0, 60, 1]]
    truths = [[0, 0, 100, 1], [0, 0, 20, 1]]  # with the second anchor: 0.6 and 1/3; with the first: 1 and 0.2
    found = matches_of(anchors, truths, [0, 1])
    assert found.labels.tolist() == [0, 1]
    assert found.truths.tolist() == [0, 1]


def test_a_truth_that_no_anchor_touches_has_none():
    found = matches_of([bar(100), bar(100, y=3)], [bar(100), bar(100, y=9)], [1, 2])
    assert found.labels.tolist() == [1, BACKGROUND]


def test_more_truths_than_anchors():
    found = matches_of([bar(100)], [bar(90), bar(100), bar(80)], [1, 2, 3])
    assert found.labels.tolist() == [2]
    assert found.truths.tolist() == [1]


def test_no_truth():
    assert matches_of([bar(100), bar(50)], [], []).labels.tolist() == [BACKGROUND] * 2
    assert len(matches_of([bar(100)], [], []).positives) == 0


def test_crowds_are_neither_positive_nor_negative():
    """Shares of anchors in the crowd: 1, 0.7, 0.71 and 0; the IoU with it does not matter, only the share."""
    crowds = [[0, 20, 1000, 30], [0, 1290, 71, 1390]]
    inside, partly, outside = [0, 20, 10, 30], [0, 17, 10, 27], [0, 50, 10, 60]
    anchors = [inside, partly, bar(100), outside, [0, 1290, 100, 1390]]
    found = matches_of(anchors, [bar(100)], [2], crowds)
    assert found.labels.tolist() == [NEUTRAL, BACKGROUND, 2, BACKGROUND, NEUTRAL]
    assert found.positives.tolist() == [2]


def test_a_truth_within_a_crowd_is_learnt():
    found = matches_of([bar(100), bar(30)], [bar(100)], [2], [[0, 0, 200, 5]])
    assert found.labels.tolist() == [2, NEUTRAL]


def test_crowds_alone():
    assert matches_of([bar(100), bar(100, y=9)], [], [], [bar(100)]).labels.tolist() == [NEUTRAL, BACKGROUND]
