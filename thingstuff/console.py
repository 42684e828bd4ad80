"""The terminal of a command: it gets what a person wants to know, from the main process alone."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from typing import TextIO

_MOST_REMEMBERED = 500
LOUD = ("detectron2", "fvcore")  # others, of whom a terminal gets the warnings only


def is_main_process() -> bool:
    """True without PyTorch's process group, which is not loaded to find out."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not (distributed.is_available() and distributed.is_initialized()):
        # torchrun's processes know their numbers before they have met
        return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK", "0") == "0"
    return bool(distributed.get_rank() == 0)


def start_console() -> None:
    """Our own lines plainly, Detectron2's from warnings on. Later calls change nothing; other processes stay silent."""
    ours = logging.getLogger("thingstuff")
    if ours.handlers or not is_main_process():
        return
    attach(ours, _Console("stdout"), logging.Formatter("%(message)s"), logging.INFO)
    for name in LOUD:
        plain = logging.Formatter("%(levelname)s: %(message)s")
        console = _Console("stderr")
        # Detectron2 logs the traceback of an error before it raises it; the command line reports it anyway
        console.addFilter(lambda record: not record.exc_info)
        attach(logging.getLogger(name), console, plain, logging.WARNING)


class _Memory(logging.Handler):
    """Keeps the latest records, for a log that is opened later."""

    def __init__(self) -> None:
        super().__init__()
        self.records: deque[logging.LogRecord] = deque(maxlen=_MOST_REMEMBERED)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


_memory = _Memory()


def remember() -> None:
    """Keep what is told from now on, until `remembered` is called."""
    _memory.records.clear()
    for name in ("thingstuff", *LOUD):
        attach(logging.getLogger(name), _memory, logging.Formatter(), logging.INFO)


def remembered() -> list[logging.LogRecord]:
    """What was told since `remember`; it is forgotten, and nothing more is kept."""
    records = list(_memory.records)
    _memory.records.clear()
    for name in ("thingstuff", *LOUD):
        logging.getLogger(name).removeHandler(_memory)
    return records


class _Console(logging.StreamHandler):
    """Writes to what `sys.stdout` or `sys.stderr` is at that moment, since callers may redirect it."""

    def __init__(self, name: str) -> None:
        self._stream_name = name
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return getattr(sys, self._stream_name)


def attach(logger: logging.Logger, handler: logging.Handler, formatter: logging.Formatter, level: int) -> None:
    handler.setFormatter(formatter)
    handler.setLevel(level)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
