"""Is a training that was killed and gone on with the same as one that was not? Trained twice, and compared."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import HookBase
from torch import Tensor

from thingstuff.engine.training.hooks.checkpoints import FINAL_NAME
from thingstuff.engine.training.trainer import Trainer
from thingstuff.errors import ConfigError, SetupError

STRAIGHT, KILLED = "straight", "killed"
_LATEST_STEPS = 2.0  # a kill comes within so many steps' time after the step that was drawn has begun


@dataclass(frozen=True)
class ResumeJob:
    """A config, trained for `steps` steps with a checkpoint every `period`; each training has a folder in `folder`."""

    config_file: str
    overrides: Sequence[str]
    steps: int
    period: int
    folder: Path

    def options(self, run: str) -> list[str]:
        own = {
            "OUTPUT_DIR": self.folder / run,
            "SOLVER.MAX_ITER": self.steps,
            "SOLVER.CHECKPOINT_PERIOD": self.period,
            "SOLVER.DETERMINISTIC": True,
        }
        return [*self.overrides, *(str(part) for pair in own.items() for part in pair)]


@dataclass(frozen=True)
class ResumeVerdict:
    """`kills`: the steps at which the second training was killed. `different`: tensors not equal to the last bit."""

    kills: tuple[int, ...]
    tensors: int
    different: tuple[str, ...]
    largest: float


def check_resume(job: ResumeJob, kills: int, seed: int) -> ResumeVerdict:
    """Train straight; train again, killed with SIGKILL `kills` times at random and gone on with; compare the ends."""
    if kills >= job.steps:
        raise ConfigError(f"--kills is {kills}, which must be below the {job.steps} steps")
    generator = random.Random(seed)
    steps = sorted(generator.sample(range(1, job.steps), kills))
    _run(job, STRAIGHT, None)
    done = []
    for step in steps:
        killed = _run(job, KILLED, (step, generator.random() * _LATEST_STEPS))
        if not killed:
            break  # it was at its end before the signal came
        done.append(step)
    _run(job, KILLED, None)
    return _compared(job, tuple(done))


def _run(job: ResumeJob, run: str, kill: tuple[int, float] | None) -> bool:
    """Whether the process was killed. Any other end but a good one is an error."""
    order = {"config": job.config_file, "options": job.options(run), "kill": kill, "resume": run == KILLED}
    log = job.folder / f"{run}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        code = subprocess.run(
            [sys.executable, "-m", __name__, json.dumps(order)], stdout=file, stderr=file, check=False
        ).returncode
    if code == 0:
        return False
    if kill is not None and code == -signal.SIGKILL:
        return True
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise SetupError(f"the training of {job.folder / run} failed: {(last or ['without a word'])[0]} (see {log})")


# ---- the comparison ----------------------------------------------------------------------------------------------


def _compared(job: ResumeJob, kills: tuple[int, ...]) -> ResumeVerdict:
    one, other = (_tensors(job.folder / run / f"{FINAL_NAME}.pth") for run in (STRAIGHT, KILLED))
    names = sorted(one.keys() | other.keys())
    different = [n for n in names if n not in one or n not in other or not _equal(one[n], other[n])]
    both = [n for n in different if n in one and n in other and one[n].shape == other[n].shape]
    gaps = (float((one[n].double() - other[n].double()).abs().max()) for n in both)
    return ResumeVerdict(kills, len(names), tuple(different), max(gaps, default=0.0))


def _equal(one: Tensor, other: Tensor) -> bool:
    """To the bit, so that a NaN is equal to itself."""
    return one.dtype == other.dtype and torch.equal(one.view(torch.uint8), other.view(torch.uint8))


def _tensors(path: Path) -> dict[str, Tensor]:
    """Weights, and what the optimiser knows of each."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return dict(_named({"model": content["model"], "optimizer": content["trainer"]["_trainer"]["optimizer"]}, ""))


def _named(value: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield prefix, value.contiguous().reshape(-1)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _named(entry, f"{prefix}.{key}" if prefix else str(key))


# ---- one training, in a process of its own -----------------------------------------------------------------------


class _Kill(HookBase):
    """SIGKILL to this process at a moment after the step has begun: within it, in a checkpoint, or in a later step."""

    def __init__(self, step: int, after_steps: float) -> None:
        self._step, self._after_steps = step, after_steps
        self._begun = time.perf_counter()

    def before_step(self) -> None:
        now = time.perf_counter()
        seconds, self._begun = now - self._begun, now
        if self.trainer.iter == self._step:
            threading.Timer(seconds * self._after_steps, os.kill, (os.getpid(), signal.SIGKILL)).start()


def _train(order: Mapping[str, Any]) -> None:
    from thingstuff.config import load_config
    from thingstuff.data.declared.declare import declare
    from thingstuff.engine.device import settle_device
    from thingstuff.engine.run import train

    class Doomed(Trainer):
        def build_hooks(self) -> list[HookBase]:
            doom = [] if order["kill"] is None else [_Kill(*order["kill"])]
            return [*doom, *super().build_hooks()]

    cfg = load_config(order["config"], order["options"])
    if cfg.DATASETS.DECLARE:
        declare(cfg, (), order["options"])
    settle_device(cfg)
    train(cfg, order["resume"], order["options"][::2], Doomed)


if __name__ == "__main__":
    _train(json.loads(sys.argv[1]))
