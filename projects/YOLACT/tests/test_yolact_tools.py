"""The project by the toolkit's tools: it trains, evaluates, predicts and begins anew with other classes."""

import json
from pathlib import Path

import pytest
import torch
from helpers import TINY, assert_evaluates_again, assert_one_line, assert_training_is_refused

from thingstuff.store import Store

SHAPES = str(Path(__file__).parents[1] / "configs/shapes.yaml")
LOSSES = {"loss_cls", "loss_box_reg", "loss_mask", "loss_semantic"}


@pytest.fixture
def trained(run_tool, small_shapes, tmp_path):
    folder = tmp_path / "run"
    code, _, err = run_tool("train_net", "--config-file", SHAPES, *TINY, "OUTPUT_DIR", folder)
    assert code == 0, err
    return folder


def test_it_trains_and_evaluates_and_predicts(trained, run_tool, small_shapes, tmp_path):
    for name in ("model_final.pth", "results.json", "pictures.png"):
        assert (trained / name).stat().st_size > 0, name
    steps = [json.loads(line) for line in (trained / "metrics.json").read_text().splitlines()]
    assert set().union(*steps) >= LOSSES
    results = json.loads((trained / "results.json").read_text())["results"]
    assert {"bbox", "segm"} <= set(results["shapes_val"])
    assert_evaluates_again(run_tool, SHAPES, trained, tmp_path / "again")
    _predicts(run_tool, trained, small_shapes, tmp_path / "out")


def _predicts(run_tool, trained, small_shapes, folder):
    model = ("--config-file", SHAPES, "--weights", trained / "model_final.pth", "--score-thresh", "0.0")
    code, _, err = run_tool(
        "predict", *model, "--input", small_shapes / "val", "--output", folder, "--opts", "MODEL.DEVICE", "cpu"
    )
    assert code == 0, err
    store = Store.open(folder / "predictions/images")
    assert any(len(store.read(key).detections) for key in store.keys())  # noqa: SIM118


def test_weights_of_other_classes(trained, run_tool, small_shapes, tmp_path):
    """The two layers that know classes begin anew where that is asked for; otherwise such weights are refused."""
    weights = torch.load(trained / "model_final.pth", weights_only=True)["model"]
    for name, length in (("head.cls_score", 3 * 4), ("criterion.sem_seg_head.predictor", 3)):
        for part in ("weight", "bias"):
            weights[f"{name}.{part}"] = weights[f"{name}.{part}"][:length].clone()
    torch.save({"model": weights}, tmp_path / "three.pth")
    other = ("MODEL.WEIGHTS", tmp_path / "three.pth", "OUTPUT_DIR", tmp_path / "second")
    code, _, err = run_tool("train_net", "--config-file", SHAPES, *TINY, *other)
    assert code == 2
    said = ("head.cls_score (", "criterion.sem_seg_head.predictor (3 classes in the file, 6 in this model)")
    assert_one_line(err, "has other classes than this model", *said, "MODEL.REINIT_HEADS")
    code, _, err = run_tool("train_net", "--config-file", SHAPES, *TINY, *other, "MODEL.REINIT_HEADS", "True")
    assert code == 0, err


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("MODEL.ROI_HEADS.NUM_CLASSES", "2"), "shapes_train has 6 classes, but MODEL.ROI_HEADS.NUM_CLASSES is 2"),
        (("MODEL.YOLACT.IN_FEATURES", "['p7']"), "MODEL.YOLACT.IN_FEATURES: p7, the backbone has"),
        (("TEST.AUG.ENABLED", "True"), "TEST.AUG is for R-CNNs and semantic models, this is a YOLACT"),
        (("PANOPTIC.ENABLED", "True", "PANOPTIC.STUFF", "files", "PANOPTIC.STUFF_DIR", "."), "PANOPTIC.ENABLED needs"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(run_tool, small_shapes, tmp_path, overrides, said):
    assert_training_is_refused(run_tool, SHAPES, tmp_path / "run", overrides, said)
