"""The project by the toolkit's tools: it trains, evaluates, predicts into stores, and is compared."""

import json

import pytest
from helpers import TINY
from modern_cases import CONFIGS, QUICK, SHAPES

from thingstuff.store import Store

LOSSES = {
    "shapes_fcos": {"loss_fcos_cls", "loss_fcos_loc", "loss_fcos_ctr"},
}
OF_RCNN = {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls", "loss_rpn_loc"}


@pytest.mark.parametrize("name", SHAPES)
def test_it_trains_evaluates_predicts_and_is_compared(name, run_tool, small_shapes, tmp_path):
    config, folder = CONFIGS / f"{name}.yaml", tmp_path / "run"
    keys = (*TINY, *QUICK[name])
    code, _, err = run_tool("train_net", "--config-file", config, *keys, "OUTPUT_DIR", folder)
    assert code == 0, err
    steps = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert set().union(*steps) >= LOSSES.get(name, OF_RCNN)
    results = json.loads((folder / "results.json").read_text())["results"]["shapes_val"]
    assert set(results) >= ({"bbox"} if name == "shapes_fcos" else {"bbox", "segm"})
    _predicts(run_tool, config, (*keys, "MODEL.WEIGHTS", folder / "model_final.pth"), tmp_path / "out")
    stores = (tmp_path / "out/predictions/shapes_val",)
    code, _, err = run_tool("compare", *stores, "--output", tmp_path / "comparison")
    assert code == 0, err


def _predicts(run_tool, config, keys, folder):
    code, _, err = run_tool(
        "predict", "--config-file", config, "--score-thresh", "0", "--input", "shapes_val", "--output", folder,
        "--opts", *keys,
    )  # fmt: skip
    assert code == 0, err
    store = Store.open(folder / "predictions/shapes_val")
    assert any(len(store.read(key).detections) for key in store.keys())  # noqa: SIM118
