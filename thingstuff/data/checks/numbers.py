"""Columns out of somebody's records: what is no number becomes NaN, and what is not known -1, instead of an error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_BLOCK = 1 << 16  # records at a time, so that little stands beside them in memory


def as_floats(values: Sequence[Any]) -> FloatArray:
    """N float64; NaN for text, null, true, lists and numbers beyond what a float holds."""
    if set(map(type, values)) <= {int, float}:
        try:
            return np.array(values, np.float64)
        except OverflowError:
            pass
    return np.array([_float(value) for value in values], np.float64)


def rows_of(values: Sequence[Any], width: int) -> FloatArray:
    """N x width float64; a row is NaN unless its value is a list of exactly `width` finite numbers."""
    rows = np.full((len(values), width), np.nan)
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        fitting = [n for n, value in enumerate(block) if isinstance(value, list | tuple) and len(value) == width]
        flat = as_floats(list(chain.from_iterable(block[n] for n in fitting)))
        rows[start + np.array(fitting, np.int64)] = flat.reshape(-1, width)
    rows[~np.isfinite(rows).all(axis=1)] = np.nan
    return rows


def rows_by_key(keys: Iterable[Any]) -> dict[Any, int]:
    """The first row of each key; null and what cannot be a key (a list) have none."""
    rows: dict[Any, int] = {}
    for row, key in enumerate(keys):
        if key is not None and is_key(key):
            rows.setdefault(key, row)
    return rows


def positions(keys: Sequence[Any], known: Mapping[Any, int]) -> NDArray[np.int64]:
    """N int64: where each key stands in `known`, -1 where it does not."""
    try:
        return np.fromiter((known.get(key, -1) for key in keys), np.int64, len(keys))
    except TypeError:
        return np.array([known.get(key, -1) if is_key(key) else -1 for key in keys], np.int64)


def is_key(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def is_whole_number(value: Any) -> bool:
    """Whether it is an integer; true and false are none, 3.0 is none either."""
    return type(value) is int


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
