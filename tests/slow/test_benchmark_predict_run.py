"""`tools/benchmark.py predict` and `results` as a user calls them, at a small size."""

import json

import pytest

pytestmark = pytest.mark.slow

SMALL = (
    *("--config-file", "thingstuff://shapes/mask_rcnn.yaml", "--panoptic", "thingstuff://shapes/panoptic_fpn.yaml"),
    *("--size", "64", "--count", "1", "--repeats", "1", "--proposals", "30", "--detections", "0", "4", "own"),
    *("--batches", "1", "2"),
)


def test_a_small_run(run_tool, tmp_path):
    files = ("--json", tmp_path / "rows.json", "--plot", tmp_path / "bars.png")
    code, shown, errors = run_tool("benchmark", "predict", *SMALL, *files, "--opts", "MODEL.DEVICE", "cpu")
    assert code == 0, shown + errors
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    systems = ["stock", "exact", "fp32", "fast"]
    instances = [row["system"] for row in rows if (row["part"], row["case"]) == ("instances", "4")]
    assert instances == [*systems, "torchvision", "torchvision-mixed"]
    assert [row["system"] for row in rows if (row["part"], row["case"]) == ("panoptic", "0")] == systems
    for row in rows:
        assert sum(row["stages_ms"].values()) == pytest.approx(row["mean_ms"])
        assert ("merge" in row["stages_ms"]) == ("stuff head" in row["stages_ms"]) == (row["part"] == "panoptic")
        assert row["peak_mib"] > 0
        assert set(row["images_per_s"]) == {"1", "2"}
    assert (tmp_path / "bars.png").stat().st_size > 1000
    assert "panoptic " in shown


def test_accuracy_of_what_is_timed(run_tool, tmp_path, sharp_weights):
    code, shown, errors = run_tool(
        *("benchmark", "predict", *SMALL, "--systems", "exact", "fast", "--panoptic", "none"),
        *("--weights", str(sharp_weights["mask"]), "--ground-truth", "shapes_val", "--json", tmp_path / "rows.json"),
        *("--opts", "MODEL.DEVICE", "cpu"),
    )
    assert code == 0, shown + errors
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    exact, fast = (next(row for row in rows if row["system"] == system) for system in ("exact", "fast"))
    assert set(exact["accuracy"]) == {"box AP", "mask AP"}
    assert fast["accuracy"]["mask AP"]["verdict"] in ("unchanged", "undecided", "better", "worse")


def test_a_trial_of_the_page(run_tool, tmp_path):
    only = ("--only", "predict", "merge", "paste", "memory")
    code, shown, errors = run_tool("benchmark", "results", "--small", *only, "--output", tmp_path / "results.md")
    assert code == 0, shown + errors
    assert (tmp_path / "results.md").read_text().count("```text") == 4
