"""The log of a run, `log.txt`, which gets everything that is told."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

from detectron2.utils import comm

from thingstuff.console import LOUD, attach, remembered
from thingstuff.files import whole_file

_DETAILED = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%Y-%m-%d %H:%M:%S")


def forget_from(metrics: Path, iteration: int) -> None:
    """Take out of a `metrics.json` what a training that goes on at `iteration` is going to write again.

    A line that was cut short by the end of a process goes too.
    """
    if not metrics.is_file():
        return
    kept = [line for line in metrics.read_text().splitlines(keepends=True) if _iteration(line) < iteration]
    with whole_file(metrics) as file:
        file.write("".join(kept).encode())


def _iteration(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def start_log(output_dir: Path) -> None:
    """Append everything, and what was told since `console.remember`, to `log.txt` in `output_dir`, and nowhere else.

    Other processes have `log.txt.rank1` and so on.
    """
    rank = comm.get_rank()
    path = output_dir / (f"log.txt.rank{rank}" if rank else "log.txt")
    earlier = remembered()
    for name in ("thingstuff", *LOUD):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
            logger.removeHandler(handler)
            handler.close()
        attach(logger, logging.FileHandler(path, encoding="utf-8"), _DETAILED, logging.DEBUG)
        for record in earlier:
            if record.name.split(".")[0] == name:
                logger.handlers[-1].handle(record)
