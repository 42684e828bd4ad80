"""Fast NMS against the words of the paper, and against NMS where the two agree and where they do not."""

import torch
from detectron2.layers import batched_nms
from detectron2.structures import Boxes
from detectron2.structures import pairwise_iou as iou_of_detectron2
from yolact.fast_nms import fast_nms, pairwise_iou


def suppressed(boxes, scores, iou_thresh=0.5, topk=200, score_thresh=0.05):
    rows, classes = fast_nms(
        torch.tensor(boxes), torch.tensor(scores), score_thresh=score_thresh, iou_thresh=iou_thresh, topk=topk
    )
    return list(zip(rows.tolist(), classes.tolist(), strict=True))


# Each is moved by a quarter of its width, so that neighbours have IoU 0.6 and the first and the last 1/3.
CHAIN = [[0.0, 0.0, 8.0, 8.0], [2.0, 0.0, 10.0, 8.0], [4.0, 0.0, 12.0, 8.0]]


def test_one_that_is_removed_itself_removes_others():
    """NMS keeps the last, whose only rival is gone; Fast NMS does not."""
    boxes, scores = torch.tensor(CHAIN), torch.tensor([0.9, 0.8, 0.7])
    assert batched_nms(boxes, scores, torch.zeros(3, dtype=torch.long), 0.5).tolist() == [0, 2]
    assert suppressed(CHAIN, [[0.9], [0.8], [0.7]]) == [(0, 0)]


def test_only_a_better_score_removes():
    assert suppressed(CHAIN, [[0.7], [0.8], [0.9]]) == [(2, 0)]
    assert suppressed([CHAIN[0], CHAIN[2]], [[0.7], [0.9]]) == [(1, 0), (0, 0)]


def test_classes_do_not_see_each_other():
    """The same box may be of two classes, and the best score comes first whatever the class."""
    assert suppressed([CHAIN[0], CHAIN[1]], [[0.6, 0.8], [0.7, 0.1]]) == [(0, 1), (1, 0)]


def test_an_iou_at_the_threshold_stays():
    third = [[0.0, 0.0, 8.0, 8.0], [4.0, 0.0, 12.0, 8.0]]  # 32 pixels of 96
    assert suppressed(third, [[0.9], [0.8]], iou_thresh=1 / 3) == [(0, 0), (1, 0)]
    assert suppressed(third, [[0.9], [0.8]], iou_thresh=0.33) == [(0, 0)]


def test_equal_scores_go_by_rows():
    assert suppressed([CHAIN[0]] * 3, [[0.5]] * 3) == [(0, 0)]
    apart = [[20.0 * i, 0.0, 20.0 * i + 8, 8.0] for i in range(4)]
    assert suppressed(apart, [[0.5]] * 4) == [(i, 0) for i in range(4)]


def test_no_more_than_topk_of_a_class_and_none_below_the_score():
    apart = [[20.0 * i, 0.0, 20.0 * i + 8, 8.0] for i in range(4)]
    scores = [[0.2, 0.9], [0.8, 0.04], [0.6, 0.05], [0.4, 0.3]]
    assert suppressed(apart, scores, topk=2) == [(0, 1), (1, 0), (2, 0), (3, 1)]
    assert suppressed(apart, scores, score_thresh=0.5) == [(0, 1), (1, 0), (2, 0)]
    assert suppressed(apart, scores, score_thresh=0.95) == []


def test_the_matrix_of_the_paper_written_out():
    """X_kij = IoU, zero on and below the diagonal; K_kj = max over i; kept where K_kj is not above the threshold."""
    torch.manual_seed(0)
    low = torch.rand(40, 2) * 30
    boxes, scores = torch.cat([low, low + 5 + torch.rand(40, 2) * 20], dim=1), torch.rand(40, 3)
    expected = set()
    for k in range(3):
        order = sorted(range(40), key=lambda i: -float(scores[i, k]))
        for j, row in enumerate(order):
            ious = [float(iou_of_detectron2(Boxes(boxes[[order[i]]]), Boxes(boxes[[row]]))) for i in range(j)]
            if scores[row, k] > 0.1 and max(ious, default=0.0) <= 0.4:
                expected.add((row, k))
    got = suppressed(boxes.tolist(), scores.tolist(), iou_thresh=0.4, score_thresh=0.1)
    assert set(got) == expected
    assert len(got) == len(expected)
    assert [float(scores[pair]) for pair in got] == sorted((float(scores[pair]) for pair in got), reverse=True)


def test_it_removes_at_least_what_nms_removes():
    torch.manual_seed(1)
    low = torch.rand(60, 2) * 20
    boxes, scores = torch.cat([low, low + 10], dim=1), torch.rand(60) + 0.1
    of_nms = set(batched_nms(boxes, scores, torch.zeros(60, dtype=torch.long), 0.5).tolist())
    fast = {row for row, _ in suppressed(boxes.tolist(), scores[:, None].tolist())}
    assert fast < of_nms


def test_ious_within_a_group_are_those_of_detectron2():
    torch.manual_seed(2)
    low = torch.rand(2, 5, 2) * 10
    boxes = torch.cat([low, low + torch.rand(2, 5, 2) * 10], dim=2)
    boxes[0, 0, 2:] = boxes[0, 0, :2]  # an empty one
    expected = torch.stack([iou_of_detectron2(Boxes(group), Boxes(group)) for group in boxes])
    torch.testing.assert_close(pairwise_iou(boxes), expected)


def test_few_boxes():
    assert suppressed(CHAIN[:1], [[0.9, 0.1]]) == [(0, 0), (0, 1)]
    rows, classes = fast_nms(torch.zeros(0, 4), torch.zeros(0, 2), score_thresh=0.05, iou_thresh=0.5, topk=200)
    assert (len(rows), len(classes)) == (0, 0)
