"""The project rides on the tools: it trains on the shapes, is evaluated, predicts and stores like any model."""

import json

from helpers import TINY
from torchvision_cases import CONFIGS

import thingstuff

SMALLER = (*TINY, "MODEL.RPN.POST_NMS_TOPK_TRAIN", "30")


def test_it_trains_evaluates_and_predicts(run_tool, small_shapes, tmp_path):
    config, folder = CONFIGS / "shapes.yaml", tmp_path / "run"
    code, _, err = run_tool("train_net", "--config-file", config, *SMALLER, "OUTPUT_DIR", folder)
    assert code == 0, err
    assert "shapes_val" in json.loads((folder / "results.json").read_text())["results"]
    steps = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert {"loss_cls", "loss_mask", "loss_rpn_cls"} <= set(steps[-1]) | set(steps[0])
    model = thingstuff.load(config, folder / "model_final.pth", score_thresh=0.0, device="cpu", overrides=SMALLER)
    result = model(small_shapes / "val" / "000001.png")
    assert len(result.masks) == len(result.labels) == len(result.boxes)
    images, predicted = small_shapes / "val", tmp_path / "predicted"
    weights = ("MODEL.WEIGHTS", folder / "model_final.pth")
    code, _, err = run_tool(
        "predict", "--config-file", config, "--input", images, "--output", predicted, "--opts", *SMALLER, *weights
    )
    assert code == 0, err
    assert any(predicted.rglob("*.jsonl"))
