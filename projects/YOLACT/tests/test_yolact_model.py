"""The whole model: shapes, what it answers, and that it learns."""

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances
from helpers import TINY
from yolact.head import Predictions

from thingstuff.config import load_config
from thingstuff.engine.training.precision import Precision
from thingstuff.errors import ConfigError
from thingstuff.modeling.training_speed import prepare_model

CONFIGS = Path(__file__).parents[1] / "configs"


def model_of(*overrides, config="shapes.yaml"):
    torch.manual_seed(0)
    return build_model(load_config(CONFIGS / config, [*TINY, *overrides]))


def scene(size, boxes, classes):
    """Bright ellipses, each class of a colour of its own, on noise."""
    image, masks = torch.rand(3, *size) * 60, torch.zeros(len(boxes), *size, dtype=torch.bool)
    y, x = torch.meshgrid(*(torch.arange(length) + 0.5 for length in size), indexing="ij")
    for mask, (x0, y0, x1, y1), kind in zip(masks, boxes, classes, strict=True):
        mask |= ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 < 1
        image[kind % 3, mask] += 180
    truth = Instances(size, gt_boxes=Boxes(torch.tensor(boxes).float()), gt_classes=torch.tensor(classes))
    truth.gt_masks = BitMasks(masks)
    return {"image": image, "instances": truth, "height": size[0], "width": size[1]}


@pytest.fixture
def two_images():
    torch.manual_seed(1)
    first = scene((48, 64), [(2, 4, 22, 30), (26, 12, 62, 46)], [0, 1])
    return [first, scene((64, 48), [(6, 20, 44, 56)], [2])]


def test_shapes(two_images):
    model = model_of("MODEL.YOLACT.NUM_PROTOTYPES", "5")
    images = model._normalised(two_images)
    features = [model.backbone(images.tensor)[name] for name in model.in_features]
    anchors = sum(3 * level.shape[2] * level.shape[3] for level in features)
    predictions, prototypes = model.head(features), model.protonet(features[0])
    assert prototypes.shape == (2, 5, 32, 32)  # 64 x 64 pixels, half of them
    assert (prototypes >= 0).all()
    assert predictions.logits.shape == (2, anchors, 7)
    assert predictions.deltas.shape == (2, anchors, 4)
    assert predictions.coefficients.shape == (2, anchors, 5)
    assert predictions.coefficients.abs().max() <= 1
    assert sum(map(len, model.anchor_generator(features))) == anchors


def test_anchors_and_predictions_have_one_order(two_images):
    """A change of one cell of one level changes the predictions of the anchors that lie around it alone."""
    model = model_of()
    features = [torch.zeros(1, 64, 16 >> i, 24 >> i) for i in range(5)]
    anchors = Boxes.cat(model.anchor_generator(features)).get_centers()
    before = model.head(features).logits
    features[1][0, :, 2, 5] = 1
    moved = (model.head(features).logits != before).any(dim=2)[0]
    assert moved.sum() == 3 * 5 * 5  # two convolutions of 3 x 3, three anchors a cell
    assert anchors[moved].mean(dim=0).tolist() == [5.5 * 8, 2.5 * 8]


def test_answers_of_a_model(two_images):
    model = model_of("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0", "MODEL.ROI_HEADS.NMS_THRESH_TEST", "0.9").eval()
    asked = [{"image": two_images[0]["image"], "height": 40, "width": 70}, {"image": two_images[1]["image"]}]
    with torch.inference_mode():
        answers = [one["instances"] for one in model(asked)]
    assert [one.image_size for one in answers] == [(40, 70), (64, 48)]
    for one, (height, width) in zip(answers, [(40, 70), (64, 48)], strict=True):
        assert len(one) == 10
        assert one.pred_masks.shape == (10, height, width)
        assert one.pred_masks.dtype == torch.bool
        assert (one.scores[:-1] >= one.scores[1:]).all()
        boxes = one.pred_boxes.tensor
        assert (boxes >= 0).all()
        assert (boxes[:, 2] <= width).all()
        assert (boxes[:, 3] <= height).all()
        assert set(one.pred_classes.tolist()) <= set(range(6))


def test_handmade_predictions_become_detections():
    """Two objects of one class and one of another: their boxes by SSD's offsets, their masks out of two prototypes."""
    model, size = model_of(), (64, 96)
    features = [torch.zeros(1, 64, 16 >> i, 24 >> i) for i in range(5)]
    anchors = Boxes.cat(model.anchor_generator(features))
    boxes, rows = torch.tensor([[10.0, 8, 40, 30], [50, 20, 90, 60], [12, 8, 40, 30]]), torch.tensor([70, 900, 400])
    logits, deltas = torch.zeros(1, len(anchors), 7), torch.zeros(1, len(anchors), 4)
    logits[..., 6] = 20
    for row, kind, score in zip(rows, (1, 4, 1), (40.0, 38.0, 39.0), strict=True):
        logits[0, row, kind] = score
    deltas[0, rows] = model.box2box.get_deltas(anchors.tensor[rows], boxes)
    coefficients = torch.zeros(1, len(anchors), 2)
    coefficients[0, rows] = torch.tensor([[1.0, -1], [-1, 1], [1, 1]])
    prototypes = torch.zeros(2, 32, 48)
    prototypes[0, :, :24] = prototypes[1, :, 24:] = 30
    found = model._detections(anchors, Predictions(logits, deltas, coefficients), 0, size)
    answer = model._with_masks(found, prototypes, size, size)
    assert answer.pred_classes.tolist() == [1, 4]  # the third is suppressed by the first
    torch.testing.assert_close(answer.pred_boxes.tensor, boxes[:2])
    expected = torch.zeros(2, *size, dtype=torch.bool)
    expected[0, 8:30, 10:40] = expected[1, 20:60, 50:90] = True
    assert torch.equal(answer.pred_masks, expected)


def test_an_image_answers_alone_as_in_a_batch():
    """The padding of a batch does not change boxes or scores of an image that fills it."""
    torch.manual_seed(3)
    image, smaller = torch.rand(3, 64, 96) * 255, torch.rand(3, 64, 64) * 255
    model = model_of("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0").eval()
    with torch.inference_mode():
        alone, together = model([{"image": image}])[0], model([{"image": image}, {"image": smaller}])[0]
    torch.testing.assert_close(together["instances"].scores, alone["instances"].scores)
    assert torch.equal(together["instances"].pred_masks, alone["instances"].pred_masks)


def test_nothing_found():
    model = model_of("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "1.0").eval()
    with torch.inference_mode():
        found = model([{"image": torch.zeros(3, 64, 64), "height": 50, "width": 40}])[0]["instances"]
    assert len(found) == 0
    assert found.pred_masks.shape == (0, 50, 40)


def losses_while_learning(model, batch, steps, precision):
    """Of each step, by name."""
    prepare_model(model.train(), channels_last=True, compile_backbone=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.001)
    history = []
    for _ in range(steps):
        with precision.autocast():
            losses = model(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: loss.item() for name, loss in losses.items()})
    return history


def test_it_learns_two_images(two_images):
    history = losses_while_learning(model_of(), two_images, 15, Precision(None, "cpu"))
    assert set(history[0]) == {"loss_cls", "loss_box_reg", "loss_mask", "loss_semantic"}
    assert sum(history[-1].values()) < 0.5 * sum(history[0].values())
    for name in history[0]:
        assert history[-1][name] < history[0][name], name


def test_mixed_precision_gives_nearly_the_same_losses(two_images):
    """In bf16, which has 8 bits of mantissa; processors without instructions for it are slow, hence one step."""
    (exact,) = losses_while_learning(model_of(), two_images, 1, Precision(None, "cpu"))
    (mixed,) = losses_while_learning(model_of(), two_images, 1, Precision(torch.bfloat16, "cpu"))
    assert mixed == pytest.approx(exact, rel=0.05)


def test_every_parameter_learns(two_images):
    model = model_of().train()
    sum(model(two_images).values()).backward()
    unused = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert unused == set()


def test_images_without_objects_reach_every_parameter(two_images):
    """Or several processes would wait for each other."""
    for one in two_images:
        one["instances"] = one["instances"][torch.zeros(len(one["instances"]), dtype=torch.bool)]
    model = model_of().train()
    losses = model(two_images)
    sum(losses.values()).backward()
    assert losses["loss_cls"] == losses["loss_box_reg"] == losses["loss_mask"] == 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_recipe_for_coco_is_the_papers():
    model = model_of(config="coco_R_50_FPN.yaml")
    shapes = model.backbone.output_shape()
    assert [shapes[name].stride for name in model.in_features] == [8, 16, 32, 64, 128]
    assert [len(cell) for cell in model.anchor_generator.cell_anchors] == [3] * 5
    assert [float(Boxes(cell).area()[1]) for cell in model.anchor_generator.cell_anchors] == pytest.approx(
        [24**2, 48**2, 96**2, 192**2, 384**2]
    )
    assert model.backbone.top_block.in_feature == "p5"
    assert model.protonet.predictor.out_channels == 32
    assert model.head.cls_score.out_channels == 3 * 81


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("MODEL.MASK_ON", "False"), "YOLACT learns masks: set MODEL.MASK_ON True"),
        (("MODEL.YOLACT.NUM_PROTOTYPES", "0"), "NUM_PROTOTYPES is 0, expected 1 or more"),
        (("MODEL.YOLACT.IN_FEATURES", "['p2', 'p9']"), "IN_FEATURES: p9, the backbone has p2, p3, p4, p5, p6"),
        (("MODEL.YOLACT.IN_FEATURES", "[]"), "IN_FEATURES: empty, the backbone has"),
        (("MODEL.YOLACT.IN_FEATURES", "['p3', 'p2']"), "expected the largest level first"),
        (("MODEL.YOLACT.IOU_THRESHOLDS", "[0.5, 0.4]"), "IOU_THRESHOLDS is .*, expected two IoUs"),
        (("MODEL.YOLACT.BOX_REG_WEIGHTS", "[10.0, 10.0]"), "BOX_REG_WEIGHTS is .*, expected 4 numbers above 0"),
        (("MODEL.ANCHOR_GENERATOR.SIZES", "[[16], [32]]"), "SIZES is .*, expected as many for each of the 5 levels"),
        (("MODEL.ROI_HEADS.NUM_CLASSES", "0"), "NUM_CLASSES is 0, expected 1 or more"),
    ],
)
def test_mistakes_in_a_config(overrides, message):
    with pytest.raises(ConfigError, match=message):
        model_of(*overrides)
