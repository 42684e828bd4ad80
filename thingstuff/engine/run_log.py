"""Where a run tells what it does: the terminal gets what a person wants to know, `log.txt` gets everything."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TextIO

from detectron2.utils import comm

_DETAILED = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%Y-%m-%d %H:%M:%S")
_SOURCES = ("detectron2", "fvcore")


def start_console() -> None:
    """Our own lines plainly, Detectron2's from warnings on. Later calls change nothing; other processes stay silent."""
    ours = logging.getLogger("thingstuff")
    if ours.handlers or not comm.is_main_process():
        return
    _attach(ours, _Console("stdout"), logging.Formatter("%(message)s"), logging.INFO)
    for name in _SOURCES:
        plain = logging.Formatter("%(levelname)s: %(message)s")
        console = _Console("stderr")
        # Detectron2 logs the traceback of an error before it raises it; the command line reports it anyway
        console.addFilter(lambda record: not record.exc_info)
        _attach(logging.getLogger(name), console, plain, logging.WARNING)


class _Console(logging.StreamHandler):
    """Writes to what `sys.stdout` or `sys.stderr` is at that moment, since callers may redirect it."""

    def __init__(self, name: str) -> None:
        self._stream_name = name
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return getattr(sys, self._stream_name)


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
