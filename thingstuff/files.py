"""Files that are whole or not there: what is written takes its name only once it is complete and on the disk."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write, which becomes `path` when the block ends well; otherwise it leaves no trace."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # in the same folder, since a rename is atomic only within one file system
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def cache_root() -> Path:
    """`$THINGSTUFF_CACHE`, or thingstuff/ in the user's cache folder. Everything in it can be made again."""
    base = os.environ.get("THINGSTUFF_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "thingstuff"
    return Path(base).expanduser()


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write `data` whole or not at all; NaN and infinity, which JSON lacks, become null."""
    text = json.dumps(plain(data), indent=1, allow_nan=False) + "\n"
    with whole_file(path) as file:
        file.write(text.encode())


def plain(value: Any) -> Any:
    """`value` in JSON's own types; anything with `tolist`, such as an array, is taken apart, and bytes are ASCII."""
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return None if isinstance(value, float) and not math.isfinite(value) else value
