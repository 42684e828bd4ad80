"""Losses are ultralytics' own, on batches that are made of Detectron2's inputs."""

import numpy as np
import pytest
import torch
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from yoloseg.criterion import truth_batch
from yoloseg.letterbox import Place, places
from yoloseg_cases import NAMES, picture, sharp_model

CPU = torch.device("cpu")
HEIGHT, WIDTH = 96, 128
CORNERS = [[8, 8, 60, 72], [52, 20, 120, 88]]  # on the cells of the prototypes, four pixels wide


def truth(count, polygons=False):
    boxes = torch.tensor(CORNERS[:count], dtype=torch.float32).view(-1, 4)
    made = Instances((HEIGHT, WIDTH), gt_boxes=Boxes(boxes), gt_classes=torch.arange(count) + 3)
    outlines = [[np.array([x0, y0, x1, y0, x1, y1, x0, y1], float)] for x0, y0, x1, y1 in CORNERS[:count]]
    if polygons:
        made.gt_masks = PolygonMasks(outlines)
    elif count:
        made.gt_masks = BitMasks.from_polygon_masks(outlines, HEIGHT, WIDTH)
    else:
        made.gt_masks = BitMasks(torch.zeros(0, HEIGHT, WIDTH, dtype=torch.bool))
    return made


def inputs(*truths):
    return [{"image": picture(HEIGHT, WIDTH, seed), "instances": one} for seed, one in enumerate(truths)]


def their_batch(images, counts):
    """The same truths as ultralytics' loader would give them, written out."""
    rows = [(number, row) for number, count in enumerate(counts) for row in range(count)]
    masks = torch.zeros(len(rows), HEIGHT // 4, WIDTH // 4)
    boxes = []
    for mask, (_, row) in zip(masks, rows, strict=True):
        x0, y0, x1, y1 = CORNERS[row]
        mask[y0 // 4 : y1 // 4, x0 // 4 : x1 // 4] = 1
        boxes.append([(x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT])
    return {
        "img": torch.stack(images) / 255,
        "batch_idx": torch.tensor([float(number) for number, _ in rows]),
        "cls": torch.tensor([[row + 3.0] for _, row in rows]).view(-1, 1),
        "bboxes": torch.tensor(boxes).view(-1, 4),
        "masks": masks,
    }


@pytest.mark.parametrize("counts", [(2, 1), (1, 0), (0, 0)])
@pytest.mark.parametrize("name", NAMES)
def test_losses_are_ultralytics_divided_by_the_images(name, counts):
    given = inputs(*(truth(count) for count in counts))
    ours = sharp_model(name).train()(given)
    theirs, _ = sharp_model(name).train().network.loss(their_batch([one["image"] for one in given], counts))
    for key, expected in zip(("loss_box", "loss_mask", "loss_cls", "loss_dfl"), theirs, strict=False):
        assert ours[key].item() == pytest.approx(expected.item() / len(counts), rel=1e-4), key
    assert len(ours) == 4


def test_the_factors_are_those_of_the_config():
    given = inputs(truth(2))
    plain = sharp_model().train()(given)
    doubled = sharp_model(MODEL__YOLOSEG__BOX_WEIGHT=15.0, MODEL__YOLOSEG__DFL_WEIGHT=0.0).train()(given)
    assert doubled["loss_box"].item() == pytest.approx(2 * plain["loss_box"].item(), rel=1e-4)
    assert doubled["loss_mask"].item() == pytest.approx(2 * plain["loss_mask"].item(), rel=1e-4)
    assert doubled["loss_cls"].item() == pytest.approx(plain["loss_cls"].item(), rel=1e-4)
    assert doubled["loss_dfl"].item() == 0


@pytest.mark.parametrize("truths", [[truth(2)], [truth(2, polygons=True)], [truth(0)], [truth(0), truth(1)]])
def test_it_learns_from_any_truth(truths):
    model = sharp_model().train()
    sum(model(inputs(*truths)).values()).backward()
    missing = [name for name, value in model.named_parameters() if value.requires_grad and value.grad is None]
    assert missing == []


def test_bf16_reaches_no_loss():
    model = sharp_model().train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(inputs(truth(2)))
    exact = sharp_model().train()(inputs(truth(2)))
    for name, value in losses.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=0.25), name


def test_truth_moves_with_its_image_in_the_batch():
    one = Instances((8, 16), gt_boxes=Boxes(torch.tensor([[4.0, 0, 12, 8]])), gt_classes=torch.tensor([5]))
    mask = torch.zeros(1, 8, 16, dtype=torch.bool)
    mask[0, :, 4:12] = True
    one.gt_masks = BitMasks(mask)
    place = Place(top=12, left=8, size=(8, 16), padded_size=(32, 32))
    made = truth_batch([{"instances": one}], [place], CPU)
    assert made["bboxes"].tolist() == [[(8 + 8) / 32, (4 + 12) / 32, 8 / 32, 8 / 32]]
    expected = torch.zeros(1, 8, 8)
    expected[0, 3:5, 3:5] = 1
    assert torch.equal(made["masks"], expected)
    assert (made["batch_idx"].tolist(), made["cls"].tolist()) == ([0.0], [[5.0]])


def test_a_cell_belongs_to_a_mask_from_half_of_its_pixels_on():
    one = Instances((32, 32), gt_boxes=Boxes(torch.tensor([[0.0, 0, 6, 4]])), gt_classes=torch.tensor([0]))
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[0, :4, :6] = True  # all of the first cell, half of the second
    mask[0, 4:8, 0] = True  # a fourth of the one below
    one.gt_masks = BitMasks(mask)
    made = truth_batch([{"instances": one}], places([(32, 32)], 32), CPU)
    assert made["masks"].nonzero().tolist() == [[0, 0, 0], [0, 0, 1]]


def test_objects_of_several_images_are_numbered():
    where = places([(HEIGHT, WIDTH)] * 3, 32)
    made = truth_batch(inputs(truth(2), truth(0), truth(1)), where, CPU)
    assert made["batch_idx"].tolist() == [0, 0, 2]
    assert made["cls"].flatten().tolist() == [3, 4, 3]
    assert made["masks"].shape == (3, HEIGHT // 4, WIDTH // 4)
