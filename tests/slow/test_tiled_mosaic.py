"""Tiles of a mosaic find what a prediction of the whole finds, by a model that was trained for some minutes."""

import os
import subprocess
import sys

import pytest
from helpers import ROOT
from mosaic import RECIPE

pytestmark = pytest.mark.slow


def test_tiles_lose_little_against_the_whole(tmp_path):
    environment = os.environ | {"DETECTRON2_DATASETS": str(tmp_path / "datasets"), "PYTHONPATH": str(ROOT)}
    quiet = ["TEST.PICTURES", "0", "MODEL.DEVICE", "cpu", "OUTPUT_DIR", str(tmp_path / "run")]
    train = [ROOT / "tools/train_net.py", "--config-file", RECIPE, "SOLVER.MAX_ITER", "300", *quiet]
    subprocess.run([sys.executable, *train], env=environment, check=True, capture_output=True)
    script = [ROOT / "tests/slow/mosaic.py", tmp_path / "run/model_final.pth", "4", "4"]
    answer = subprocess.run([sys.executable, *script], env=environment, check=True, capture_output=True, text=True)
    ap = {way.strip(): float(number) for way, number in (line.rsplit(None, 1) for line in answer.stdout.splitlines())}
    assert ap["scenes alone"] > 10, "trained to something"
    # whose overlap of 80 pixels holds most objects; that of the smaller tiles, which are also shown, does not
    assert ap["tiles of 320"] > ap["whole"] - 3
