"""What a file is recognised by, so that a prediction is not taken for that of another file of the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def fingerprint(path: Path) -> dict[str, Any]:
    """Size, time of the last change and content, as plain JSON."""
    status = path.stat()
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": _sha256(path)}


def is_still(path: Path, known: Mapping[str, Any] | None) -> bool:
    """Whether a file is the one that `known` was taken of. Its content is read only if the time is another."""
    if known is None:
        return True
    status = path.stat()
    if status.st_size != known["bytes"]:
        return False
    return status.st_mtime_ns == known["mtime_ns"] or _sha256(path) == known["sha256"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
