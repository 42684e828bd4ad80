"""A JSON file of somebody else's: read, or named with what is wrong with it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from thingstuff.errors import DataError


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file; DataError where it cannot be read or is no JSON."""
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON, or cut off: {error}") from error
