"""One project, trained for the given time: a probe says how many steps that are, then `tools/train_net.py` does them.

What is done lies in the entry's folder and is not done again, as long as the config and the settings are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thingstuff.benchmark.projects.child import ChildError, run_child
from thingstuff.benchmark.projects.entries import Entry
from thingstuff.benchmark.projects.settings import Settings
from thingstuff.files import write_json
from thingstuff.progress import duration

KEPT = "training.json"
_PROBE_MAX_ITER = 1000  # that of a schedule that has hardly begun when the probe ends
_MIB = 2**20
Say = Callable[[str], None]


@dataclass(frozen=True)
class Training:
    """`key` stands for config and settings; `weights` is the file of all that was learned, without the optimiser."""

    key: str
    seconds_a_step: float  # in the probe
    iterations: int
    train_seconds: float
    weights: str
    weights_mib: float


def config_key(cfg: Any, settings: Settings) -> str:
    """Of the config as `load_config` gives it, with the settings' overrides, and of what is trained with it."""
    trained = [cfg.dump(), settings.seconds, settings.threads, settings.small]
    return hashlib.sha256(json.dumps(trained).encode()).hexdigest()


def kept_training(folder: Path, key: str) -> Training | None:
    """A finished one of this config and these settings."""
    file = folder / KEPT
    if not file.is_file():
        return None
    try:
        found = Training(**json.loads(file.read_bytes()))
    except (ValueError, TypeError):  # of another version
        return None
    return found if found.key == key and Path(found.weights).is_file() else None


def train_entry(entry: Entry, key: str, settings: Settings, folder: Path, say: Say) -> Training:
    """Probe and training, each in a process of its own. ChildError if one of them fails."""
    say("probing how long a step takes")
    seconds_a_step = _probe(entry, settings, folder)
    iterations = settings.iterations(seconds_a_step)
    say(f"{seconds_a_step:.3f} s a step: training {iterations} steps")
    run = folder / "run"
    options = [*settings.overrides, *_steps(iterations), "SOLVER.SAFETENSORS", "True", "OUTPUT_DIR", str(run)]
    # shapes_val is left alone: what is evaluated on is drawn anew
    arguments = ["--config-file", entry.config_file, *options, "DATASETS.TEST", "()"]
    beat = _Beat(run / "metrics.json", iterations, say)
    run_child("thingstuff.cli.train_net", arguments, folder / "train.log", threads=settings.threads, beat=beat)
    done = json.loads((run / "results.json").read_bytes())
    weights = run / "model_final.safetensors"
    trained = Training(
        key,
        seconds_a_step,
        done["iterations"],
        done["train_seconds"],
        str(weights.absolute()),
        weights.stat().st_size / _MIB,
    )
    write_json(folder / KEPT, asdict(trained))
    return trained


def _steps(iterations: int) -> Sequence[str]:
    return ("SOLVER.EPOCHS", "0", "SOLVER.MAX_ITER", str(iterations))


def _probe(entry: Entry, settings: Settings, folder: Path) -> float:
    warm, steps = settings.probe_steps
    answer, job = folder / "probe.json", folder / "probe_job.json"
    answer.unlink(missing_ok=True)
    options = [*settings.overrides, *_steps(_PROBE_MAX_ITER), "OUTPUT_DIR", str(folder / "probe")]
    options += ["DATASETS.TEST", "()"]
    asked = {"config_file": entry.config_file, "options": options, "warm": warm, "steps": steps}
    write_json(job, asked | {"answer": str(answer)})
    run_child("thingstuff.benchmark.projects.probe", [str(job)], folder / "probe.log", threads=settings.threads)
    if not answer.is_file():
        raise ChildError("the probe ended without an answer")
    return float(json.loads(answer.read_bytes())["seconds"])


@dataclass
class _Beat:
    """Says how far a training is, by its metrics."""

    metrics: Path
    iterations: int
    say: Say

    def __call__(self) -> None:
        try:
            last = json.loads(self.metrics.read_text().splitlines()[-1])
            done, seconds = int(last["iteration"]) + 1, float(last["time"])
        except (OSError, ValueError, KeyError, IndexError):
            return  # nothing is written yet
        self.say(f"{done} of {self.iterations} steps, {duration(seconds * (self.iterations - done))} left")
