"""The study's command: what is trained, what is not trained again, and what it refuses."""

import json
import subprocess
import sys

import pytest
from helpers import TINY, assert_one_line
from roipool.run_lock import run_lock
from study_cases import FOLDER, quick, study  # noqa: F401  fixtures

ALL = ["align2", "roipool", "roipool_mask", "align1", "mask14", "mask56"]


def test_every_variant_is_trained_with_one_seed_before_the_next(study, quick):  # noqa: F811
    code, out, err = study("--seeds", 2)
    assert code == 0, err
    assert quick.trained == [(name, seed) for seed in (0, 1) for name in ALL]
    assert "0 of 12 runs are done, 12 to train now" in out


def test_runs_that_are_done_are_not_done_again(study, quick):  # noqa: F811
    study("--seeds", 1, "--variants", "roipool")
    code, out, _ = study("--seeds", 2, "--variants", "roipool,mask28")
    assert code == 0
    assert quick.trained == [("align2", 0), ("roipool", 0), ("align2", 1), ("roipool", 1)]
    assert "2 of 4 runs are done, 2 to train now" in out


def test_a_run_that_was_stopped_begins_anew(study, quick, tmp_path):  # noqa: F811
    quick.failing = {("roipool", 0)}
    code, _, _ = study("--seeds", 1, "--variants", "roipool")
    assert code == 130
    stopped = tmp_path / "study/runs/roipool/seed_0"
    (stopped / "left_over").write_text("of a killed process")
    quick.failing = set()
    assert study("--seeds", 1, "--variants", "roipool")[0] == 0
    assert quick.trained == [("align2", 0), ("roipool", 0), ("roipool", 0)]
    assert not (stopped / "left_over").exists()
    assert (stopped / "scores.json").exists()


def test_a_training_that_outlives_its_study_is_not_mixed_with_another(study, quick, tmp_path):  # noqa: F811
    folder = tmp_path / "study/runs/align2/seed_0"
    with run_lock(folder) as lock:
        left_behind = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
    code, _, err = study("--seeds", 1, "--variants", "align2")
    assert code == 2
    assert_one_line(err, "another process trains in", "align2/seed_0")
    left_behind.kill()
    left_behind.wait()
    left_behind.stdin.close()
    assert study("--seeds", 1, "--variants", "align2")[0] == 0
    assert quick.trained == [("align2", 0)]


def test_a_limit_leaves_the_rest_for_the_next_time(study, quick):  # noqa: F811
    code, out, _ = study("--seeds", 1, "--limit", 1)
    assert code == 0
    assert quick.trained == [("align2", 0)]
    assert "0 of 6 runs are done, 1 to train now" in out
    for _ in range(6):
        assert study("--seeds", 1, "--limit", 1)[0] == 0
    assert quick.trained == [(name, 0) for name in ALL]


def test_several_at_a_time_are_the_same_runs(study, quick):  # noqa: F811
    assert study("--seeds", 2, "--jobs", 4, "--variants", "roipool")[0] == 0
    assert sorted(quick.trained) == [("align2", 0), ("align2", 1), ("roipool", 0), ("roipool", 1)]


def test_the_truth_as_result_scores_100_at_every_threshold(study, quick, tmp_path):  # noqa: F811
    study("--seeds", 1, "--variants", "align2")
    scores = json.loads((tmp_path / "study/runs/align2/seed_0/scores.json").read_text())
    assert set(scores["tasks"]) == {"segm", "bbox"}
    keys = {f"{iou / 100:.2f}" for iou in range(50, 100, 5)} | {"AP", "APs", "APm", "APl"}
    for numbers in scores["tasks"].values():
        assert set(numbers) == keys
        assert all(value == pytest.approx(100) for value in numbers.values() if value is not None)


def test_weights_are_not_kept(study, quick, tmp_path):  # noqa: F811
    study("--seeds", 1, "--variants", "align2")
    assert not list((tmp_path / "study").rglob("*.pth"))


def test_other_scenes_or_keys_need_another_folder(study, quick):  # noqa: F811
    assert study("--seeds", 1, "--variants", "align2", "SOLVER.MAX_ITER", 3)[0] == 0
    for arguments in ((), ("SOLVER.MAX_ITER", 4), ("--scenes", 1, "SOLVER.MAX_ITER", 3)):
        code, _, err = study("--seeds", 1, "--variants", "align2", *arguments)
        assert code == 2
        assert_one_line(err, "is of a study with other scenes or config keys", "--output")
    assert quick.trained == [("align2", 0)]


def test_runs_of_a_changed_config_are_not_averaged(study, quick, tmp_path):  # noqa: F811
    study("--seeds", 2, "--variants", "align2")
    config = tmp_path / "study/runs/align2/seed_1/config.yaml"
    config.write_text(config.read_text().replace("STEPS: 2", "STEPS: 3"))
    code, _, err = study("--seeds", 2, "--variants", "align2")
    assert code == 2
    assert_one_line(err, "seed_1 was trained with another config than", "seed_0")


def test_scores_of_something_else_are_refused(study, quick, tmp_path):  # noqa: F811
    study("--seeds", 1, "--variants", "align2")
    path = tmp_path / "study/runs/align2/seed_0/scores.json"
    for text in ('{"other": 1}', "[]", "{"):
        path.write_text(text)
        code, _, err = study("--seeds", 1, "--variants", "align2")
        assert code == 2
        assert_one_line(err, "scores.json holds no scores of a run of this study: remove it")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seeds", "0"), "--seeds is 0, expected 1 or more"),
        (("--jobs", "-1"), "--jobs is -1, expected 1 or more"),
        (("--threads", "0"), "--threads is 0, expected 1 or more"),
        (("--scenes", "0"), "--scenes is 0, expected 1 or more"),
        (("--limit", "0"), "--limit is 0, expected 1 or more"),
        (("--variants", "roialign"), "there is no variant 'roialign': expected some of align2"),
        (("--variants", ""), "there is no variant ''"),
        (("SOLVER.MAX_ITER",), "config options are pairs of KEY VALUE, got SOLVER.MAX_ITER"),
    ],
)
def test_mistakes_end_in_one_line_and_train_nothing(study, quick, arguments, said):  # noqa: F811
    code, _, err = study(*arguments)
    assert code == 2
    assert_one_line(err, said)
    assert not quick.trained


def test_a_training_that_fails_says_where_and_why(study, tmp_path):  # noqa: F811
    code, _, err = study("--seeds", 1, "--variants", "align2", "SOLVER.MAX_ITRE", 3)
    assert code == 2
    assert_one_line(err, "align2/seed_0 ended with 2", "SOLVER.MAX_ITRE")
    assert (tmp_path / "study/runs/align2/seed_0/terminal.txt").exists()


def test_help_needs_nothing_heavy():
    code = (
        "import runpy, sys; sys.argv = ['study.py', '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: print(*{'torch', 'detectron2', 'numpy'} & set(sys.modules), 'end')"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=True)
    assert shown.stdout.endswith("\nend\n") or shown.stdout.endswith("\n end\n")


@pytest.mark.slow
def test_real_trainings_end_in_tables(tmp_path):
    command = [sys.executable, FOLDER / "study.py", "--seeds", "1", "--variants", "roipool,mask14,mask56"]
    keys = [*TINY, "TEST.PICTURES", "0", "MODEL.RPN.POST_NMS_TOPK_TRAIN", "30", "SOLVER.AMP.PRECISION", "bf16"]
    done = subprocess.run(
        [*command, "--scenes", "3", "--output", tmp_path / "study", *keys], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    compared = json.loads((tmp_path / "study/study.json").read_text())
    assert list(compared) == ["align2", "roipool", "mask14", "mask56"]
    assert (tmp_path / "study/ap_over_iou.png").stat().st_size > 0
