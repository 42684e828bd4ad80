"""The promise of the README: the demo trains to at least 60 mask AP and leaves what it says."""

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
    assert answer.stdout.count("AP @[") == 6
    assert answer.stdout.count("AR @[") == 6
    assert cv2.imread(str(tmp_path / "demo/mask_rcnn/pictures.png")) is not None
