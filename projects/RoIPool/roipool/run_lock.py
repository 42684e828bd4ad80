"""A lock that a training's process inherits, so that it is held until that process ends, however its parent ended."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thingstuff.errors import SetupError


@contextmanager
def run_lock(folder: Path) -> Iterator[int]:
    """The file descriptor of the lock beside `folder`, to be handed on as one of `pass_fds`.

    A study that was killed may leave a training behind, whose files would mix with those of the next.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _take(file, folder)
        yield file
    finally:
        os.close(file)


def _take(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SetupError(f"another process trains in {folder}: wait for it, or end it") from None
