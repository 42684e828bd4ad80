"""`tools/export.py`: a file that is compared before it takes its name, and clear refusals."""

import re
import shutil

import pytest
from helpers import assert_one_line

import thingstuff
from thingstuff.engine.exported import ExportedPredictor
from thingstuff.store import Store

SEMANTIC = "thingstuff://shapes/semantic.yaml"
MASK = "thingstuff://shapes/mask_rcnn.yaml"


@pytest.fixture
def export(run_tool, sharp_weights):
    """A function: output and options -> (exit code, standard output, standard error), of the semantic model."""

    def run(output, *options, config=SEMANTIC, weights="semantic", opts=()):
        fixed = ("--config-file", config, "--weights", sharp_weights[weights], "--output", output)
        return run_tool("export", *fixed, *options, "--opts", "MODEL.DEVICE", "cpu", *opts)

    return run


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2"])
def test_file_is_compared_kept_and_used(export, run_tool, sharp_weights, small_shapes, tmp_path, name):
    images = tmp_path / "photos"
    shutil.copytree(small_shapes / "val", images)
    code, out, err = export(tmp_path / "out" / name, "--size", 160, 160, "--images", images)
    assert (code, err) == (0, "")
    assert re.search("images compared +6 ", out)
    assert "detections" not in out  # of which a semantic model has none
    assert f"{name}: " in out
    assert "SemanticSegmentor for 160 x 160: logits" in out
    assert [p.name for p in (tmp_path / "out").iterdir()] == [name]

    model = thingstuff.load(tmp_path / "out" / name, device="cpu")
    reference = thingstuff.load(SEMANTIC, sharp_weights["semantic"], device="cpu")
    image = images / "000002.png"
    assert model.categories == reference.categories
    assert (model(image).stuff_map == reference(image).stuff_map).mean() > 0.999

    fixed = ("--input", images, "--output", tmp_path / "seen", "--device", "cpu")
    code, out, err = run_tool("predict", "--config-file", tmp_path / "out" / name, *fixed)
    assert code == 0, err
    assert "6 predicted" in out
    store = Store.open(tmp_path / "seen" / "predictions" / "images")
    assert len(store.entries) == 6
    code, out, _ = run_tool("predict", "--config-file", tmp_path / "out" / name, *fixed)
    assert "6 already there" in out


def test_default_images_are_the_test_sets(export, tmp_path):
    code, out, _ = export(tmp_path / "model.pt2")
    assert code == 0
    assert re.search("images compared +5 ", out)
    assert "padded to the file's size" in out  # 160 x 288 is the default, the images are square
    assert (ExportedPredictor.open(tmp_path / "model.pt2", device="cpu").card.width) == 288


def test_without_the_test_sets_files_scenes_are_drawn(small_shapes, capsys):
    from thingstuff.cli.export import _images
    from thingstuff.config import load_config

    images = _images(None, load_config(MASK, ["DATASETS.TEST", "('coco_2017_val',)"]))
    assert [image.shape for image in images] == [(160, 160, 3)] * 5
    assert "comparing on drawn scenes" in capsys.readouterr().out


def test_a_file_that_predicts_something_else_is_not_kept(export, tmp_path, monkeypatch):
    from thingstuff.engine.exported.torch_file import TorchNetwork

    right = TorchNetwork.__call__

    def upside_down(self, image, image_size):
        return {name: value[:, ::-1].copy() for name, value in right(self, image, image_size).items()}

    monkeypatch.setattr(TorchNetwork, "__call__", upside_down)
    code, out, err = export(tmp_path / "model.pt2", "--size", 160, 160)
    assert code == 2
    assert "least share of equal pixels" in out
    assert_one_line(err, "does not predict what the model predicts")
    assert list(tmp_path.glob("*")) == []
    assert list(tmp_path.glob(".*")) == []
    code, _, _ = export(tmp_path / "model.pt2", "--size", 160, 160, "--no-check")
    assert code == 0


def test_a_model_that_finds_nothing_proves_nothing():
    from thingstuff.cli.export import _report
    from thingstuff.engine.exported.parity import ImageParity, Parity
    from thingstuff.errors import UserError

    with pytest.raises(UserError, match="finds nothing in these images"):
        _report(Parity([ImageParity(detections=0, box_px=0.0, score=0.0, mask_iou=1.0)]))
    _report(Parity([ImageParity(detections=0, box_px=0.0), ImageParity(detections=1, box_px=0.1)]))
    _report(Parity([ImageParity(pixels=1.0)]))


@pytest.mark.parametrize(
    "worse",
    [{"unmatched": 1}, {"box_px": 0.11}, {"mask_iou": 0.98}, {"pixels": 0.99}],
)
def test_each_number_of_the_comparison_decides(worse, capsys):
    from thingstuff.cli.export import _report
    from thingstuff.engine.exported.parity import ImageParity, Parity
    from thingstuff.errors import UserError

    good = {"detections": 3, "box_px": 0.0, "score": 0.0, "mask_iou": 1.0, "pixels": 1.0}
    with pytest.raises(UserError, match="not kept"):
        _report(Parity([ImageParity(**good), ImageParity(**good | worse)]))
    assert "images compared" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("output", "options", "said"),
    [
        ("model.bin", (), ".onnx"),
        ("model", (), ".pt2"),
        ("model.onnx", ("--format", "torch"), "contradicts"),
        ("model.onnx", ("--no-check", "--images", "x"), "contradicts"),
        ("model.pt2", ("--size", 100, 160), "multiples of 32, for example 128 160"),
        ("model.pt2", ("--size", 0, 160), "expected sides from 32"),
        ("model.pt2", ("--size", 160, 1 << 20), "expected sides from 32"),
        ("model.pt2", ("--images", "nowhere"), "nowhere"),
    ],
)
def test_impossible_wishes_are_refused(export, tmp_path, output, options, said):
    code, _, err = export(tmp_path / output, *options)
    assert code == 2
    assert_one_line(err, said)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_refused(export, tmp_path):
    (tmp_path / "model.onnx").mkdir()
    code, _, err = export(tmp_path / "model.onnx")
    assert code == 2
    assert_one_line(err, "is a folder")


def test_stuff_of_a_second_model_is_refused(run_tool, sharp_weights, tmp_path):
    config = ("--config-file", "thingstuff://shapes/things_and_stuff.yaml", "--weights", sharp_weights["mask"])
    stuff = ("PANOPTIC.STUFF_WEIGHTS", sharp_weights["semantic"])
    code, _, err = run_tool("export", *config, "--output", tmp_path / "m.pt2", "--opts", "MODEL.DEVICE", "cpu", *stuff)
    assert code == 2
    assert_one_line(err, "cannot go into one file", "PANOPTIC.ENABLED False")


@pytest.mark.parametrize(
    "options", [("--weights", "w.pth"), ("--stuff-weights", "w.pth"), ("--opts", "MODEL.DEVICE", "cpu")]
)
def test_predict_refuses_settings_beside_an_export(run_tool, small_shapes, tmp_path, options):
    fixed = ("--config-file", "model.onnx", "--input", small_shapes / "val", "--output", tmp_path / "out")
    code, _, err = run_tool("predict", *fixed, *options)
    assert code == 2
    assert_one_line(err, f"leave out {options[0]}")
