"""`benchmark.py projects --small` as a user types it: trained, scored, timed, kept, and a project that fails."""

import json
import os
import subprocess
import sys

import pytest
from helpers import ROOT

from thingstuff.benchmark.projects.table import MARKS

pytestmark = pytest.mark.slow
BROKEN = "raise RuntimeError('half written')\n"


def measure(folder, *arguments):
    command = [
        sys.executable,
        "-m",
        "thingstuff.cli.benchmark",
        "projects",
        "--small",
        "--output",
        "page.md",
        *arguments,
    ]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def test_a_trial_of_the_table(small_shapes, tmp_path):
    package = tmp_path / "projects" / "Broken" / "broken"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(BROKEN)
    (package.parent / "configs").mkdir()
    (package.parent / "configs" / "shapes.yaml").write_text('PROJECT: "Broken"\n')
    (tmp_path / "page.md").write_text(f"# Mine\n\n{MARKS.begin}\n{MARKS.end}\n")
    first = measure(tmp_path, "--only", "mask_rcnn", "YOLACT", "Broken")
    assert first.returncode == 1, first.stderr
    page = (tmp_path / "page.md").read_text()
    assert "Broken failed: PROJECT Broken fails when imported: RuntimeError: half written" in page
    rows = {row["name"]: row for row in json.loads(_record(tmp_path).read_text())["rows"]}
    for name in ("Mask R-CNN", "YOLACT"):
        row = rows[name]
        assert row["failure"] is None
        assert row["training"]["iterations"] in (1, 2)
        assert row["training"]["seconds_a_step"] > 0
        assert set(row["scores"]["numbers"]) == {"box", "mask"}
        assert set(row["latency"]["p50_ms"]) == {"exact", "fast"}
        assert row["latency"]["parameters"] > 1e6
        # the learned weights, and statistics of norms, as float32
        assert row["training"]["weights_mib"] == pytest.approx(4 * row["latency"]["parameters"] / 2**20, rel=0.02)
    second = measure(tmp_path, "--only", "mask_rcnn", "YOLACT")
    assert second.returncode == 0, second.stderr
    assert "[" not in second.stdout.split("model", 1)[0]  # nothing was left to measure
    again = json.loads(_record(tmp_path).read_text())["rows"]
    assert again == [rows["Mask R-CNN"], rows["YOLACT"]]


def _record(folder):
    return folder / "output/benchmark/projects/trial/results.json"
