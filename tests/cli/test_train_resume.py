"""Trainings that are gone on with, and what watches them, each as a user's config asks for it."""

import json

import pytest
import torch
from helpers import TINY, assert_one_line

from thingstuff.engine.run import train
from thingstuff.engine.training.trainer import Trainer
from thingstuff.errors import SetupError

EVERYTHING = (
    *("SOLVER.EMA_DECAY", "0.9", "SOLVER.MICRO_BATCHES", "2", "SOLVER.CHECKPOINT_PERIOD", "2"),
    *("TEST.LOSS_PERIOD", "2", "TEST.LOSS_IMAGES", "3", "TEST.BEST_METRIC", "validation_loss"),
)


class KilledError(Exception):
    pass


class FailsAtTheThird(Trainer):
    def before_step(self):
        if self.iter == 3:
            raise KilledError
        super().before_step()


def tensors(folder, name="model_final.pth"):
    content = torch.load(folder / name, weights_only=True)
    return (
        content["model"],
        content["trainer"]["_trainer"]["optimizer"]["state"],
        content["trainer"]["averaged"]["other"],
    )


@pytest.fixture(scope="module")
def runs(small_shapes, tmp_path_factory):
    """The folder of a training of five steps, and of one that ended after its third and was gone on with."""
    from thingstuff.config import load_config

    root = tmp_path_factory.mktemp("resumed")
    for name, classes in (("straight", [Trainer]), ("resumed", [FailsAtTheThird, Trainer])):
        for number, trainer_class in enumerate(classes):
            more = ["SOLVER.MAX_ITER", "5", "OUTPUT_DIR", str(root / name)]
            cfg = load_config("thingstuff://shapes/mask_rcnn.yaml", [*TINY, *EVERYTHING, *more])
            try:
                train(cfg, resume=number > 0, trainer_class=trainer_class)
            except KilledError:
                assert trainer_class is FailsAtTheThird
    return root / "straight", root / "resumed"


def test_a_resumed_training_ends_the_same(runs):
    for one, other in zip(*map(tensors, runs), strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            parts = (value, other[key]) if isinstance(value, dict) else ({"": value}, {"": other[key]})
            assert all(torch.equal(parts[0][name], parts[1][name]) for name in parts[0])


def test_its_metrics_are_those_of_one_training(runs):
    for folder in runs:
        lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
        steps = [line["iteration"] for line in lines]
        assert sorted(steps) == sorted(set(steps))
        last = next(line for line in reversed(lines) if "validation_loss" in line)
        parts = [value for key, value in last.items() if key.startswith("validation/")]
        assert last["validation_loss"] == pytest.approx(sum(parts))
        assert any(line.get("peak_memory_mib", 0) > 0 for line in lines)
        assert all(line["grad_norm"] > 0 for line in lines if "total_loss" in line)


def test_the_best_weights_lie_beside_the_last(runs):
    for folder in runs:
        assert set(torch.load(folder / "model_best.pth", weights_only=True)) == {"model", "iteration"}
        assert (folder / "model_best.pth.sha256").is_file()
    best = [torch.load(folder / "model_best.pth", weights_only=True) for folder in runs]
    assert best[0]["iteration"] == best[1]["iteration"]
    assert all(torch.equal(value, best[1]["model"][name]) for name, value in best[0]["model"].items())


def test_the_weights_of_a_file_are_the_mean(runs):
    weights, _, own = tensors(runs[0])
    assert any(not torch.equal(weights[name], own[name]) for name in weights)


def test_another_config_is_refused_with_what_differs(runs, run_tool):
    recipe = ("--config-file", "thingstuff://shapes/mask_rcnn.yaml", "--resume")
    own = (*TINY, *EVERYTHING, "SOLVER.MAX_ITER", "5", "OUTPUT_DIR", runs[0], "INPUT.RANDOM_FLIP", "none")
    code, _, error = run_tool("train_net", *recipe, *own)
    assert code == 2
    assert_one_line(error, "INPUT.RANDOM_FLIP is horizontal there and none here", "begin anew without --resume")


def test_a_new_rate_counts_from_the_resume_on(runs, run_tool, tmp_path):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    (folder / "last_checkpoint").write_text("model_0000001.pth")
    recipe = ("--config-file", "thingstuff://shapes/mask_rcnn.yaml", "--resume")
    own = (*TINY, *EVERYTHING, "SOLVER.MAX_ITER", "5", "OUTPUT_DIR", folder, "SOLVER.BASE_LR", "0.0001")
    code, _, error = run_tool("train_net", *recipe, *own)
    assert code == 0, error
    rates = [group["initial_lr"] for group in tensors_of_groups(folder)]
    assert set(rates) == {0.0001}
    log = (folder / "log.txt").read_text()
    assert "going on with SOLVER.BASE_LR 0.0001" in log
    assert "tensors of" in log, "what was told before the log was opened is in it too"


def tensors_of_groups(folder):
    state = torch.load(folder / "model_final.pth", weights_only=True)["trainer"]["_trainer"]["optimizer"]
    return state["param_groups"]


def test_a_damaged_last_checkpoint_is_passed_over(runs, run_tool, tmp_path):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    with (folder / "model_final.pth").open("r+b") as file:
        file.truncate(1000)
    recipe = ("--config-file", "thingstuff://shapes/mask_rcnn.yaml", "--resume")
    own = (*TINY, *EVERYTHING, "SOLVER.MAX_ITER", "5", "OUTPUT_DIR", folder)
    code, _, error = run_tool("train_net", *recipe, *own)
    assert code == 0, error
    assert "model_final.pth" in (folder / "log.txt").read_text()
    assert all(torch.equal(value, tensors(folder)[0][name]) for name, value in tensors(runs[0])[0].items())


class LosesItsLoader(Trainer):
    def _next_batches(self):
        if self.iter == 3:
            raise SetupError("a process that loads images was killed")
        return super()._next_batches()


def test_what_is_done_is_kept_when_images_cannot_be_loaded(small_shapes, tmp_path):
    from thingstuff.config import load_config

    cfg = load_config(
        "thingstuff://shapes/mask_rcnn.yaml", [*TINY, "SOLVER.MAX_ITER", "5", "OUTPUT_DIR", str(tmp_path)]
    )
    with pytest.raises(SetupError):
        train(cfg, trainer_class=LosesItsLoader)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000002.pth"
    assert torch.load(tmp_path / "model_0000002.pth", weights_only=True)["trainer"]["iteration"] == 2
    assert not (tmp_path / "model_final.pth").exists()


def test_it_ends_early_when_nothing_gets_better(run_tool, small_shapes, tmp_path):
    """A rate so small that every loss is the same, which is not better."""
    watch = ("TEST.LOSS_PERIOD", "1", "TEST.BEST_METRIC", "validation_loss", "TEST.PATIENCE", "2")
    own = (*TINY, *watch, "SOLVER.MAX_ITER", "9", "SOLVER.BASE_LR", "1e-30", "SOLVER.BASE_LR_END", "0.0")
    frozen = ("MODEL.RESNETS.NORM", "FrozenBN", "MODEL.FPN.NORM", "", "SOLVER.SAFETENSORS", "True")
    arguments = ("--config-file", "thingstuff://shapes/mask_rcnn.yaml", *own, *frozen, "OUTPUT_DIR", tmp_path / "run")
    code, _, error = run_tool("train_net", *arguments)
    assert code == 0, error
    assert json.loads((tmp_path / "run/results.json").read_text())["iterations"] == 3
    assert "no better 2 times in a row: the training ends after 3 steps" in (tmp_path / "run/log.txt").read_text()
    from safetensors.torch import load_file

    weights = torch.load(tmp_path / "run/model_final.pth", weights_only=True)["model"]
    written = load_file(tmp_path / "run/model_final.safetensors")
    assert all(torch.equal(value, written[name]) for name, value in weights.items())


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("SOLVER.BASE_LR", "0.0"), ("SOLVER.BASE_LR is 0, expected a number above 0",)),
        (("SOLVER.BASE_LR", "30.0"), ("SOLVER.BASE_LR 30 is huge for ADAMW",)),
        (("SOLVER.MICRO_BATCHES", "3"), ("SOLVER.MICRO_BATCHES is 3, expected a divisor of the 2 images",)),
        (
            ("TEST.BEST_METRIC", "segm/APX", "TEST.EVAL_PERIOD", "1"),
            ("TEST.BEST_METRIC is segm/APX, which no evaluation gives: did you mean segm/AP", "?"),
        ),
        (("TEST.BEST_METRIC", "validation_loss"), ("needs TEST.LOSS_PERIOD",)),
        (("TEST.LOSS_PERIOD", "1", "DATASETS.TEST", "()"), ("TEST.LOSS_PERIOD needs a test set",)),
        (("TEST.PATIENCE", "3"), ("TEST.PATIENCE needs a number to watch",)),
        (("SOLVER.CHECKPOINTS_KEPT", "-3"), ("SOLVER.CHECKPOINTS_KEPT is -3, expected 0 or more",)),
        (("INPUT.MAX_PIXELS", "3"), ("INPUT.MAX_PIXELS is 3, expected 1024 or more",)),
        (("SOLVER.ON_BAD_LOSS", "wait"), ("SOLVER.ON_BAD_LOSS is wait, expected one of skip, stop",)),
    ],
)
def test_what_cannot_be_meant_is_one_line(run_tool, small_shapes, tmp_path, options, parts):
    arguments = ("--config-file", "thingstuff://shapes/mask_rcnn.yaml", *TINY, *options, "OUTPUT_DIR", tmp_path / "run")
    code, _, error = run_tool("train_net", *arguments)
    assert code == 2
    assert_one_line(error, *parts)
