"""tools/benchmark.py as a user meets it: table, file, exit codes, and a light start."""

from __future__ import annotations

import json
import operator
import subprocess
import sys
from pathlib import Path

import pytest

from thingstuff.benchmark.measure import Case, Measurement
from thingstuff.cli import benchmark

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wrong(monkeypatch):
    """A measurement `wrong` whose second case is unequal."""
    cases = [Case(f"case {n}", "reference", lambda: 1, lambda n=n: n, operator.eq) for n in (1, 2)]
    measurement = Measurement("wrong", "never right", lambda parser: None, lambda args: iter(cases))
    monkeypatch.setitem(benchmark.MEASUREMENTS, "wrong", measurement)


def test_mask_ap_prints_a_table_and_writes_json(tmp_path, capsys):
    path = tmp_path / "speed.json"
    assert benchmark.main(["mask-ap", "--images", "3", "--repeats", "1", "--json", str(path)]) == 0
    written = json.loads(path.read_text())
    assert set(written) == {"machine", "rows"}
    assert {"cpu", "cores", "python", "numpy", "torch", "platform"} <= set(written["machine"])
    assert [set(row) for row in written["rows"]] == [
        {"case", "reference", "ours_ms", "reference_ms", "ratio", "equal"}
    ] * 2
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[2:4]] == ["bbox,", "segm,"]
    assert "ratio = reference / ours" in printed


def test_an_unequal_row_fails(wrong, capsys):
    assert benchmark.main(["wrong", "--repeats", "1"]) == 1
    rows = capsys.readouterr().out.splitlines()[2:4]
    assert [row.split()[-1] for row in rows] == ["yes", "no"]


def test_no_repeats_are_refused(capsys):
    assert benchmark.main(["mask-ap", "--repeats", "0"]) == 2
    assert "--repeats must be 1 or more, got 0" in capsys.readouterr().err


def test_help_loads_nothing_heavy():
    script = ROOT / "tools/benchmark.py"
    code = (
        f"import runpy, sys; sys.argv = ['benchmark', '--help']\n"
        f"try: runpy.run_path({str(script)!r}, run_name='__main__')\n"
        f"except SystemExit: pass\n"
        f"print('loaded', sorted({{'torch', 'detectron2', 'hotcoco', 'pycocotools'}} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "mask-ap" in answer.stdout
    assert answer.stdout.endswith("loaded []\n")
