"""The promise of the README: the demo trains to at least 60 mask AP and 50 PQ and leaves what it says.

Its trained models serve what else needs some, since a training takes minutes.
"""

import json
import os
import subprocess
import sys

import cv2
import pytest
from helpers import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    own = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return own | {"DETECTRON2_DATASETS": str(tmp_path_factory.mktemp("datasets")), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def demo(environment, tmp_path_factory):
    """Its output folder, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    command = [sys.executable, ROOT / "tools/demo.py", "--output", folder / "demo", "--setup-seconds", "1"]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return folder / "demo", answer.stdout


def test_demo_keeps_its_promise(demo):
    folder, shown = demo
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["setup_seconds"] == 1
    assert summary["mask_rcnn"]["mask_ap"] >= 60
    assert summary["mask_rcnn"]["train_seconds"] > 0
    assert summary["semantic"]["miou"] >= 65
    merged = summary["things_and_stuff"]
    assert merged["mask_ap"] == summary["mask_rcnn"]["mask_ap"], "stuff changes nothing about instances"
    assert min(merged["pq"], merged["pq_things"], merged["pq_stuff"]) >= 50
    assert shown.count("AP @[") == 3 * 6
    assert shown.count("AR @[") == 3 * 6
    assert "panoptic, things" in shown
    for metric, value in (("mask AP", merged["mask_ap"]), ("PQ", merged["pq"]), ("mIoU", merged["miou"])):
        interval = summary["intervals"][metric]
        assert interval["value"] == pytest.approx(value, abs=1e-9)
        assert interval["low"] < value < interval["high"]
    assert "PQ lost by" in shown
    assert f"comparison {folder / 'compare.html'}" in shown
    compared = json.loads((folder / "compare.json").read_text())["stores"]
    assert set(compared) == {"things_and_stuff", "panoptic_fpn", "mask_rcnn"}
    stages = compared["things_and_stuff"]["merge"]["stages"]
    assert stages["instances"]["numbers"]["AP"] == pytest.approx(merged["mask_ap"], abs=1e-9)
    assert stages["panoptic"]["numbers"]["AP"] < merged["mask_ap"]
    assert "mask AP50 lost by" in shown
    for pictures in ("mask_rcnn/pictures.png", "things_and_stuff/inference/pictures.png"):
        assert cv2.imread(str(folder / pictures)) is not None


def test_tiles_lose_little_against_the_whole(demo, environment):
    """Mosaics of 4 x 4 scenes in tiles of one scene, across the seams, and of two, whose overlap holds most objects."""
    script = [ROOT / "tests/slow/mosaic.py", demo[0] / "mask_rcnn/model_final.pth", "4", "4"]
    answer = subprocess.run([sys.executable, *script], env=environment, check=True, capture_output=True, text=True)
    ap = {way.strip(): float(number) for way, number in (line.rsplit(None, 1) for line in answer.stdout.splitlines())}
    assert ap["scenes alone"] > 60, "trained"
    assert ap["tiles of 160"] > ap["whole"] - 3
    assert ap["tiles of 320"] > ap["whole"] - 3
