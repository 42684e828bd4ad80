"""Mixed precision: what a config asks for, and that a step in bf16 is the fp32 step up to rounding."""

import contextlib
import copy
import logging

import pytest
import torch
from detectron2.layers import ROIAlign, batched_nms
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from torchvision.ops import roi_align

from thingstuff.config import load_config
from thingstuff.engine.training import precision as precision_module
from thingstuff.engine.training.precision import Precision, cpu_has_bf16
from thingstuff.errors import ConfigError
from thingstuff.modeling.roi_align_rows import RowsROIAlign, roi_align_rows
from thingstuff.modeling.training_speed import prepare_model

BF16 = Precision(torch.bfloat16, "cpu")
FP32 = Precision(None, "cpu")
BF16_UNIT = 2.0**-8  # the relative distance of neighbouring bf16 numbers
RETINANET = "model_zoo://COCO-Detection/retinanet_R_50_FPN_1x.yaml"
SMALL = ("MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "MODEL.RPN.PRE_NMS_TOPK_TRAIN", "200")


def cfg_with(precision="auto", device="cpu", enabled="True"):
    words = ("SOLVER.AMP.ENABLED", enabled, "SOLVER.AMP.PRECISION", precision, "MODEL.DEVICE", device)
    return load_config(None, list(words))


# ---- what a config asks for --------------------------------------------------------------------------------------


def test_off_is_plain_fp32():
    settled = Precision.from_config(cfg_with(enabled="False"))
    assert settled == FP32
    assert settled.words == "fp32"
    assert settled.scaler() is None
    with settled.autocast():
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(("has_bf16", "dtype"), [(True, torch.bfloat16), (False, None)])
def test_auto_on_a_cpu_is_bf16_where_the_processor_has_it(monkeypatch, caplog, has_bf16, dtype):
    monkeypatch.setattr(precision_module, "cpu_has_bf16", lambda: has_bf16)
    with caplog.at_level(logging.INFO):
        assert Precision.from_config(cfg_with()).dtype is dtype
    assert caplog.messages == ([] if has_bf16 else ["this CPU has no bf16 instructions: training in fp32"])


@pytest.mark.parametrize(("has_bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_on_a_gpu_does_not_emulate(monkeypatch, has_bf16, dtype):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or has_bf16)
    assert Precision.from_config(cfg_with(device="cuda")) == Precision(dtype, "cuda")


def test_fp16_needs_a_gpu_and_a_scaler():
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        Precision.from_config(cfg_with("fp16"))
    settled = Precision.from_config(cfg_with("fp16", device="cuda:0"))
    assert settled == Precision(torch.float16, "cuda")
    assert settled.words == "mixed fp16"
    with pytest.warns(UserWarning, match="CUDA") if not torch.cuda.is_available() else contextlib.nullcontext():
        assert isinstance(settled.scaler(), torch.amp.GradScaler)


def test_bf16_as_asked_and_an_unknown_word():
    settled = Precision.from_config(cfg_with("bf16"))
    assert (settled, settled.words, settled.scaler()) == (BF16, "mixed bf16", None)
    with settled.autocast():
        assert torch.get_autocast_dtype("cpu") is torch.bfloat16
    with pytest.raises(ConfigError, match="expected one of auto, bf16, fp16"):
        Precision.from_config(cfg_with("half"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags : fpu amx_bf16\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags : fpu avx512f\nmodel name : avx512_bf16\n", False),
        ("", False),
    ],
)
def test_the_flags_of_a_processor(tmp_path, text, expected):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert cpu_has_bf16(file) is expected
    assert not cpu_has_bf16(tmp_path / "absent")


# ---- a step in bf16 ----------------------------------------------------------------------------------------------


def batch():
    """Two smooth images of 96 x 128 with four boxes, masks and a stuff map each."""
    random = torch.Generator().manual_seed(1)
    return [one_input(random) for _ in range(2)]


def one_input(random, height=96, width=128):
    truth = Instances((height, width))
    corner, size = torch.rand(4, 2, generator=random) * 60, 20 + torch.rand(4, 2, generator=random) * 30
    truth.gt_boxes = Boxes(torch.cat([corner, corner + size], dim=1))
    truth.gt_classes = torch.randint(0, 3, (4,), generator=random)
    truth.gt_masks = BitMasks(torch.rand(4, height, width, generator=random) > 0.5)
    patches = torch.rand(1, 3, height // 8, width // 8, generator=random) * 255
    image = torch.nn.functional.interpolate(patches, size=(height, width), mode="bilinear")[0]
    stuff = torch.randint(0, 3, (height, width), generator=random)
    return {"image": image.byte(), "instances": truth, "sem_seg": stuff, "height": height, "width": width}


def step(model, inputs, precision, sampled=None):
    """Losses, all gradients in one vector, and the sampled proposals, which are taken from `sampled` if given."""
    model = copy.deepcopy(model).train()
    kept = []
    if hasattr(model, "roi_heads"):
        draw = model.roi_heads.label_and_sample_proposals
        model.roi_heads.label_and_sample_proposals = lambda *a: kept.append(sampled or draw(*a)) or kept[0]
    torch.manual_seed(5)
    with EventStorage(0):
        with precision.autocast():
            losses = model(inputs)
        sum(losses.values()).backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return losses, torch.cat(gradients), kept[0] if kept else None


def jittered(model, relative):
    """A copy whose weights are off by about as much as rounding them to bf16 does."""
    other, random = copy.deepcopy(model), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1 + relative * torch.randn(parameter.shape, generator=random))
    return other


def distance(vector, reference):
    return float((vector - reference).norm() / reference.norm())


def random_model(recipe, *overrides):
    from thingstuff.benchmark.train_data import settle_norms

    torch.manual_seed(0)
    model = build_model(load_config(recipe, [*SMALL, *overrides])).train()
    settle_norms(model, torch.stack([one["image"].float() - 120 for one in batch()]))
    return model


@pytest.mark.parametrize(
    "recipe",
    [
        "thingstuff://shapes/mask_rcnn.yaml",
        "thingstuff://shapes/panoptic_fpn.yaml",
        "thingstuff://shapes/semantic.yaml",
    ],
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_step_in_bf16_is_the_fp32_step_up_to_rounding(recipe, channels_last):
    """How far rounding takes the gradients of an untrained network is told by jittering its weights as much in fp32."""
    model, inputs = random_model(recipe), batch()
    losses, gradients, sampled = step(model, inputs, FP32)
    control = distance(step(jittered(model, BF16_UNIT), inputs, FP32, sampled)[1], gradients)
    prepare_model(model, channels_last=channels_last, compile_backbone=False)
    mixed_losses, mixed_gradients, _ = step(model, inputs, BF16, sampled)
    assert {loss.dtype for loss in mixed_losses.values()} == {torch.float32}
    for name, loss in losses.items():
        assert mixed_losses[name].item() == pytest.approx(loss.item(), rel=2e-2), name
    assert distance(mixed_gradients, gradients) < 1.5 * control


def test_retinanets_step_in_bf16():
    model, inputs = random_model(RETINANET), batch()
    losses, gradients, _ = step(model, inputs, FP32)
    control = distance(step(jittered(model, BF16_UNIT), inputs, FP32)[1], gradients)
    mixed_losses, mixed_gradients, _ = step(model, inputs, BF16)
    assert {k: v.item() for k, v in mixed_losses.items()} == pytest.approx(
        {k: v.item() for k, v in losses.items()}, rel=2e-2
    )
    assert distance(mixed_gradients, gradients) < 1.5 * control


def test_unprepared_and_plainly_prepared_models_compute_the_same_numbers():
    model, inputs = random_model("thingstuff://shapes/mask_rcnn.yaml"), batch()
    expected = step(model, inputs, FP32)
    prepare_model(model, channels_last=False, compile_backbone=False)
    losses, gradients, _ = step(model, inputs, FP32)
    assert {k: v.item() for k, v in losses.items()} == {k: v.item() for k, v in expected[0].items()}
    assert torch.equal(gradients, expected[1])


def test_preparing_keeps_the_names_of_parameters():
    model = random_model("thingstuff://shapes/mask_rcnn.yaml")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    prepare_model(model, channels_last=True, compile_backbone=True)
    after = copy.deepcopy(model).state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_model_without_a_backbone_is_refused():
    with pytest.raises(ConfigError, match="COMPILE_BACKBONE is for models with a backbone, and Linear has none"):
        prepare_model(torch.nn.Linear(1, 1), channels_last=False, compile_backbone=True)


# ---- boxes and scores --------------------------------------------------------------------------------------------


def some_boxes(random, count, length_px):
    """Boxes of every shape, partly outside, the last one without area."""
    corners = torch.rand(count, 2, generator=random) * 1.4 * length_px - 0.2 * length_px
    sizes = torch.rand(count, 2, generator=random) * torch.rand(count, 2, generator=random) * length_px
    sizes[-1] = 0
    images = torch.randint(0, 2, (count, 1), generator=random)
    return torch.cat([images, corners, corners + sizes], dim=1)


def test_boxes_stay_fp32_under_autocast():
    random = torch.Generator().manual_seed(0)
    features, boxes = torch.randn(2, 4, 40, 40, generator=random), some_boxes(random, 30, 640)
    expected = roi_align(features.bfloat16().float(), boxes, 7, 1 / 16, 0, True)
    with BF16.autocast():
        pooled = ROIAlign((7, 7), 1 / 16, 0)(features.bfloat16(), boxes)
    assert torch.equal(pooled, expected.bfloat16())


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("size", [(7, 7), (3, 5)])
def test_rows_equal_torchvisions_roi_align(monkeypatch, aligned, sampling_ratio, size):
    monkeypatch.setattr("thingstuff.modeling.roi_align_rows._MOST_BAGS", 200)  # so that there are several parts
    random = torch.Generator().manual_seed(0)
    for height, width in ((1, 1), (1, 9), (17, 23)):
        features = torch.randn(2, 3, height, width, generator=random)
        boxes = some_boxes(random, 20, 4.0 * max(height, width))
        ours, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
        a = roi_align_rows(ours, boxes, size, 0.25, sampling_ratio, aligned)
        b = roi_align(theirs, boxes, size, 0.25, sampling_ratio, aligned)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        weights = torch.randn(b.shape, generator=random)
        a.backward(weights)
        b.backward(weights)
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)


def test_rows_take_no_boxes():
    layer = RowsROIAlign((7, 7), 0.25, 0)
    features = torch.randn(1, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert layer(features, torch.zeros(0, 5)).shape == (0, 3, 7, 7)


def test_scores_in_bf16_are_suppressed_like_fp32_ones():
    random = torch.Generator().manual_seed(0)
    boxes, scores = some_boxes(random, 50, 64)[:, 1:], torch.rand(50, generator=random).bfloat16()
    groups = torch.zeros(50, dtype=torch.int64)
    expected = batched_nms(boxes, scores.float(), groups, 0.5)
    assert torch.equal(batched_nms(boxes, scores, groups, 0.5), expected)


def test_deformable_convolutions_compute_in_fp32_under_autocast():
    from detectron2.layers import DeformConv

    random = torch.Generator().manual_seed(0)
    layer = DeformConv(4, 4, 3, padding=1)
    features, offsets = torch.randn(1, 4, 8, 8, generator=random), torch.randn(1, 18, 8, 8, generator=random)
    expected = layer(features.bfloat16().float(), offsets.bfloat16().float())
    with BF16.autocast():
        assert torch.equal(layer(features.bfloat16(), offsets.bfloat16()), expected.bfloat16())
