"""A JSON file of somebody else's: read, or named with what is wrong with it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.errors import DataError


@dataclass(frozen=True)
class JsonFile:
    """A file's content, so that it is read once, with the name under which messages speak of it."""

    name: str
    content: Any

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> JsonFile:
        return cls(str(path), read_json(path))

    @classmethod
    def of(cls, source: Any, name: str) -> JsonFile:
        """`source` is a path, a file that is read already, or content, which `name` describes."""
        if isinstance(source, JsonFile):
            return source
        return cls.read(source) if isinstance(source, str | os.PathLike) else cls(name, source)


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file; DataError where it cannot be read, is empty or is no JSON."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not content.strip():
        raise DataError(f"{path}: the file is empty ({len(content)} bytes): write it again")
    try:
        return json.loads(content)
    except ValueError as error:
        raise DataError(f"{path}: not JSON, or cut off: {error}") from error
    except RecursionError:
        raise DataError(f"{path}: not JSON that anybody would write: its lists are nested too deeply") from None
