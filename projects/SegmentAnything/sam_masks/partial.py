"""What a labelling has done so far, beside its file: a run that is stopped goes on behind its last image."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

Record = dict[str, Any]


class Partial:
    """`FILE.partial`: a line that says of what, then one an image. A line counts once it is complete.

    A file of another labelling, by the text `of`, is begun anew. Use it in a `with` block, and `remove` it when the
    whole is written. `done` are the records of an earlier run.
    """

    def __init__(self, target: Path, of: str) -> None:
        self.path = target.with_name(f"{target.name}.partial")
        self._head = {"of": of}
        self.done: list[Record] = []

    def __enter__(self) -> Partial:
        lines, size = _complete_lines(self.path)
        self._file: BinaryIO
        if lines and lines[0] == self._head:
            self.done = lines[1:]
            self._file = self.path.open("r+b")
            self._file.truncate(size)
            self._file.seek(size)
        else:
            self._file = self.path.open("wb")
            self.append(self._head)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, record: Record) -> None:
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _complete_lines(path: Path) -> tuple[list[Any], int]:
    """The records of a file up to the first line that is cut off or damaged, and how many bytes they are."""
    records: list[Any] = []
    size = 0
    for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else ():
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            record = None
        if not isinstance(record, dict):
            break
        records.append(record)
        size += len(line)
    return records, size
