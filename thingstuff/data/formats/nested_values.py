"""Values of somebody's records that are nested so deeply that they can be read, and cannot be written again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from thingstuff.errors import DataError


@contextmanager
def nested_refused(name: str) -> Iterator[None]:
    """DataError in place of the RecursionError with which the writing of such values ends; `name` is the data set's."""
    try:
        yield
    except RecursionError:
        raise DataError(f"{name}: its records hold lists that are nested too deeply to be written") from None
