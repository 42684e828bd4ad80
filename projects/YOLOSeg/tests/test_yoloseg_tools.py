"""The project by the toolkit's tools: it trains, evaluates, predicts, stores and begins anew with other classes."""

import json
from pathlib import Path

import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.modeling import build_model
from helpers import TINY, assert_evaluates_again, assert_one_line, assert_read_as_whole, assert_training_is_refused
from yoloseg_cases import CLASSES, CONFIGS, picture, saved, sharp_model, small_cfg

import thingstuff
from thingstuff.engine.mode import Mode
from thingstuff.modeling.read_outputs import OutputReader
from thingstuff.store import Store
from thingstuff.structures import Categories

SHAPES = CONFIGS / "shapes.yaml"
LOSSES = {"loss_box", "loss_mask", "loss_cls", "loss_dfl"}


@pytest.fixture(scope="module")
def reader():
    categories = Categories.from_coco([{"id": 10 + n, "name": f"class {n}"} for n in range(CLASSES)])
    return OutputReader(categories, MetadataCatalog.get("a set that nobody has"))


def test_it_trains_and_evaluates_and_predicts(run_tool, small_shapes, tmp_path):
    folder = tmp_path / "run"
    code, _, err = run_tool("train_net", "--config-file", SHAPES, *TINY, "OUTPUT_DIR", folder)
    assert code == 0, err
    steps = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert set().union(*steps) >= LOSSES
    results = json.loads((folder / "results.json").read_text())["results"]
    assert {"bbox", "segm"} <= set(results["shapes_val"])
    assert_evaluates_again(run_tool, SHAPES, folder, tmp_path / "again")


def test_a_file_of_ultralytics_predicts_by_the_tools_as_in_python(run_tool, small_shapes, tmp_path):
    weights, folder = saved(tmp_path / "best.pt", sharp_model("yolo11n-seg.yaml").network), tmp_path / "out"
    model = ("--config-file", SHAPES, "--weights", weights, "--score-thresh", "0.2")
    code, _, err = run_tool(
        "predict", *model, "--input", small_shapes / "val", "--output", folder, "--opts", "MODEL.DEVICE", "cpu"
    )
    assert code == 0, err
    store = Store.open(folder / "predictions/images")
    stored = {Path(key).name: len(store.read(key).detections) for key in store.keys()}  # noqa: SIM118
    loaded = thingstuff.load(SHAPES, weights, score_thresh=0.2, device="cpu")
    for name, count in stored.items():
        result = loaded(small_shapes / "val" / name)
        assert len(result.masks) == len(result.labels) == len(result.boxes) == count > 0


def test_it_is_read_without_whole_masks(reader, monkeypatch):
    model, image = sharp_model(), picture(96, 128)
    one = {"image": image, "height": 192, "width": 300}
    with torch.inference_mode():
        whole = model([one])[0]["instances"]
    monkeypatch.setattr("yoloseg.masks.Crops.to_bitmaps", None)
    with torch.inference_mode():
        found = reader(model, [one])[0].detections
    assert len(whole) > 5
    assert_read_as_whole(found, whole, first_id=10)


def test_an_image_without_detections_is_read(reader):
    model = sharp_model(MODEL__ROI_HEADS__SCORE_THRESH_TEST=1.0)
    with torch.inference_mode():
        found = reader(model, [{"image": picture(96, 128)}])[0].detections
    assert len(found) == 0
    assert found.masks.to_bitmaps().shape == (0, 96, 128)


@pytest.mark.parametrize(("mode", "tolerance"), [("fp32", 1e-3), ("fast", 0.2)])
def test_it_predicts_in_every_mode(mode, tolerance):
    image = picture(96, 128)
    fast = Mode(mode, torch.float32 if mode == "fp32" else torch.bfloat16).prepare(sharp_model())
    with torch.inference_mode():
        ours, exact = (model([{"image": image}])[0]["instances"] for model in (fast, sharp_model()))
    assert ours.scores.dtype == ours.pred_boxes.tensor.dtype == torch.float32
    assert ours.scores[0].item() == pytest.approx(exact.scores[0].item(), abs=tolerance)


def test_weights_of_other_classes_begin_anew_where_that_is_asked_for(run_tool, small_shapes, tmp_path):
    cfg = small_cfg("coco_yolo11n", MODEL__ROI_HEADS__NUM_CLASSES=80)
    weights = saved(tmp_path / "coco.pt", build_model(cfg).network)
    given = ("MODEL.WEIGHTS", weights, "OUTPUT_DIR", tmp_path / "run")
    code, _, err = run_tool("train_net", "--config-file", SHAPES, *TINY, *given)
    assert code == 2
    assert_one_line(err, "coco.pt is for 80 classes, this model has 6", "MODEL.REINIT_HEADS True")
    data = ("DATASETS.TRAIN", "('shapes_train',)", "DATASETS.TEST", "('shapes_val',)")
    small = ("MODEL.ROI_HEADS.NUM_CLASSES", "6", "INPUT.MIN_SIZE_TRAIN", "(160,)", "INPUT.MIN_SIZE_TEST", "160")
    code, _, err = run_tool("train_net", "--config-file", CONFIGS / "finetune.yaml", *TINY, *given, *data, *small)
    assert code == 0, err


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("MODEL.ROI_HEADS.NUM_CLASSES", "2"), "shapes_train has 6 classes, but MODEL.ROI_HEADS.NUM_CLASSES is 2"),
        (("TEST.AUG.ENABLED", "True"), "TEST.AUG is for R-CNNs and semantic models, this is a YOLOSeg"),
        (("PANOPTIC.ENABLED", "True", "PANOPTIC.STUFF", "files", "PANOPTIC.STUFF_DIR", "."), "PANOPTIC.ENABLED needs"),
        (("MODEL.WEIGHTS", "nowhere.pt"), "nowhere.pt"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(run_tool, small_shapes, tmp_path, overrides, said):
    assert_training_is_refused(run_tool, SHAPES, tmp_path / "run", overrides, said)
