"""The modes of prediction: what each computes in, what the config and the command line say of it, how near it is."""

import copy

import cv2
import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from helpers import assert_one_line

import thingstuff
from thingstuff.engine import mode as mode_module
from thingstuff.engine.allocator import keep_freed_memory
from thingstuff.engine.evaluate import evaluate
from thingstuff.engine.mode import MODES, Mode
from thingstuff.engine.predictor import Predictor
from thingstuff.errors import ConfigError
from thingstuff.evaluation import mask_ious
from thingstuff.store import Store

MASK = "thingstuff://shapes/mask_rcnn.yaml"


class TestWhatItComputesIn:
    @pytest.mark.parametrize(
        ("name", "device", "has_bf16", "dtype", "words"),
        [
            ("exact", "cpu", True, None, "exactly as Detectron2"),
            ("fp32", "cpu", True, torch.float32, "fp32"),
            ("fast", "cpu", True, torch.bfloat16, "bf16"),
            ("fast", "cpu", False, torch.float32, "fp32"),
            ("fast", "cuda", False, torch.float16, "fp16"),
        ],
    )
    def test_by_device(self, name, device, has_bf16, dtype, words, monkeypatch):
        monkeypatch.setattr(mode_module, "cpu_has_bf16", lambda: has_bf16)
        mode = Mode.on(name, device)
        assert (mode.dtype, mode.words) == (dtype, words)

    def test_a_cpu_without_bf16_is_told(self, monkeypatch, caplog):
        monkeypatch.setattr(mode_module, "cpu_has_bf16", lambda: False)
        Mode.on("fast", "cpu")
        assert "this CPU has no bf16 instructions: mode fast computes in fp32 here" in caplog.text

    def test_another_name_is_refused(self):
        with pytest.raises(ConfigError, match=r"TEST.MODE is 'quick', expected one of exact, fp32, fast"):
            Mode.on("quick", "cpu")


def test_the_command_line_knows_the_same_modes():
    from thingstuff.cli import predict

    assert predict.MODES == MODES


@pytest.fixture(scope="module")
def image(small_shapes):
    return cv2.imread(str(small_shapes / "val" / "000001.png"))


@pytest.mark.parametrize(("recipe", "weights"), [(MASK, "mask"), ("thingstuff://shapes/panoptic_fpn.yaml", "panoptic")])
def test_fp32_differs_from_exact_by_rounding(sharp_weights, small_shapes, recipe, weights):
    models = [
        thingstuff.load(recipe, sharp_weights[weights], score_thresh=0.2, device="cpu", mode=mode).predictor
        for mode in ("exact", "fp32")
    ]
    seen = 0
    for path in sorted((small_shapes / "val").glob("*.png")):
        exact, fp32 = (predictor(cv2.imread(str(path))) for predictor in models)
        ours, theirs = fp32.detections, exact.detections
        seen += len(theirs)
        assert np.array_equal(ours.category_ids, theirs.category_ids)
        assert np.abs(ours.boxes_xyxy - theirs.boxes_xyxy).max(initial=0) < 0.01
        ious = np.diag(mask_ious(ours.masks.to_rles(), theirs.masks.to_rles()))
        assert (ious >= 0.999).all()
        if exact.stuff_map is not None:
            assert (fp32.stuff_map == exact.stuff_map).mean() > 0.999
    assert seen > 20


@pytest.mark.parametrize(("recipe", "weights"), [(MASK, "mask"), ("thingstuff://shapes/panoptic_fpn.yaml", "panoptic")])
def test_test_time_augmentation_goes_with_a_mode(sharp_weights, image, recipe, weights):
    exact, fp32 = (
        thingstuff.load(
            recipe,
            sharp_weights[weights],
            score_thresh=0.2,
            device="cpu",
            mode=mode,
            tta=True,
            overrides=("TEST.AUG.MIN_SIZES", "(120, 160)"),
        ).predictor(image)
        for mode in ("exact", "fp32")
    )
    ours, theirs = fp32.detections, exact.detections
    assert len(ours) == len(theirs) > 2
    # random weights give scores that differ by rounding alone, so that the order may
    apart = np.abs(ours.boxes_xyxy[:, None] - theirs.boxes_xyxy[None]).max(axis=2)
    apart[ours.category_ids[:, None] != theirs.category_ids[None]] = np.inf
    assert (apart.min(axis=0) < 0.01).mean() > 0.95
    if exact.stuff_map is not None:
        assert (fp32.stuff_map == exact.stuff_map).mean() > 0.999


def test_a_given_model_stays_as_it_is(sharp_weights, image, tiny_cfg):
    cfg = tiny_cfg("shapes/mask_rcnn.yaml", "TEST.MODE", "fp32")
    model = build_model(cfg).eval()
    before = copy.deepcopy(model.state_dict())
    predictor = Predictor(cfg, model)
    predictor(image)
    assert predictor.model is not model
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_both_models_of_things_and_stuff_change(sharp_weights, image):
    model = thingstuff.load(
        "thingstuff://shapes/things_and_stuff.yaml",
        sharp_weights["mask"],
        device="cpu",
        mode="fp32",
        overrides=("PANOPTIC.STUFF_WEIGHTS", str(sharp_weights["semantic"])),
    )
    wrapped = model.predictor.model
    for part in (wrapped.things.backbone, wrapped.stuff.model.backbone):
        assert part.bottom_up.stem.conv1.weight is None
    assert model(image).panoptic[0].ids.shape == image.shape[:2]


def test_evaluation_uses_the_mode_and_leaves_the_model(sharp_weights, tiny_cfg):
    results = {}
    for name in ("exact", "fp32"):
        cfg = tiny_cfg("shapes/mask_rcnn.yaml", "TEST.MODE", name)
        model = build_model(cfg).eval()
        model.load_state_dict(torch.load(sharp_weights["mask"], weights_only=True)["model"])
        results[name] = evaluate(cfg, model, None)["shapes_val"]
        assert model.backbone.bottom_up.stem.conv1.weight is not None
    assert results["fp32"].keys() == results["exact"].keys()
    for task, numbers in results["exact"].items():
        for metric, value in numbers.items():
            assert results["fp32"][task][metric] == pytest.approx(value, abs=0.1, nan_ok=True)


def test_predict_tells_modes_apart(run_tool, sharp_weights, small_shapes, tmp_path):
    common = ("--config-file", MASK, "--weights", sharp_weights["mask"], "--input", small_shapes / "val")
    common = (*common, "--output", tmp_path / "out", "--no-overlays", "--device", "cpu")
    code, _, error = run_tool("predict", *common, "--mode", "fp32", "--batch", "3")
    assert code == 0, error
    assert len(Store.open(tmp_path / "out" / "predictions" / "images").entries) == 6
    code, _, error = run_tool("predict", *common)  # the store holds what another mode predicted
    assert code == 2
    assert_one_line(error, "config")


@pytest.mark.parametrize("options", [("--mode", "quick"), ("--batch", "0"), ("--opts", "TEST.MODE", "quick")])
def test_odd_options_of_predict(run_tool, sharp_weights, small_shapes, tmp_path, options):
    common = ("--config-file", MASK, "--weights", sharp_weights["mask"], "--input", small_shapes / "val")
    code, _, error = run_tool("predict", *common, "--output", tmp_path / "out", *options)
    assert code == 2
    assert "quick" in error or "--batch must be 1 or more" in error
    assert not (tmp_path / "out").exists()


def test_freed_memory_is_kept_under_glibc():
    import platform

    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
