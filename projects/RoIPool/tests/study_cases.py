"""A study whose trainings take no time: each writes the files that a training would, with the truth as its results."""

import json
from pathlib import Path

import pytest
from helpers import load_script
from roipool import runs

FOLDER = Path(__file__).parents[1]


class QuickTrainings:
    """Stands in for the processes of `train_net`. `trained` says for which variant and seed it was asked.

    The first result of each category is left out in seed 0 of every variant but the baseline, so that they differ.
    """

    def __init__(self):
        self.trained = []
        self.failing = set()

    def __call__(self, run, setting, lock):
        self.trained.append((run.variant.name, run.seed))
        if self.trained[-1] in self.failing:
            raise KeyboardInterrupt
        (run.folder / "inference").mkdir()
        truth = json.loads((run.study / "datasets/shapes/annotations/instances_val.json").read_text())
        found = [_as_result(each) for each in truth["annotations"] if not each["iscrowd"]]
        if run.seed == 0 and run.variant.name != "align2":
            found = found[1:]
        (run.folder / "inference/coco_instances_results.json").write_text(json.dumps(found))
        (run.folder / "results.json").write_text(json.dumps({"train_seconds": 60.0}))
        (run.folder / "config.yaml").write_text(f"SEED: {run.seed}\nOUTPUT_DIR: {run.folder}\nSTEPS: 2\n")
        (run.folder / "model_final.pth").write_bytes(b"weights")


def _as_result(annotation):
    kept = {key: annotation[key] for key in ("image_id", "category_id", "segmentation", "bbox")}
    return {**kept, "score": 0.9}


@pytest.fixture
def quick(monkeypatch):
    trainings = QuickTrainings()
    monkeypatch.setattr(runs, "_train_net", trainings)
    return trainings


@pytest.fixture
def study(monkeypatch, capsys, tmp_path):
    """A function: arguments -> (exit code, output, errors), with few scenes and a folder of its own."""
    main = load_script(FOLDER / "study.py").main
    monkeypatch.setattr(runs.Scenes, "__init__", _few_scenes(runs.Scenes.__init__))

    def run(*arguments):
        try:
            code = main(["--output", str(tmp_path / "study"), *map(str, arguments)])
        except SystemExit as stop:  # argparse's own refusals
            code = stop.code
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def _few_scenes(init):
    return lambda self, train=2, val=3, seed=4242: init(self, 2, min(val, 3), seed)
