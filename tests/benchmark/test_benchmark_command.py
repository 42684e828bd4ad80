"""tools/benchmark.py as a user meets it: table, file, exit codes, and a light start."""

from __future__ import annotations

import json
import operator
import subprocess
import sys
from pathlib import Path

import pytest

from thingstuff.benchmark.measure import Case, Measurement, MemoryRow
from thingstuff.benchmark.registry import MEASUREMENTS
from thingstuff.cli import benchmark

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wrong(monkeypatch):
    """A measurement `wrong` whose second case is unequal."""
    cases = [Case(f"case {n}", "reference", lambda: 1, lambda n=n: n, operator.eq) for n in (1, 2)]
    measurement = Measurement("wrong", "never right", lambda parser: None, lambda args: iter(cases))
    monkeypatch.setitem(MEASUREMENTS, "wrong", measurement)


@pytest.fixture
def small(monkeypatch):
    """What two images of AP take on the command line."""
    monkeypatch.setenv("RAYON_NUM_THREADS", "1")
    return ["evaluate", "--parts", "ap", "--images", "2"]


def test_evaluate_prints_a_table_and_writes_json(small, tmp_path, capsys):
    path = tmp_path / "speed.json"
    assert benchmark.main([*small, "--repeats", "1", "--json", str(path)]) == 0
    written = json.loads(path.read_text())
    assert set(written) == {"machine", "rows"}
    assert {"cpu", "cores", "python", "numpy", "torch", "platform"} <= set(written["machine"])
    assert [set(row) for row in written["rows"]] == [
        {"case", "reference", "ours_ms", "reference_ms", "ratio", "equal"}
    ] * 6
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:8]] == ["mask"] * 3 + ["box"] * 3
    assert "ours ms" in lines[0]
    assert "median of 1 alternating turns; ratio = reference / ours" in lines[8]
    assert lines[9] == "threads that a library may use: 1"


def test_memory_has_a_table_of_its_own(monkeypatch, tmp_path, capsys):
    rows = [MemoryRow("case 1", "reference", 2.0, 5.0, 2.5, True), MemoryRow("case 2", "reference", 4, 2, 0.5, False)]
    measurement = Measurement("light", "in memory", lambda parser: None, lambda args: iter(()), lambda args: iter(rows))
    monkeypatch.setitem(MEASUREMENTS, "light", measurement)
    path = tmp_path / "memory.json"
    assert benchmark.main(["light", "--memory", "--json", str(path)]) == 1  # the second row is unequal
    assert json.loads(path.read_text())["rows"] == [vars(row) for row in rows]
    lines = capsys.readouterr().out.splitlines()
    assert "ours MiB" in lines[0]
    assert lines[2].split()[-4:] == ["2.00", "5.00", "2.50", "yes"]
    assert lines[4].startswith("peak above the loaded records")


def test_memory_is_an_option_only_where_it_is_measured(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["merge", "--memory"])
    assert "unrecognized arguments: --memory" in capsys.readouterr().err


def test_an_unequal_row_fails(wrong, capsys):
    assert benchmark.main(["wrong", "--repeats", "1"]) == 1
    rows = capsys.readouterr().out.splitlines()[2:4]
    assert [row.split()[-1] for row in rows] == ["yes", "no"]


def test_no_repeats_are_refused(capsys):
    assert benchmark.main(["evaluate", "--repeats", "0"]) == 2
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
    assert "evaluate" in answer.stdout
    assert answer.stdout.endswith("loaded []\n")
