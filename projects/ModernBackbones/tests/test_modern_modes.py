"""Modes of prediction, mixed precision and layouts: what is fused answers as what is not, and exact is Detectron2's."""

import copy

import pytest
import torch
from modern_cases import RCNNS, SHAPES, image_of, model_of, scene

from thingstuff.config.compat import timm_modules
from thingstuff.engine.mode import Mode
from thingstuff.engine.training.precision import Precision
from thingstuff.modeling.training_speed import prepare_model


def sharp(name):
    """Random weights whose scores differ more than rounding does."""
    model = model_of(name, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0").eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "cls_score.weight" in key or "mask_head.predictor" in key:
                value.mul_(30)
    return model


def found_by(model, images):
    with torch.inference_mode():
        return [one["instances"] for one in model([{"image": image} for image in images])]


@pytest.mark.parametrize("name", SHAPES)
def test_fp32_answers_the_same_but_for_rounding(name):
    """Images whose size is no multiple of patch, window or stride."""
    model, images = sharp(name), [image_of(150, 90, seed) for seed in (1, 2)]
    expected = found_by(model, images)
    answers = found_by(Mode("fp32", torch.float32).prepared_copy(model), images)
    assert sum(map(len, expected)) > 15
    for answer, one in zip(answers, expected, strict=True):
        assert torch.equal(answer.pred_classes, one.pred_classes)
        torch.testing.assert_close(answer.scores, one.scores, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(answer.pred_boxes.tensor, one.pred_boxes.tensor, atol=0.02, rtol=1e-3)
        if name in RCNNS:
            assert (answer.pred_masks != one.pred_masks).float().mean() < 1e-3


@pytest.mark.parametrize("name", SHAPES)
def test_bf16_features_are_those_of_fp32_but_for_its_rounding(name):
    """bf16 keeps 8 bits: a relative difference of 2^-8 in a step, and a few of them after many."""
    model, image = sharp(name), image_of(150, 90)
    batch = model.preprocess_image([{"image": image}]).tensor
    fast = Mode("fast", torch.bfloat16).prepared_copy(model)
    with torch.inference_mode():
        expected, answers = model.backbone(batch), fast.backbone(batch)
    for level, features in expected.items():
        difference = (answers[level].float() - features).norm() / features.norm()
        assert difference < 0.05, (level, difference)
    assert all(torch.isfinite(one.scores).all() for one in found_by(fast, [image]))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_step_in_mixed_precision_is_one_of_fp32_but_for_rounding(name, channels_last, monkeypatch):
    """The losses agree within bf16's digits, and every parameter that learns has a finite gradient."""
    from detectron2.utils.events import EventStorage

    monkeypatch.setattr(timm_modules.DropPath, "forward", lambda self, x: x)
    batch = [scene([(10, 20, 70, 90), (80, 60, 150, 150)], [0, 3])]
    model = model_of(name).train()
    prepared = copy.deepcopy(model)
    prepare_model(prepared, channels_last=channels_last, compile_backbone=False)
    with EventStorage():
        torch.manual_seed(5)
        expected = model(batch)
        torch.manual_seed(5)
        with Precision(torch.bfloat16, "cpu").autocast():
            losses = prepared(batch)
    for key, value in expected.items():
        assert losses[key].item() == pytest.approx(value.item(), rel=0.1, abs=0.05), key
    sum(losses.values()).backward()
    without = [key for key, value in prepared.named_parameters() if value.requires_grad and value.grad is None]
    assert not without
    assert all(torch.isfinite(value.grad).all() for value in prepared.parameters() if value.grad is not None)


def test_scores_of_fcos_stay_in_float32_under_autocast():
    """Class score and centredness are multiplied: in bf16 many products would be equal."""
    model = sharp("shapes_fcos")
    prepare_model(model, channels_last=False, compile_backbone=False)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        features = model.backbone(torch.rand(1, 3, 64, 64))
        outputs = model.head([features[level] for level in model.head_in_features])
    assert {level.dtype for kind in outputs for level in kind} == {torch.float32}
