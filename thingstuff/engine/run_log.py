"""Where a run tells what it does: the terminal gets what a person wants to know, `log.txt` gets everything."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from detectron2.utils import comm

_DETAILED = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%Y-%m-%d %H:%M:%S")
_SOURCES = ("detectron2", "fvcore")


def start_console() -> None:
    """Our own lines plainly, Detectron2's from warnings on. Later calls change nothing; other processes stay silent."""
    ours = logging.getLogger("thingstuff")
    if ours.handlers or not comm.is_main_process():
        return
    _attach(ours, logging.StreamHandler(sys.stdout), logging.Formatter("%(message)s"), logging.INFO)
    for name in _SOURCES:
        plain = logging.Formatter("%(levelname)s: %(message)s")
        _attach(logging.getLogger(name), logging.StreamHandler(sys.stderr), plain, logging.WARNING)


def start_log(output_dir: Path) -> None:
    """Append everything to `log.txt` (`log.txt.rank1`, ... on other processes) in `output_dir`, and nowhere else."""
    rank = comm.get_rank()
    path = output_dir / (f"log.txt.rank{rank}" if rank else "log.txt")
    for name in ("thingstuff", *_SOURCES):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
            logger.removeHandler(handler)
            handler.close()
        _attach(logger, logging.FileHandler(path, encoding="utf-8"), _DETAILED, logging.DEBUG)


def _attach(logger: logging.Logger, handler: logging.Handler, formatter: logging.Formatter, level: int) -> None:
    handler.setFormatter(formatter)
    handler.setLevel(level)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
