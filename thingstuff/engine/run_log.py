"""The log of a run, `log.txt`, which gets everything that is told."""

from __future__ import annotations

import logging
from pathlib import Path

from detectron2.utils import comm

from thingstuff.console import LOUD, attach

_DETAILED = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%Y-%m-%d %H:%M:%S")


def start_log(output_dir: Path) -> None:
    """Append everything to `log.txt` (`log.txt.rank1`, ... on other processes) in `output_dir`, and nowhere else."""
    rank = comm.get_rank()
    path = output_dir / (f"log.txt.rank{rank}" if rank else "log.txt")
    for name in ("thingstuff", *LOUD):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
            logger.removeHandler(handler)
            handler.close()
        attach(logger, logging.FileHandler(path, encoding="utf-8"), _DETAILED, logging.DEBUG)
