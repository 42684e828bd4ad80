"""One writer a store: a lock that the kernel releases when its process dies, however it dies."""

from __future__ import annotations

import logging
import os
import weakref
from pathlib import Path

from thingstuff.errors import SetupError
from thingstuff.store.layout import LOCK_NAME


class WriterLock:
    """Held from construction to `release`. `dead_pid` is the process that held it before and did not release it."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _take(self._file, folder)
            text = os.read(self._file, 20).decode("ascii", "replace")
            self.dead_pid = int(text) if text.isdecimal() else None
            self._note(str(os.getpid()))
        except BaseException:
            os.close(self._file)
            raise
        # A forked child, such as a data loader's worker, would hold the lock beyond the death of this process.
        held = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _let_go(held()))

    def release(self) -> None:
        """Give the lock up; the file stays, since removing it would let two writers hold two files of one name."""
        self._note("")
        self.let_go()

    def let_go(self) -> None:
        """Close this process's hold without a note."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _note(self, text: str) -> None:
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, text.encode("ascii"), 0)


def _take(file: int, folder: Path) -> None:
    import fcntl  # absent on Windows, where stores are read only

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(file, 20).decode("ascii", "replace") or "unknown"
        raise SetupError(
            f"{folder}: another run (process {pid}) is writing predictions here: wait for it, or give another folder"
        ) from None
    except OSError as error:
        # Some cluster file systems have no locks; losing the whole run over it would be worse.
        logging.getLogger(__name__).warning("%s: cannot be locked (%s); start no second run on it", folder, error)


def _let_go(lock: WriterLock | None) -> None:
    if lock is not None:
        lock.let_go()
