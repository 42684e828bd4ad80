"""What the containers share: a check that says expected and actual, and picking rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from thingstuff.errors import DataError


def expect_array(what: str, array: object, dtype: DTypeLike, shape: tuple[int | None, ...]) -> None:
    """Refuse anything but an array of exactly this dtype and shape; None in `shape` accepts every length."""
    if isinstance(array, np.ndarray) and array.dtype == dtype and _fits(array.shape, shape):
        return
    actual = f"{array.dtype} of shape {_text(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
    raise DataError(f"{what}: expected {np.dtype(dtype)} of shape {_text(shape)}, got {actual}")


def expect_finite(what: str, array: NDArray[np.floating[Any]]) -> None:
    """Refuse NaN and infinity, naming the first row that has one."""
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise DataError(f"{what}: expected finite numbers, got {array[tuple(bad[0])]} in row {bad[0][0]}")


def as_integers(what: str, values: NDArray[Any] | Sequence[int]) -> NDArray[np.integer[Any]]:
    """An integer array as it is; an empty list as int64; other dtypes are refused rather than rounded."""
    array = np.asarray(values)
    if array.size == 0:
        return array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{what}: expected integers, got {array.dtype}")
    return array


def refuse_duplicates(values: Iterable[object], message: str) -> None:
    """Raise `message`, with the value put in its {}, for the first value that comes twice."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise DataError(message.format(repr(value)))
        seen.add(value)


def row_numbers(rows: Any, count: int) -> NDArray[np.int64]:
    """A slice, an integer array or a boolean array over `count` rows -> the int64 row numbers it picks."""
    numbers = np.arange(count, dtype=np.int64)
    if not isinstance(rows, slice):
        rows = np.asarray(rows)
        rows = rows.astype(np.int64) if rows.size == 0 and rows.dtype != bool else rows
        if rows.ndim != 1:
            raise TypeError(f"expected a slice or a 1-dimensional index array, got one of shape {rows.shape}")
    return np.asarray(numbers[rows], np.int64)


def _fits(actual: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(actual) == len(expected) and all(e in (None, a) for a, e in zip(actual, expected, strict=True))


def _text(shape: tuple[int | None, ...]) -> str:
    lengths = ["N" if length is None else str(length) for length in shape]
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"
