"""One training of the study, in a process of its own: done once, and begun anew if it was killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from roipool.run_lock import run_lock
from roipool.scores import Scores, score_run
from roipool.variants import Variant
from thingstuff.errors import ConfigError, DataError, SetupError
from thingstuff.files import write_json

_REPOSITORY = Path(__file__).resolve().parents[3]
_SCORES, _LOG = "scores.json", "terminal.txt"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_OWN_KEYS = ("SEED:", "OUTPUT_DIR:")  # in which two runs of a variant differ


@dataclass(frozen=True)
class Scenes:
    """A draw of the embedded shapes: what all runs learn and are tested on."""

    train: int = 600
    val: int = 500
    seed: int = 4242


@dataclass(frozen=True)
class Run:
    """`variant` trained with `seed`. Its files lie in `folder`; the last of them, the scores, says that it is done."""

    study: Path
    variant: Variant
    seed: int

    @property
    def folder(self) -> Path:
        return self.study / "runs" / self.variant.name / f"seed_{self.seed}"

    @property
    def is_done(self) -> bool:
        return (self.folder / _SCORES).is_file()

    def scores(self) -> Scores:
        return Scores.read(self.folder / _SCORES)


@dataclass(frozen=True)
class Setting:
    """What is the same in all runs: the scenes, config keys over those of the variants, and the threads of each."""

    scenes: Scenes
    opts: tuple[str, ...] = ()
    threads: int = 1


def open_study(folder: Path, setting: Setting) -> None:
    """The folder with its scenes; refused if it holds a study with another setting."""
    from thingstuff.data.shapes import draw_shapes

    path = folder / "setting.json"
    wanted = {"scenes": asdict(setting.scenes), "opts": list(setting.opts)}
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise ConfigError(f"{path} is of a study with other scenes or config keys: choose another --output")
    write_json(path, wanted)
    if not _scenes_of(folder).exists():
        draw_shapes(_scenes_of(folder), **asdict(setting.scenes))


def train(run: Run, setting: Setting) -> Scores:
    """Train, predict the test scenes and score them. What an earlier process left of this run is removed.

    Of the files that `train_net` writes the weights are not kept: 150 MB a run.
    """
    with run_lock(run.folder) as lock:
        shutil.rmtree(run.folder, ignore_errors=True)
        run.folder.mkdir(parents=True)
        _train_net(run, setting, lock)
        return _score(run)


def _score(run: Run) -> Scores:
    results = json.loads((run.folder / "results.json").read_text())
    truth = _scenes_of(run.study) / "annotations" / "instances_val.json"
    tasks = score_run(truth, run.folder / "inference" / "coco_instances_results.json")
    for weights in run.folder.glob("*.pth*"):
        weights.unlink()
    scores = Scores(run.variant.name, run.seed, results["train_seconds"], tasks)
    scores.write(run.folder / _SCORES)
    return scores


def _train_net(run: Run, setting: Setting, lock: int) -> None:
    keys = (*setting.opts, "SEED", str(run.seed), "OUTPUT_DIR", str(run.folder))
    data = {"DETECTRON2_DATASETS": str(_scenes_of(run.study).parent)}
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, (str(_REPOSITORY), os.environ.get("PYTHONPATH"))))}
    threads = dict.fromkeys(_THREAD_VARIABLES, str(setting.threads))
    with (run.folder / _LOG).open("w") as log:
        code = subprocess.run(
            [sys.executable, "-m", "thingstuff.cli.train_net", "--config-file", str(run.variant.config), *keys],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | data | paths | threads,
            pass_fds=[lock],
            check=False,
        ).returncode
    if code:
        lines = (run.folder / _LOG).read_text().strip().splitlines()
        raise SetupError(f"the training in {run.folder} ended with {code}: {lines[-1] if lines else 'without a word'}")


def refuse_mixed(runs: Sequence[Run]) -> None:
    """Runs of a variant with other configs, since its files changed in between, have no mean."""
    first: dict[str, tuple[Run, list[str]]] = {}
    for run in runs:
        lines = (run.folder / "config.yaml").read_text().splitlines()
        kept = [line for line in lines if not line.startswith(_OWN_KEYS)]
        other, expected = first.setdefault(run.variant.name, (run, kept))
        if kept != expected:
            raise DataError(f"{run.folder} was trained with another config than {other.folder}: remove one of them")


def _scenes_of(study: Path) -> Path:
    return study.resolve() / "datasets" / "shapes"
