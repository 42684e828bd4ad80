"""The model as a whole: it learns two images, and the toolkit's tools train, load and run it."""

import json
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Instances
from helpers import TINY, assert_one_line

from thingstuff.config import load_config
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import ConfigError, WeightsError

CONFIGS = Path(__file__).parents[1] / "configs"
SHAPES = CONFIGS / "shapes.yaml"
SMALL = ("MODEL.SOLOV2.CONV_DIM", "32", "MODEL.SOLOV2.NUM_CONVS", "1", "MODEL.SOLOV2.MASK_CONV_DIM", "32")
SOLO = "MODEL.SOLOV2"


def small_cfg(*overrides):
    return load_config(SHAPES, ["MODEL.DEVICE", "cpu", *SMALL, *overrides])


def small_model(*overrides):
    torch.manual_seed(0)
    return build_model(small_cfg(*overrides))


def two_images():
    """64 x 64 pixels of noise with bright squares of two classes, which are told apart by their colour.

    Their sides lie on multiples of 4, so that the mask features can hold them exactly.
    """
    random = torch.Generator().manual_seed(0)
    spots = ([(8, 8, 28, 28, 0), (36, 28, 60, 52, 1)], [(32, 4, 56, 28, 1)])
    return [_input(random, image) for image in spots]


def _input(random, spots):
    image = torch.randint(0, 60, (3, 64, 64), generator=random, dtype=torch.uint8)
    masks = torch.zeros(len(spots), 64, 64, dtype=torch.bool)
    for mask, (left, top, right, bottom, class_) in zip(masks, spots, strict=True):
        mask[top:bottom, left:right] = True
        image[2 * class_, top:bottom, left:right] = 250
    truth = Instances((64, 64), gt_classes=torch.tensor([spot[-1] for spot in spots]), gt_masks=BitMasks(masks))
    truth.gt_boxes = truth.gt_masks.get_bounding_boxes()
    return {"image": image, "instances": truth, "height": 64, "width": 64}


def learn(model, batch, steps):
    """The total loss of every step."""
    optimizer = torch.optim.AdamW(model.train().parameters(), 0.001)
    totals = []
    for _ in range(steps):
        total = sum(model(batch).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    return totals


def test_two_images_are_learnt_and_found():
    model, batch = small_model("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.3"), two_images()
    totals = learn(model, batch, 15)
    assert totals[-1] < 0.3 * totals[0], totals
    with torch.inference_mode():
        answers = model.eval()(batch)
    for one, answer in zip(batch, answers, strict=True):
        truth, found = one["instances"], answer["instances"]
        assert sorted(found.pred_classes.tolist()) == sorted(truth.gt_classes.tolist())
        for class_, mask in zip(truth.gt_classes, truth.gt_masks.tensor, strict=True):
            seen = found.pred_masks[found.pred_classes == class_][0]
            assert (seen & mask).sum() / (seen | mask).sum() > 0.9


def test_mixed_precision_gives_nearly_the_same_losses_and_finite_gradients():
    model, batch = small_model().train(), two_images()
    exact = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(batch)
    for name, loss in mixed.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact[name].item(), rel=0.02), name
    sum(mixed.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_an_image_without_objects_gives_every_parameter_a_gradient():
    """Several GPUs wait for each other's gradients."""
    model, batch = small_model().train(), two_images()
    for one in batch:
        one["instances"] = one["instances"][:0]
    sum(model(batch).values()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_answer_has_the_size_that_the_input_asks_for():
    model = small_model(f"{SOLO}.CATEGORY_THRESH", "0.0", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0").eval()
    images = [{"image": torch.rand(3, 64, 96) * 255, "height": 50, "width": 70}, {"image": torch.rand(3, 80, 50) * 255}]
    with torch.inference_mode():
        first, second = [answer["instances"] for answer in model(images)]
    assert (first.image_size, second.image_size) == ((50, 70), (80, 50))
    assert 0 < len(first) <= 100
    assert first.pred_masks.shape[1:] == (50, 70)
    assert (first.scores.diff() <= 0).all()


# ---- the tools ---------------------------------------------------------------------------------------------------


LOOSE = (f"{SOLO}.CATEGORY_THRESH", "0.0", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0")


def test_the_tools_train_predict_evaluate_and_compare(run_tool, small_shapes, tmp_path):
    small, run = (*TINY, *SMALL, *LOOSE), tmp_path / "run"
    done(run_tool("train_net", "--config-file", SHAPES, *small, "OUTPUT_DIR", run))
    assert {"bbox", "segm"} <= set(json.loads((run / "results.json").read_text())["results"]["shapes_val"])
    metrics = [json.loads(line) for line in (run / "metrics.json").read_text().splitlines()]
    assert any({"loss_category", "loss_mask"} <= set(line) for line in metrics)
    recipe = ("--config-file", SHAPES, "--weights", run / "model_final.pth", "--input", "shapes_val", "--no-overlays")
    for mode in ("exact", "fp32"):
        done(run_tool("predict", *recipe, "--output", tmp_path / mode, "--mode", mode, "--opts", *small))
    scored = ("--predictions", tmp_path / "exact", "--ground-truth", "shapes_val", "--output", tmp_path / "scores")
    done(run_tool("evaluate", *scored))
    done(run_tool("compare", tmp_path / "exact", tmp_path / "fp32", "--output", tmp_path / "page"))


def done(answer):
    code, _, err = answer
    assert code == 0, err


def test_other_classes_start_the_last_layer_anew(tmp_path):
    torch.save({"model": small_model().state_dict()}, tmp_path / "six.pth")
    model = small_model("MODEL.ROI_HEADS.NUM_CLASSES", "3")
    with pytest.raises(WeightsError, match="REINIT_HEADS"):
        Checkpointer(model).load(str(tmp_path / "six.pth"))
    Checkpointer(model, reinit_heads=True).load(str(tmp_path / "six.pth"))
    expected = small_model().state_dict()["head.predictor.weight"]
    assert torch.equal(model.state_dict()["head.predictor.weight"], expected)


def test_the_recipe_for_coco_is_the_paper_s():
    cfg = load_config(CONFIGS / "coco_R_50_FPN_3x.yaml", ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", ""])
    model = build_model(cfg)
    assert [level.grid for level in model.head.levels] == [40, 36, 24, 16, 12]
    assert [level.stride for level in model.head.levels] == [8, 8, 16, 32, 32]
    assert model.head.cls_score.weight.shape == (80, 512, 3, 3)
    assert model.head.predictor.weight.shape == (256, 512, 3, 3)
    assert model.mask_head.output.weight.shape == (256, 128, 1, 1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("MODEL.MASK_ON", "False"), "set MODEL.MASK_ON True"),
        ((f"{SOLO}.GRIDS", "[4, 4]"), "has 5 IN_FEATURES, 5 STRIDES, 2 GRIDS, 5 SCALE_RANGES"),
        ((f"{SOLO}.GRIDS", "[4, 4, 4, 4, 0]"), "level p6 has stride 32 and grid 0"),
        ((f"{SOLO}.SCALE_RANGES", "[[1, 2], [9, 3], [1, 2], [1, 2], [1, 2]]"), "level p3 has 9 to 3"),
        ((f"{SOLO}.SCALE_RANGES", "[[1], [9, 3], [1, 2], [1, 2], [1, 2]]"), "expected pairs such as"),
        ((f"{SOLO}.IN_FEATURES", "['p1', 'p3', 'p4', 'p5', 'p6']"), "has no feature p1, it has p2, p3, p4, p5, p6"),
        ((f"{SOLO}.MASK_IN_FEATURES", "['p2', 'p4']"), r"have the strides \[4, 16\]"),
        ((f"{SOLO}.MASK_IN_FEATURES", "['p2', 'res4']"), "MASK_IN_FEATURES: the backbone has no feature res4"),
        ((f"{SOLO}.NORM", "GX"), "NORM is 'GX'"),
        ((f"{SOLO}.NUM_CONVS", "0"), "NUM_CONVS is 0"),
        ((f"{SOLO}.PRIOR_PROB", "1.0"), "PRIOR_PROB is 1.0"),
        ((f"{SOLO}.CENTER_SHARE", "-0.1"), "CENTER_SHARE is -0.1"),
        ((f"{SOLO}.NMS_KERNEL", "hard"), "NMS_KERNEL is 'hard', expected one of gaussian, linear"),
    ],
)
def test_a_mistake_in_the_config_is_named(overrides, message):
    with pytest.raises(ConfigError, match=message):
        small_model(*overrides)


def test_too_few_classes_end_in_one_line(run_tool, small_shapes, tmp_path):
    options = (*TINY, *SMALL, "OUTPUT_DIR", tmp_path / "run", "MODEL.ROI_HEADS.NUM_CLASSES", "1")
    code, _, err = run_tool("train_net", "--config-file", SHAPES, *options)
    assert code == 2
    assert_one_line(err, "MODEL.ROI_HEADS.NUM_CLASSES is 1")
