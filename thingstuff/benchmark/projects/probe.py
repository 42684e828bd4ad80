"""Seconds that a training step takes, measured in a process of its own over the first steps of the real recipe.

The steps are those that `tools/train_net.py` would do, with loading and copy-paste; nothing is saved.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from thingstuff.files import write_json


class _Enough(Exception):  # noqa: N818
    """All steps are timed."""


def main(job_file: str) -> None:
    """`job_file`: config_file, options, warm, steps, and the file for the answer."""
    job = json.loads(Path(job_file).read_bytes())
    write_json(job["answer"], {"seconds": _seconds_a_step(**{k: v for k, v in job.items() if k != "answer"})})


def _seconds_a_step(config_file: str, options: list[str], warm: int, steps: int) -> float:
    from thingstuff.config import load_config
    from thingstuff.console import start_console
    from thingstuff.engine.device import settle_device
    from thingstuff.engine.run import train

    start_console()
    cfg = load_config(config_file, options)
    settle_device(cfg)
    ends: list[float] = []
    with suppress(_Enough):
        train(cfg, overrides=options[::2], trainer_class=_timed_trainer(ends, warm + steps))
    return (ends[-1] - ends[warm - 1]) / (len(ends) - warm)


def _timed_trainer(ends: list[float], most: int) -> type[Any]:
    from thingstuff.engine.training.trainer import Trainer

    class Timed(Trainer):
        """Notes when each step has ended, and stops after `most`."""

        def run_step(self) -> None:
            super().run_step()
            ends.append(time.perf_counter())
            if len(ends) >= most:
                raise _Enough

    return Timed


if __name__ == "__main__":
    main(*sys.argv[1:])
