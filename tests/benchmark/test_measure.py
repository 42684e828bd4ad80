"""What a measurement reports, with programs whose answers and turns are known; no time is asserted."""

from __future__ import annotations

import operator

import pytest

from thingstuff.benchmark import machine
from thingstuff.benchmark.measure import Case, measure


def recorder(answers):
    """A case that notes who ran, and whose programs give `answers` in turn."""
    ran = []

    def program(name):
        def run():
            ran.append(name)
            return answers[name].pop(0)

        return run

    return Case("case", "reference 1.0", program("ours"), program("theirs"), operator.eq), ran


def test_programs_alternate_after_one_unmeasured_turn():
    case, ran = recorder({"ours": [1] * 4, "theirs": [1] * 4})
    measure(case, 3)
    assert ran == ["ours", "theirs", "ours", "theirs", "theirs", "ours", "ours", "theirs"]


def test_row_holds_medians_and_their_ratio(monkeypatch):
    ticks = iter([0, 1, 1, 4, 4, 10, 10, 15, 15, 16, 16, 21])  # seconds: 1 and 3, then (theirs first) 6 and 5, 1 and 5
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    row = measure(recorder({"ours": [1] * 4, "theirs": [1] * 4})[0], 3)
    assert (row.ours_ms, row.reference_ms, row.ratio) == (1000, 5000, 5000 / 1000)  # medians of 1 5 1 and of 3 6 5
    assert (row.case, row.reference) == ("case", "reference 1.0")


@pytest.mark.parametrize("wrong_turn", range(4))
def test_one_unequal_answer_makes_the_row_unequal(wrong_turn):
    theirs = [1] * 4
    theirs[wrong_turn] = 2
    assert not measure(recorder({"ours": [1] * 4, "theirs": theirs})[0], 3).equal
    assert measure(recorder({"ours": [1] * 4, "theirs": [1] * 4})[0], 3).equal


def test_machine_says_what_it_cannot_find(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_PACKAGES", ("numpy", "no-such-package"))
    described = machine.describe_machine()
    assert described["no-such-package"] is None
    assert described["numpy"]
    assert described["cores"] >= 1
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A CPU: fast\n")
    assert machine._cpu_model(tmp_path / "cpuinfo") == "A CPU: fast"


def test_machine_names_the_instructions_that_matter(tmp_path):
    x86, arm = tmp_path / "x86", tmp_path / "arm"
    x86.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16 sse amx_bf16 avx2\n")
    arm.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert machine._instructions(x86) == "avx2 avx512_bf16 amx_bf16"
    assert machine._instructions(arm) == "asimd bf16"
    assert machine._instructions(tmp_path / "absent") is None
