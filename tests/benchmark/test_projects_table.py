"""tools/benchmark.py projects: which configs are measured, what is kept, what a failure leaves, and the table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import assert_one_line

from thingstuff.benchmark.projects import run
from thingstuff.benchmark.projects.child import ChildError, run_child
from thingstuff.benchmark.projects.entries import YARDSTICK, Entry, chosen, find_entries
from thingstuff.benchmark.projects.row import ProjectRow
from thingstuff.benchmark.projects.settings import Settings
from thingstuff.benchmark.projects.table import MARKS, project_table
from thingstuff.benchmark.projects.training import Training, config_key, kept_training
from thingstuff.config import load_config
from thingstuff.config.projects import project_folders
from thingstuff.errors import ConfigError
from thingstuff.files import write_json

MACHINE = {"cpu": "A CPU", "gpu": None, "python": "3.11", "torch": "2.14", "detectron2": None}
SETTINGS = Settings(seconds=100, scenes=4)


# ---- which ----------------------------------------------------------------------------------------------------------


def test_every_shapes_config_of_every_project_has_a_row_behind_the_yardstick(tmp_path):
    for name in ("Zebra/configs/shapes.yaml", "Zebra/configs/shapes_large_one.yaml", "ant/configs/shapes.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "Bare/configs").mkdir(parents=True)
    (tmp_path / "Bare/configs/coco.yaml").touch()
    entries = find_entries({name: tmp_path / name for name in ("Zebra", "ant", "Bare")})
    assert [entry.name for entry in entries] == [YARDSTICK, "ant", "Zebra", "Zebra large one"]
    assert [entry.slug for entry in entries] == ["mask_r_cnn", "ant", "zebra", "zebra_large_one"]
    assert entries[-1].config_file == str(tmp_path / "Zebra/configs/shapes_large_one.yaml")


def test_the_projects_of_the_checkout_are_found():
    names = [entry.name for entry in find_entries(project_folders())]
    assert {YARDSTICK, "YOLACT", "SOLOv2", "TorchvisionMaskRCNN"} <= set(names)


def test_some_are_chosen_by_project_or_row_however_they_are_spelt():
    entries = [Entry(YARDSTICK, "m"), Entry("Zebra", "z", "Zebra"), Entry("Zebra large", "l", "Zebra")]
    assert chosen(entries, []) == entries
    assert chosen(entries, ["zebra"]) == entries[1:]
    assert chosen(entries, ["zebra_large", "mask_rcnn"]) == [entries[0], entries[2]]
    with pytest.raises(ConfigError, match="--only: there is no 'Zebr': did you mean 'Zebra'"):
        chosen(entries, ["Zebr"])


# ---- how ------------------------------------------------------------------------------------------------------------


def test_as_many_steps_as_go_into_the_time():
    assert Settings(seconds=420).iterations(0.5) == 840
    assert Settings(seconds=1).iterations(30.0) == 1
    assert Settings.trial(1, 0, ()).iterations(0.001) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seconds", "0"], "--seconds must be more than 0, got 0"),
        (["--seconds", "nan"], "--seconds must be more than 0, got nan"),
        (["--threads", "0"], "--threads must be 1 or more, got 0"),
        (["--scenes", "1"], "--scenes must be 2 or more, got 1"),
        (["--only", "YOLAC"], "--only: there is no 'YOLAC': did you mean 'YOLACT'?"),
        (["--output", "no/page.md"], "--output no/page.md: expected a page with the lines"),
    ],
)
def test_odd_arguments_are_refused_before_anything_is_trained(run_tool, arguments, words):
    code, _, errors = run_tool("benchmark", "projects", *arguments)
    assert code == 2
    assert_one_line(errors, words)


def test_a_list_measures_nothing(run_tool, tmp_path):
    code, out, _ = run_tool("benchmark", "projects", "--list", "--only", "yolact", "--work", tmp_path / "work")
    assert code == 0
    assert out.split()[0] == "YOLACT"
    assert not (tmp_path / "work").exists()


def test_a_kept_training_counts_for_its_config_and_settings_alone(tmp_path):
    cfg = load_config("thingstuff://shapes/mask_rcnn.yaml")
    key = config_key(cfg, SETTINGS)
    weights = tmp_path / "w.safetensors"
    weights.touch()
    trained = Training(key, 0.5, 200, 101.0, str(weights), 40.0)
    write_json(tmp_path / "training.json", vars(trained))
    assert kept_training(tmp_path, key) == trained
    assert kept_training(tmp_path, config_key(cfg, replace(SETTINGS, seconds=99))) is None
    cfg.SOLVER.BASE_LR = 0.5
    assert kept_training(tmp_path, config_key(cfg, SETTINGS)) is None
    weights.unlink()
    assert kept_training(tmp_path, key) is None
    assert kept_training(tmp_path / "absent", key) is None


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        ("thingstuff.cli.train_net", ["--config-file", "no.yaml"], "no.yaml"),
        ("json.tool", ["no.json"], "No such file"),
        ("no.such.module", [], "no"),
    ],
)
def test_a_process_that_fails_tells_its_reason(tmp_path, module, arguments, words):
    with pytest.raises(ChildError, match=words) as caught:
        run_child(module, arguments, tmp_path / "log", threads=1)
    assert len(str(caught.value).splitlines()) == 1
    assert ": error:" not in str(caught.value)


# ---- one after the other --------------------------------------------------------------------------------------------

SCORES = {
    "numbers": {"box": {"AP": 50.0}, "mask": {"AP": 40.0, "AP50": 60.0}},
    "intervals": {"mask AP": {"value": 40.0, "low": 38.04, "high": 42.0}},
    "things": {"pq": 55.55, "sq": 80.0, "rq": 70.0, "threshold": 0.4, "images": 3},
    "own_pq": None,
}
LATENCY = {"p50_ms": {"exact": 61.0, "fast": 31.0}, "parameters": 12_400_000, "gflop": 6.0}


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Trainings and measurements that cost nothing: which were done, and of whom something fails with which words."""
    done, failing = [], {}

    def train(entry, key, settings, folder, say):
        done.append(f"train {entry.name}")
        if entry.name in failing:
            raise ChildError(failing[entry.name])
        weights = folder / "w.safetensors"
        weights.touch()
        training = Training(key, 0.5, 200, 99.6, str(weights), 47.3)
        write_json(folder / "training.json", vars(training))
        return training

    def score(entry, *_):
        done.append(f"score {entry.name}")
        if f"score {entry.name}" in failing:
            raise ChildError(failing[f"score {entry.name}"])
        return SCORES

    monkeypatch.setattr(run, "train_entry", train)
    monkeypatch.setattr(run, "score_entry", score)
    monkeypatch.setattr(run, "draw_scenes", lambda folder, count: None)
    monkeypatch.setattr("thingstuff.benchmark.projects.latency.latencies", lambda *_: {})
    monkeypatch.setattr("thingstuff.benchmark.projects.latency.latency_record", lambda _: LATENCY)
    return done, failing


ENTRIES = [Entry(name, "thingstuff://shapes/mask_rcnn.yaml") for name in (YARDSTICK, "A", "B")]


def test_what_is_done_is_not_done_again_and_what_failed_is(measured, tmp_path):
    done, failing = measured
    failing |= {"A": "it diverged", "score B": "no room"}
    said = []
    report = run.measure_projects(ENTRIES, ENTRIES, SETTINGS, tmp_path, said.append)
    assert [row.failure for row in report.rows] == [None, "it diverged", "no room"]
    assert not report.is_whole
    assert report.rows[2].training.iterations == 200
    assert said[0].startswith("[1/3] Mask R-CNN: ")
    assert all(line.endswith("left)") for line in said)
    done.clear()
    failing.clear()
    report = run.measure_projects(ENTRIES, ENTRIES, SETTINGS, tmp_path, said.append)
    assert done == ["train A", "score A", "score B"]
    assert report.is_whole
    done.clear()
    assert run.measure_projects(ENTRIES, ENTRIES, SETTINGS, tmp_path, said.append).is_whole
    assert done == []


def test_of_those_that_were_not_asked_for_earlier_rows_stay(measured, tmp_path):
    run.measure_projects(ENTRIES, ENTRIES[:1], SETTINGS, tmp_path, str)
    report = run.measure_projects(ENTRIES, ENTRIES[1:2], SETTINGS, tmp_path, str)
    assert [row.name for row in report.rows] == [YARDSTICK, "A"]
    assert report.unmeasured == ["B"]
    other = run.measure_projects(ENTRIES, ENTRIES[2:], replace(SETTINGS, seconds=7), tmp_path, str)
    assert [row.name for row in other.rows] == ["B"]


def test_a_config_that_cannot_be_loaded_is_a_row_and_the_others_go_on(measured, tmp_path):
    entries = [Entry("Broken", str(tmp_path / "no.yaml")), ENTRIES[0]]
    report = run.measure_projects(entries, entries, SETTINGS, tmp_path, str)
    assert "no.yaml" in report.rows[0].failure
    assert report.rows[1].failure is None


def test_a_failure_is_told_by_the_exit_code_and_the_rest_is_written(measured, tmp_path, run_tool, monkeypatch):
    _, failing = measured
    failing["A"] = "it diverged"
    monkeypatch.setattr("thingstuff.benchmark.projects.entries.find_entries", lambda _: ENTRIES)
    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n\n{MARKS.begin}\nold\n{MARKS.end}\nmore\n")
    arguments = ["--work", tmp_path / "work", "--output", page, "--seconds", "100"]
    code, out, _ = run_tool("benchmark", "projects", *arguments)
    assert code == 1
    assert "A failed: it diverged" in out
    assert "| A (failed)" in page.read_text()
    record = json.loads((tmp_path / "work/results.json").read_text())
    assert [row["failure"] for row in record["rows"]] == [None, "it diverged", None]
    assert "weights" not in record["rows"][0]["training"]
    failing.clear()
    assert run_tool("benchmark", "projects", *arguments)[0] == 0
    assert "failed" not in page.read_text()


# ---- the table ------------------------------------------------------------------------------------------------------


def row(name, mask_ap, **changes):
    numbers = {"box": {"AP": 50.0}, "mask": {"AP": mask_ap, "AP50": 60.0}}
    training = Training("key", 0.5, 200, 99.6, "/somewhere/w.safetensors", 47.3)
    return replace(ProjectRow(name, training, SCORES | {"numbers": numbers}, LATENCY), **changes)


def test_the_table_tells_the_share_of_the_yardsticks_ap():
    rows = [row(YARDSTICK, 40.0), row("A", 30.0), row("B", 20.0, training=None, failure="no room")]
    table = project_table(rows, SETTINGS, MACHINE)
    lines = table.markdown().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:5]]
    first = [YARDSTICK, "40.0", "38.0 to 42.0", "100 %", "50.0", "60.0", "55.5", "61.0", "31.0", "12.4 M", "6.00"]
    assert cells[0][:6] == first[:6]
    assert cells[0][7:] == [*first[7:], "47.3", "200", "100"]
    assert [one[3] for one in cells] == ["100 %", "75 %", "50 %"]
    assert cells[2][-3:] == ["-", "-", "-"]
    text = table.markdown()
    assert "B failed: no room" in text
    assert "`tools/benchmark.py projects --seconds 100 --threads 1 --scenes 4 --seed 0` on A CPU" in text
    assert "/somewhere" not in text


def test_a_model_with_boxes_alone_and_a_table_without_a_yardstick():
    boxes = ProjectRow("A", None, SCORES | {"numbers": {"box": {"AP": 50.0}}, "things": None}, LATENCY)
    (line,) = project_table([boxes], SETTINGS, MACHINE).markdown().splitlines()[2:3]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:7] == ["A", "-", "38.0 to 42.0", "-", "50.0", "-", "-"]


def test_the_page_of_projects_has_the_marks():
    assert MARKS.require(Path(__file__).parents[2] / "projects/README.md")
