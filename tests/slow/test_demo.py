"""The promise of the README: the demo trains to at least 60 mask AP and 50 PQ and leaves what it says."""

import json
import subprocess
import sys

import cv2
import pytest
from helpers import ROOT

pytestmark = pytest.mark.slow


def test_demo_keeps_its_promise(tmp_path):
    import os

    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    environment["DETECTRON2_DATASETS"] = str(tmp_path / "datasets")
    command = [sys.executable, ROOT / "tools/demo.py", "--output", tmp_path / "demo", "--setup-seconds", "1"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    summary = json.loads((tmp_path / "demo/summary.json").read_text())
    assert summary["setup_seconds"] == 1
    assert summary["mask_rcnn"]["mask_ap"] >= 60
    assert summary["mask_rcnn"]["train_seconds"] > 0
    assert summary["semantic"]["miou"] >= 65
    merged = summary["things_and_stuff"]
    assert merged["mask_ap"] == summary["mask_rcnn"]["mask_ap"], "stuff changes nothing about instances"
    assert min(merged["pq"], merged["pq_things"], merged["pq_stuff"]) >= 50
    assert answer.stdout.count("AP @[") == 3 * 6
    assert answer.stdout.count("AR @[") == 3 * 6
    assert "panoptic, things" in answer.stdout
    for metric, value in (("mask AP", merged["mask_ap"]), ("PQ", merged["pq"]), ("mIoU", merged["miou"])):
        interval = summary["intervals"][metric]
        assert interval["value"] == pytest.approx(value, abs=1e-9)
        assert interval["low"] < value < interval["high"]
    assert "PQ lost by" in answer.stdout
    assert f"comparison {tmp_path / 'demo/compare.html'}" in answer.stdout
    compared = json.loads((tmp_path / "demo/compare.json").read_text())["stores"]
    assert set(compared) == {"things_and_stuff", "panoptic_fpn", "mask_rcnn"}
    stages = compared["things_and_stuff"]["merge"]["stages"]
    assert stages["instances"]["numbers"]["AP"] == pytest.approx(merged["mask_ap"], abs=1e-9)
    assert stages["panoptic"]["numbers"]["AP"] < merged["mask_ap"]
    assert "mask AP50 lost by" in answer.stdout
    for pictures in ("mask_rcnn/pictures.png", "things_and_stuff/inference/pictures.png"):
        assert cv2.imread(str(tmp_path / "demo" / pictures)) is not None
