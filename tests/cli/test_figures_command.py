"""`tools/figures.py`: figures of results and trainings from their files alone."""

import json

import cv2
import pytest
from helpers import assert_one_line


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    steps = [{"iteration": n, "total_loss": 2.0 - 0.1 * n, "loss_mask": 1.0 - 0.05 * n, "lr": 0.1} for n in range(9)]
    (folder / "metrics.json").write_text("\n".join(map(json.dumps, steps)))
    metrics = {"AP": 50.0, "APs": 30.0, "APm": 50.0, "APl": 60.0, "AP-cat": 40.0, "AP-dog": 60.0}
    (folder / "results.json").write_text(json.dumps({"results": {"set": {"segm": metrics}}}))
    return folder


def test_a_training_and_its_results(run_tool, run_folder, tmp_path):
    code, out, error = run_tool("figures", run_folder, "--output", tmp_path / "out", "--format", "png")
    assert code == 0, error
    written = {path.name for path in (tmp_path / "out").rglob("*.png")}
    assert {"training.png", "classes_segm.png", "sizes.png"} <= written
    assert all(cv2.imread(line) is not None for line in out.split())


def test_several_results_have_folders_of_their_own(run_tool, run_folder, tmp_path):
    path = run_folder / "results.json"
    code, _, error = run_tool("figures", path, path, "--output", tmp_path / "out")
    assert code == 0, error
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"1_run", "2_run"}


def test_what_has_nothing_to_draw_is_named(run_tool, tmp_path):
    (tmp_path / "empty").mkdir()
    for source, words in (("empty", "neither metrics.json nor results.json"), ("absent.json", "absent.json")):
        code, _, error = run_tool("figures", tmp_path / source, "--output", tmp_path / "out")
        assert code == 2
        assert_one_line(error, words)
