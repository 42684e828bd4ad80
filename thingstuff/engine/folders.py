"""Folders for results: there and writable, or refused before any work is done."""

from __future__ import annotations

import itertools
from pathlib import Path

from thingstuff.errors import SetupError


def make_writable(folder: Path, option: str) -> None:
    """Make the folder that `option` names, and try to write into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writing"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise SetupError(f"cannot write to {option} {folder} ({error.strerror}): choose another") from error


def set_aside(folder: Path) -> Path:
    """The folder moves to `FOLDER.earlier`, or to `FOLDER.earlier-2` and so on if that is there."""
    names = (f"{folder.name}.earlier{f'-{n}' if n > 1 else ''}" for n in itertools.count(1))
    aside = next(path for path in map(folder.with_name, names) if not path.exists())
    folder.rename(aside)
    return aside
