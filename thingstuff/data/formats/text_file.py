"""Text files of somebody's data set, read with what is wrong said in one line."""

from __future__ import annotations

from pathlib import Path

from thingstuff.errors import DataError


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, without their ends; a byte order mark is no part of it."""
    try:
        return path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start}): save it as UTF-8") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
