"""Folders for results: there and writable, or refused before any work is done."""

from __future__ import annotations

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
