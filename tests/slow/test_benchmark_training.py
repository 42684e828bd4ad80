"""`tools/benchmark.py train` as a user calls it, at a small size."""

import json

import pytest

from thingstuff.benchmark import train

pytestmark = pytest.mark.slow

SMALL = ("--size", "64", "--batch", "1", "--repeats", "1", "--config-file", "thingstuff://shapes/mask_rcnn.yaml")


def test_a_small_run(run_tool, tmp_path):
    options = ("MODEL.DEVICE", "cpu", "INPUT.MASK_FORMAT", "polygon", "MODEL.ROI_HEADS.NUM_CLASSES", "80")
    code, shown, errors = run_tool("benchmark", "train", *SMALL, "--json", tmp_path / "rows.json", *options)
    assert code == 0, shown + errors
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["training"] for row in rows][:3] == [train.REFERENCE, "ours, fp32", "ours, fp32, channels_last"]
    assert rows[0]["ratio"] == 1
    assert all(row["equal"] and row["peak_mib"] > 0 for row in rows)
    assert "images/s" in shown
