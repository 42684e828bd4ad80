"""Exported files predict what their model predicts, say what they are, and run nobody's code."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import thingstuff
from thingstuff.config import load_config
from thingstuff.data.shapes_scene import draw_scene
from thingstuff.engine.exported import ExportedPredictor
from thingstuff.engine.exported.canvas import put_on_canvas
from thingstuff.engine.exported.card import Card
from thingstuff.engine.exported.onnx_file import write_onnx
from thingstuff.engine.exported.parity import compare
from thingstuff.engine.exported.torch_file import write_torch
from thingstuff.engine.exported.traced import trace
from thingstuff.engine.exported.write import Canvas, describe, network_of, usual_canvas
from thingstuff.engine.predictor import Predictor
from thingstuff.engine.preprocess import Preprocess
from thingstuff.errors import ConfigError, DataError, SetupError
from thingstuff.evaluation import mask_ious
from thingstuff.modeling.exportable import exportable

SIDE = 160
OPTS = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.2"]


@pytest.fixture(scope="module")
def predictor(sharp_weights):
    opts = [*OPTS, "MODEL.WEIGHTS", str(sharp_weights["panoptic"])]
    return Predictor(load_config("thingstuff://shapes/panoptic_fpn.yaml", opts))


@pytest.fixture(scope="module")
def files(predictor, sharp_weights, tmp_path_factory):
    """A Panoptic FPN, which has boxes, masks and logits, in both formats, by suffix."""
    folder = tmp_path_factory.mktemp("exported")
    cfg = load_config("thingstuff://shapes/panoptic_fpn.yaml", [*OPTS, "MODEL.WEIGHTS", str(sharp_weights["panoptic"])])
    network = exportable(network_of(predictor.model))
    card = describe(cfg, predictor, network, Canvas((SIDE, SIDE)))
    program = trace(network, card)
    paths = {}
    for suffix, write in ((".pt2", write_torch), (".onnx", write_onnx)):
        paths[suffix] = folder / f"model{suffix}"
        with paths[suffix].open("wb") as file:
            write(program, card, file)
    return paths


@pytest.fixture(scope="module")
def onnx_predictor(files):
    return ExportedPredictor.open(files[".onnx"], device="cpu")


@pytest.fixture(scope="module")
def torch_predictor(files):
    return ExportedPredictor.open(files[".pt2"], device="cpu")


def scene(number):
    return draw_scene(np.random.default_rng(number)).image_bgr


# ---- parity ------------------------------------------------------------------------------------------------------


def assert_same(one, other, pixels=0.999):
    """Detections in the same order: boxes within 0.1 pixel, classes equal, mask IoU from 0.99."""
    assert len(one.detections) == len(other.detections)
    assert np.abs(one.detections.boxes_xyxy - other.detections.boxes_xyxy).max(initial=0) <= 0.1
    assert np.array_equal(one.detections.category_ids, other.detections.category_ids)
    assert np.diag(mask_ious(one.detections.masks, other.detections.masks)).min(initial=1) >= 0.99
    assert (one.stuff_map == other.stuff_map).mean() >= pixels
    assert (one.panoptic.ids == other.panoptic.ids).mean() >= pixels


def test_onnx_predicts_what_the_model_predicts(predictor, onnx_predictor):
    found = 0
    for number in range(20):
        expected = predictor(scene(number))
        assert_same(expected, onnx_predictor(scene(number)))
        found += len(expected.detections)
    assert found > 100


def test_torch_archive_predicts_what_the_model_predicts(predictor, torch_predictor):
    for number in range(3):
        assert_same(predictor(scene(number)), torch_predictor(scene(number)), pixels=1)


def test_comparison_finds_another_model(predictor, onnx_predictor):
    assert compare(predictor, onnx_predictor, [scene(0)]).holds
    head = network_of(predictor.model).roi_heads.box_predictor.bbox_pred
    before = head.bias.detach().clone()
    try:
        with torch.no_grad():
            head.bias += 0.5
        parity = compare(predictor, onnx_predictor, [scene(0)])
    finally:
        with torch.no_grad():
            head.bias.copy_(before)
    assert not parity.holds
    assert parity.worst.unmatched or parity.worst.box_px > 0.1


# ---- as any other model ------------------------------------------------------------------------------------------


def test_load_gives_a_model_as_any_other(files, small_shapes):
    model = thingstuff.load(files[".onnx"], device="cpu", score_thresh=0.3)
    result = model(small_shapes / "val" / "000001.png")
    assert result.scores.min(initial=1) > 0.3
    assert set(result.labels) <= {category.name for category in model.categories.things}
    assert len(result.masks) == len(result)
    panoptic, ledger = result.panoptic
    assert len(ledger.instances) == len(result)
    assert panoptic.ids.shape == result.stuff_map.shape == (SIDE, SIDE)
    assert result.overlay().shape == (480, 480, 3)


def test_settings_that_are_in_the_file_cannot_be_given(files):
    with pytest.raises(ConfigError, match="leave out weights"):
        thingstuff.load(files[".onnx"], "model.pth")
    with pytest.raises(ConfigError, match="leave out overrides"):
        thingstuff.load(files[".onnx"], overrides=["MODEL.MASK_ON", "False"])
    with pytest.raises(ConfigError, match=r"exported with 0\.2"):
        thingstuff.load(files[".onnx"], score_thresh=0.1, device="cpu")


@pytest.mark.parametrize("size", [(320, 100), (90, 400), (23, 31)])
def test_other_shapes_are_fitted_into_the_canvas(predictor, onnx_predictor, size, caplog):
    exported = ExportedPredictor(onnx_predictor.path, onnx_predictor.network)  # which has not remarked on anything yet
    picture = cv2.resize(scene(0), size[::-1])
    with caplog.at_level("WARNING", logger="thingstuff"):
        assert compare(predictor, exported, [picture]).holds
        found = exported(picture)
    assert found.stuff_map.shape == size
    boxes = found.detections.boxes_xyxy
    assert (boxes >= 0).all()
    assert (boxes <= np.array([size[1], size[0]] * 2)).all()
    remarks = [r for r in caplog.records if "smaller than its config says" in r.getMessage()]
    assert len(remarks) == 1


def test_what_fits_is_resized_as_the_config_says(onnx_predictor):
    card = replace(onnx_predictor.card, height=160, width=288)
    for size, expected in {(480, 640): (160, 213), (50, 50): (160, 160), (100, 300): (96, 288)}.items():
        placed = put_on_canvas(np.zeros((*size, 3), np.uint8), card)
        assert placed.size == expected
        assert placed.shrunk == (expected[0] < 160)
        assert placed.canvas().shape == (3, 160, 288)


def test_usual_canvas_is_the_zoos():
    assert usual_canvas(Preprocess(800, 1333, "BGR"), 32) == (800, 1344)
    assert usual_canvas(Preprocess(512, 2048, "RGB"), 32) == (512, 864)  # ceil(512 * 1333 / 800) = 854
    with pytest.raises(ConfigError, match="--dynamic"):
        usual_canvas(Preprocess(0, 1333, "BGR"), 32)


# ---- what the file says ------------------------------------------------------------------------------------------


def test_both_formats_carry_the_same_card_and_no_path_of_this_machine(files, onnx_predictor, torch_predictor):
    card = onnx_predictor.card
    assert torch_predictor.card == card
    assert Card.parse(card.text(), Path("x")) == card
    assert (card.height, card.width, card.score_thresh) == (SIDE, SIDE, 0.2)
    assert card.label_ids[0] is None
    assert {c.id for c in card.categories.stuff} == set(card.label_ids[1:])
    home = str(Path(thingstuff.__file__).parent).encode()
    for path in files.values():
        assert home not in path.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"outputs": ["boxes", "code"]},
        {"outputs": []},
        {"height": -1},
        {"width": None},
        {"side_multiple": 0},
        {"categories": [{"id": 1}]},
        {"categories": None},
        {"preprocess": {"shortest_px": 1}},
        {"merge": {"rule": "none", "thresholds": {}}},
        {"merge": {"rule": "greedy", "thresholds": {"overlap_thresh": 7}}},
        {"score_thresh": "high"},
    ],
)
def test_damaged_cards_are_refused(onnx_predictor, change):
    record = json.loads(onnx_predictor.card.text()) | change
    with pytest.raises(DataError, match=r"m\.onnx cannot be used"):
        Card.parse(json.dumps(record), Path("m.onnx"))


# ---- files that are not what they should be ----------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_damaged_files_are_refused_by_name(files, tmp_path, suffix, damage):
    whole = files[suffix].read_bytes()
    path = tmp_path / f"bad{suffix}"
    path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"no model"}[damage])
    with pytest.raises(DataError, match=f"bad{suffix} is damaged"):
        ExportedPredictor.open(path, device="cpu")


def test_missing_files_are_refused(tmp_path):
    for name in ("no.onnx", "no.pt2"):
        with pytest.raises(DataError, match="no exported model"):
            thingstuff.load(tmp_path / name)


def test_models_of_others_are_refused(tmp_path):
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "other",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(1),)), tmp_path / "other.pt2")
    for name in ("other.onnx", "other.pt2"):
        with pytest.raises(DataError, match=f"{name} was not made by"):
            ExportedPredictor.open(tmp_path / name, device="cpu")


@pytest.mark.parametrize("package", ["onnxruntime", "onnx", "onnxscript"])
def test_a_missing_package_is_said_in_one_line(files, onnx_predictor, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SetupError, match=rf"ONNX needs {package}: pip install 'thingstuff\[export\]'"):
        if package == "onnxruntime":
            ExportedPredictor.open(files[".onnx"])
        else:
            write_onnx(None, onnx_predictor.card, io.BytesIO())


def test_devices_that_are_not_here(files):
    with pytest.raises(SetupError, match="cannot compute on"):
        ExportedPredictor.open(files[".onnx"], device="abacus")
