"""A checksum beside a file of weights, `NAME.pth.sha256`, as `sha256sum` writes it and `sha256sum -c` checks it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from thingstuff.errors import WeightsError
from thingstuff.files import whole_file

_DIGITS = set("0123456789abcdef")
_LENGTH = 64


def checksum_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


class HashingFile:
    """Hands what is written on to `file` and hashes it on the way, so that nothing is read again.

    The first failure is kept for `finish`, and what comes after it is dropped: PyTorch's writer, when it is
    interrupted, raises an error of its own in place of the file's.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._failure: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        size = memoryview(data).nbytes
        if self._failure is None:
            try:
                self._file.write(data)
                self._digest.update(data)
            except OSError as error:
                self._failure = error
        return size

    def flush(self) -> None:
        """Left to `finish`."""

    def finish(self) -> str:
        """The checksum of what is now on the disk; OSError if not all of it is."""
        if self._failure is not None:
            raise self._failure
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._digest.hexdigest()


def write_checksum(path: Path, digest: str) -> None:
    with whole_file(checksum_path(path)) as file:
        file.write(f"{digest}  {path.name}\n".encode())


def verify(path: Path) -> None:
    """WeightsError unless `path` is as its checksum says. A file without one, as Detectron2 writes, passes."""
    beside = checksum_path(path)
    if not beside.is_file():
        return
    expected = beside.read_bytes()[:_LENGTH].decode("ascii", "replace").lower()
    if len(expected) != _LENGTH or set(expected) - _DIGITS:
        raise WeightsError(f"{beside} holds no checksum: delete it to read {path.name} unchecked")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise WeightsError(
            f"{path} is damaged: it differs from its checksum (if you changed it yourself, delete {beside.name})"
        )
