"""Evaluation by two processes gives the numbers of one, to the last digit."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def evaluate_part(weights, output):
    """What each process runs: the whole evaluation; the loader gives it its share of the images."""
    from detectron2.modeling import build_model
    from detectron2.utils import comm

    from thingstuff.config import load_config
    from thingstuff.engine.evaluate import evaluate
    from thingstuff.engine.panoptic import PanopticOption
    from thingstuff.engine.weights.checkpoint import Checkpointer

    loose = ["PANOPTIC.INSTANCES_CONFIDENCE_THRESH", "0.2", "PANOPTIC.STUFF_AREA_LIMIT", "50", "OUTPUT_DIR", output]
    fixed = ["MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0"]
    cfg = load_config("thingstuff://shapes/panoptic_fpn.yaml", [*fixed, *loose])
    option = PanopticOption.from_config(cfg)
    model = build_model(cfg)
    Checkpointer(model, whole_model=True).load(weights)
    results = evaluate(cfg, model, option)["shapes_val"]
    if comm.is_main_process():
        Path(output, "results.json").write_text(json.dumps({"processes": comm.get_world_size(), **results}))


def test_two_processes_give_the_numbers_of_one(sharp_weights, small_shapes, tmp_path):
    from detectron2.engine import launch

    found = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        launch(evaluate_part, processes, dist_url="auto", args=(str(sharp_weights["panoptic"]), str(folder)))
        found[processes] = json.loads((folder / "results.json").read_text())
        assert found[processes].pop("processes") == processes
    assert set(found[1]) == {"bbox", "segm", "sem_seg", "panoptic_seg"}
    # text, since NaN, which an absent class has, equals nothing
    assert json.dumps(found[2]) == json.dumps(found[1])
    written = [json.loads((tmp_path / str(n) / "inference/panoptic.json").read_text()) for n in (1, 2)]
    by_image = [{note["image_id"]: note["segments_info"] for note in one["annotations"]} for one in written]
    assert by_image[0] == by_image[1]
