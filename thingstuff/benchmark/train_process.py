"""A training in a process of its own, which goes on by one step each time it is told to and says how long that took.

So the peak of its memory is its own, and two programs can take turns.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from thingstuff.benchmark.train_data import TRUTH
from thingstuff.errors import SetupError

SET_NAME = "benchmark_train"
_PROGRAMS = ("stock", "ours")


@dataclass(frozen=True)
class Timed:
    """One step: seconds on the clock, of this process's processor time and for the data; the loss; memory so far."""

    wall_s: float
    cpu_s: float
    data_s: float
    loss: float
    peak_mib: float


class TrainProcess:
    """`program`, "stock" or "ours", on the config in a file, with the images of `folder`; a context manager."""

    def __init__(self, program: str, config_file: Path, folder: Path, threads: int) -> None:
        command = [sys.executable, "-m", __name__, program, str(config_file), str(folder), str(threads)]
        variables = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self._name = program
        self._errors = (config_file.with_suffix(".stderr")).open("w+")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=variables
        )

    def step(self) -> Timed:
        """Do one step, and wait for it."""
        try:
            print(file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SetupError(f"the training of {self._name} stopped: {self._last_words()}")
        return Timed(**json.loads(line))

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {code}"

    def __enter__(self) -> TrainProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()


def main(program: str, config_file: str, folder: str, threads: str) -> None:
    with _answers() as answers:
        step, device = _prepared(program, config_file, Path(folder), int(threads))
        for _ in sys.stdin:
            print(json.dumps(asdict(_timed(step, device))), file=answers, flush=True)


@contextmanager
def _answers() -> Iterator[IO[str]]:
    """Standard output for answers alone: whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with answers:
        yield answers


def _prepared(program: str, config_file: str, folder: Path, threads: int):
    import cv2
    import torch
    from detectron2.data.datasets import register_coco_instances
    from detectron2.utils.env import seed_all_rng

    from thingstuff.benchmark import train_programs
    from thingstuff.config import load_config

    if program not in _PROGRAMS:
        raise ValueError(f"program is {program!r}, expected one of {_PROGRAMS}")
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    register_coco_instances(SET_NAME, {}, str(folder / TRUTH), str(folder))
    cfg = load_config(config_file)
    seed_all_rng(cfg.SEED)
    training = getattr(train_programs, program)(cfg)
    seed_all_rng(cfg.SEED)  # anew, since making a model draws numbers
    return training.step, torch.device(cfg.MODEL.DEVICE)


def _timed(step, device) -> Timed:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    done = step()
    _wait_for(device)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return Timed(wall_s, cpu_s, done.data_s, done.loss, _peak_mib(device))


def _wait_for(device) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def _peak_mib(device) -> float:
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    main(*sys.argv[1:])
