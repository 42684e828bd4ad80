"""The losses of a batch: what is divided by what, crowds, padding, and many positives."""

import math

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from yolact.criterion import Criterion, LossWeights
from yolact.head import Predictions
from yolact.matching import AnchorMatcher
from yolact.truth import CROWDS, Truth, shrunk

PADDED = (16, 16)
CPU = torch.device("cpu")
ANCHORS = Boxes(
    torch.tensor([[0.0, 0.0, 8.0, 8.0], [8.0, 0.0, 16.0, 8.0], [0.0, 8.0, 8.0, 16.0], [8.0, 8.0, 16.0, 16.0]])
)


def bitmaps(boxes, size=PADDED):
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return BitMasks(masks)


def model_input(boxes, classes, crowds=(), size=PADDED):
    tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    instances = Instances(size, gt_boxes=Boxes(tensor), gt_classes=torch.tensor(classes, dtype=torch.int64))
    instances.gt_masks = bitmaps(boxes, size)
    one = {"instances": instances}
    if crowds:
        one[CROWDS] = Instances(size, gt_boxes=Boxes(torch.tensor(crowds).float()), gt_masks=bitmaps(crowds, size))
    return one


def losses_of(inputs, predictions=None, masks_per_image=100, weights=None, prototypes=None):
    """Of a model that says nothing yet: all logits, coefficients and prototypes are 0."""
    criterion = Criterion(
        matcher=AnchorMatcher([0.4, 0.5], 0.7, num_classes=2),
        box2box=Box2BoxTransform((10.0, 10.0, 5.0, 5.0)),
        semantic_channels=3,
        negatives_per_positive=3,
        masks_per_image=masks_per_image,
        weights=weights or LossWeights(),
    )
    count = len(inputs)
    zeros = Predictions(torch.zeros(count, 4, 3), torch.zeros(count, 4, 4), torch.zeros(count, 4, 5))
    truths = [Truth.of_input(one, PADDED, CPU) for one in inputs]
    features = torch.zeros(count, 3, 4, 4)
    prototypes = torch.zeros(count, 5, 8, 8) if prototypes is None else prototypes
    losses = criterion(ANCHORS, predictions or zeros, prototypes, features, truths)
    return {name: loss.item() for name, loss in losses.items()}


def test_weights_and_divisors():
    """Two images with 1 and 2 positives, and 3 and 2 negatives: softmax of three classes, masks of one half."""
    inputs = [model_input([(0, 0, 8, 8)], [1]), model_input([(0, 0, 8, 8), (8, 8, 16, 16)], [0, 1])]
    losses = losses_of(inputs)
    assert losses["loss_cls"] == pytest.approx((4 + 4) * math.log(3) / 3, rel=1e-5)
    assert losses["loss_box_reg"] == 0
    assert losses["loss_mask"] == pytest.approx(6.125 * math.log(2), rel=1e-5)
    assert losses["loss_semantic"] == pytest.approx(2 * math.log(2), rel=1e-5)
    doubled = losses_of(inputs, weights=LossWeights(2.0, 3.0, 12.25, 2.0))
    assert doubled == pytest.approx({name: 2 * loss for name, loss in losses.items()})


def test_boxes_have_the_variances_of_ssd():
    """Offsets against the anchor, divided by 0.1 for the centre and 0.2 for the sides, then smooth L1, times 1.5."""
    loss = losses_of([model_input([(1, 0, 9, 8)], [0])])["loss_box_reg"]
    assert loss == pytest.approx(1.5 * (1 / 8 / 0.1 - 0.5), rel=1e-5)
    loss = losses_of([model_input([(0, 0, 8, 10)], [0])])["loss_box_reg"]
    centre, side = 1 / 8 / 0.1, math.log(10 / 8) / 0.2
    assert loss == pytest.approx(1.5 * (centre - 0.5 + side - 0.5), rel=1e-5)


def test_no_objects_cost_nothing_but_the_semantic_loss():
    losses = losses_of([model_input([], [])])
    assert losses == pytest.approx(
        {"loss_cls": 0, "loss_box_reg": 0, "loss_mask": 0, "loss_semantic": 2 * math.log(2)}, rel=1e-5
    )


def test_the_part_of_the_positives_that_learns_masks_stands_for_all():
    one = [model_input([(0, 0, 8, 8), (8, 8, 16, 16), (8, 0, 16, 8)], [0, 1, 1])]
    assert losses_of(one, masks_per_image=2)["loss_mask"] == pytest.approx(losses_of(one)["loss_mask"], rel=1e-5)


def test_masks_are_compared_in_the_pixels_of_prototypes():
    """The right coefficient for a prototype that is the mask gives no loss, any other object of the image does."""
    prototypes = torch.full((1, 5, 8, 8), 0.0)
    prototypes[0, 0, :4, :4] = 40.0
    predictions = Predictions(torch.zeros(1, 4, 3), torch.zeros(1, 4, 4), torch.zeros(1, 4, 5))
    predictions.coefficients[0, 0, 0] = 1
    one = [model_input([(0, 0, 8, 8)], [0])]
    assert losses_of(one, predictions, prototypes=prototypes)["loss_mask"] == pytest.approx(0, abs=1e-6)


def test_a_crowd_is_no_background():
    """The anchor of the crowd is no negative, and its pixels are no background of the semantic loss."""
    plain, crowd = [model_input([(0, 0, 8, 8)], [0])], [model_input([(0, 0, 8, 8)], [0], [(8, 8, 16, 16)])]
    assert losses_of(plain)["loss_cls"] == pytest.approx(4 * math.log(3), rel=1e-5)
    assert losses_of(crowd)["loss_cls"] == pytest.approx(3 * math.log(3), rel=1e-5)
    assert not Truth.of_input(crowd[0], PADDED, CPU).counts[8:, 8:].any()
    assert Truth.of_input(crowd[0], PADDED, CPU).counts.sum() == 256 - 64


def test_an_object_within_a_crowd_counts():
    one = model_input([(8, 8, 12, 12)], [0], [(8, 8, 16, 16)])
    assert Truth.of_input(one, PADDED, CPU).counts.sum() == 256 - 64 + 16


def test_padding_does_not_count():
    one = model_input([(0, 0, 8, 8)], [0], size=(10, 12))
    truth = Truth.of_input(one, PADDED, CPU)
    assert truth.masks.shape == (1, *PADDED)
    assert truth.counts.sum() == 120


def test_polygons_are_masks_too():
    one = model_input([(2, 2, 8, 8)], [0])
    one["instances"].gt_masks = PolygonMasks([[[2.0, 2.0, 8.0, 2.0, 8.0, 8.0, 2.0, 8.0]]])
    assert torch.equal(Truth.of_input(one, PADDED, CPU).masks, bitmaps([(2, 2, 8, 8)]).tensor)


def test_shrunk_masks_have_half_of_a_pixel():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0, :2] = mask[0, 2, 2] = True
    assert shrunk(mask, 2, 2).tolist() == [[[True, False], [False, False]]]
    assert shrunk(mask[:0], 2, 2).shape == (0, 2, 2)
