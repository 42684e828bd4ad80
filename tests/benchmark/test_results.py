"""tools/benchmark.py results: the page of what was measured, from runs whose output is known."""

import subprocess

import pytest

from thingstuff.benchmark import results
from thingstuff.errors import ConfigError, SetupError

MACHINE = {"cpu": "A | CPU", "gpu": None, "torch": "2.14"}


@pytest.fixture
def ran(monkeypatch):
    """What was run, each with this output and exit code."""
    called, answers = [], {"code": 0, "out": "case  ms\nA     1\n", "err": ""}

    def run(command, **_):
        called.append(command[3:])
        return subprocess.CompletedProcess(command, answers["code"], answers["out"], answers["err"])

    monkeypatch.setattr(results.subprocess, "run", run)
    monkeypatch.setattr(results, "_has_gpu", lambda: False)
    monkeypatch.setattr(results, "_is_installed", lambda package: True)
    return called, answers


def write(path, **options):
    return results.write_results(path, lambda: MACHINE, **options)


def test_a_page_holds_every_run_with_its_command_and_the_machine(ran, tmp_path):
    called, _ = ran
    done = write(tmp_path / "results.md")
    page = (tmp_path / "results.md").read_text()
    assert [tuple(arguments) for arguments in called] == [run.arguments for run in results.RUNS]
    for run in results.RUNS:
        assert f"## {run.title}\n\n    tools/benchmark.py {' '.join(run.arguments)}\n\ntook " in page
    assert page.count("```text\ncase  ms\nA     1\n```") == len(results.RUNS)
    assert "A \\| CPU" in page
    assert "gpu" not in page
    assert all(one.equal for one in done)


def test_the_page_is_the_same_again_but_for_the_seconds(ran, tmp_path, monkeypatch):
    monkeypatch.setattr("time.perf_counter", lambda: 1.0)
    for name in ("one", "other"):
        write(tmp_path / f"{name}.md", names=["merge", "paste"])
    assert (tmp_path / "one.md").read_bytes() == (tmp_path / "other.md").read_bytes()


def test_a_run_of_some_replaces_their_sections_and_keeps_the_others(ran, tmp_path, monkeypatch):
    _, answers = ran
    page = tmp_path / "results.md"
    write(page)
    before = page.read_text()
    answers["out"] = "case  ms\nA     2\n"
    write(page, names=["merge"])
    after = page.read_text()
    title = next(run.title for run in results.RUNS if run.name == "merge")
    assert [line for line in after.splitlines() if line.startswith("#")] == [
        line for line in before.splitlines() if line.startswith("#")
    ]
    start, end = before.index(f"## {title}"), before.index("## ", before.index(f"## {title}") + 2)
    assert after[:start] == before[:start]
    assert "A     2" in after[start:end]
    assert after[end:] == before[end:]
    assert "on another day" not in after


def test_a_section_of_another_machine_says_so(ran, tmp_path):
    page = tmp_path / "results.md"
    write(page, names=["paste", "merge"])
    results.write_results(page, lambda: MACHINE | {"torch": "2.15"}, names=["paste"])
    text = page.read_text()
    assert text.count(", on another day with torch 2.15:\n") == 1
    assert text.index("on another day") > text.index("tools/benchmark.py paste")


@pytest.mark.parametrize("other", ["# Notes\n\nof mine\n", None])
def test_a_page_of_another_kind_is_replaced_as_a_whole(ran, tmp_path, other):
    page = tmp_path / "results.md"
    if other is None:
        write(page, small=True)
    else:
        page.write_text(other)
    write(page, names=["merge"])
    assert page.read_text().count("## ") == 1
    assert "mean nothing" not in page.read_text()


def test_a_trial_says_that_it_is_one(ran, tmp_path):
    called, _ = ran
    write(tmp_path / "results.md", names=["merge"], small=True)
    assert called == [list(next(run.small for run in results.RUNS if run.name == "merge"))]
    assert "these numbers mean nothing" in (tmp_path / "results.md").read_text()


def test_with_a_gpu_both_devices_are_measured(ran, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_has_gpu", lambda: True)
    called, _ = ran
    write(tmp_path / "results.md", names=["predict", "merge"])
    assert [arguments[-3:] for arguments in called[:2]] == [["--opts", "MODEL.DEVICE", d] for d in ("cpu", "cuda")]
    assert len(called) == 3
    called.clear()
    write(tmp_path / "results.md", names=["train"], small=True)
    assert [arguments[arguments.index("MODEL.DEVICE") + 1] for arguments in called] == ["cpu", "cuda"]
    assert all(arguments[-2:] == ["MODEL.ROI_HEADS.NUM_CLASSES", "80"] for arguments in called)


def test_what_an_extra_is_missing_for_is_left_out(ran, tmp_path, monkeypatch, capsys):
    called, _ = ran
    monkeypatch.setattr(results, "_is_installed", lambda package: package is None)
    write(tmp_path / "results.md")
    assert "ray" not in [arguments[0] for arguments in called]
    assert "Bulk prediction with Ray: left out, since ray is not installed" in capsys.readouterr().out


def test_unequal_answers_are_written_and_said(ran, tmp_path, run_tool):
    _, answers = ran
    answers["code"] = results.EXIT_UNEQUAL
    code, _, _ = run_tool("benchmark", "results", "--output", tmp_path / "results.md", "--only", "merge")
    assert code == 1
    assert "Not all answers were as they should be" in (tmp_path / "results.md").read_text()


def test_a_run_that_fails_leaves_the_page_as_it_was(ran, tmp_path):
    _, answers = ran
    (tmp_path / "results.md").write_text("earlier")
    answers.update(code=2, out="", err="warning\nbenchmark: error: no such device\n")
    with pytest.raises(SetupError, match=r"merge --instances 100 failed: no such device"):
        write(tmp_path / "results.md", names=["merge"])
    assert (tmp_path / "results.md").read_text() == "earlier"


def test_unknown_names_and_other_files_are_refused(ran, tmp_path, run_tool):
    with pytest.raises(ConfigError, match="--only: there is no 'speed': choose some of predict, merge"):
        write(tmp_path / "results.md", names=["speed"])
    code, _, errors = run_tool("benchmark", "results", "--output", tmp_path / "results.txt")
    assert code == 2
    assert "its name ends in .md" in errors
