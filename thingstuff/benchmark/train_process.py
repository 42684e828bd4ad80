"""A training in a process of its own, which goes on by one step each time it is told to and says how long that took.

So the peak of its memory is its own, and two programs can take turns.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thingstuff.benchmark.own_process import OwnProcess, answer_requests
from thingstuff.benchmark.train_data import TRUTH

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


class TrainProcess(OwnProcess):
    """`program`, "stock" or "ours", on the config in a file, with the images of `folder`; a context manager."""

    def __init__(self, program: str, config_file: Path, folder: Path, threads: int) -> None:
        arguments = (program, str(config_file), str(folder), str(threads))
        errors = config_file.with_suffix(".stderr")
        super().__init__(f"the training of {program}", __name__, arguments, threads, errors)

    def step(self) -> Timed:
        """Do one step, and wait for it."""
        return Timed(**self.ask())


def main(program: str, config_file: str, folder: str, threads: str) -> None:
    answer_requests(lambda: _one_step(*_prepared(program, config_file, Path(folder), int(threads))))


def _one_step(step: Callable[[], Any], device: Any) -> Callable[[], dict[str, Any]]:
    return lambda: asdict(_timed(step, device))


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
