"""Annotations that say the same thing twice: one image, one category, one shape."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from thingstuff.data.checks.numbers import is_key
from thingstuff.data.truth import Record

_BEGINNING = 8  # numbers: what the first, quick look at a shape reads


def twins(records: Sequence[Record]) -> Iterator[tuple[int, int]]:
    """(number, number of the first that is the same) of each annotation that repeats another.

    The shape is the segmentation, or the box where there is none. Annotations without either are not compared.
    """
    glances = np.fromiter((_glance(record) for record in records), np.int64, len(records))
    _, group, sizes = np.unique(glances, return_inverse=True, return_counts=True)
    first: dict[bytes, int] = {}
    for number in np.flatnonzero((sizes[group] > 1) & (glances != _NONE)).tolist():
        earlier = first.setdefault(_digest(records[number]), number)
        if earlier != number:
            yield number, earlier


_NONE = 0


def _glance(record: Record) -> int:
    """A number that is the same for twins, and seldom for others; _NONE where nothing can be compared."""
    shape = _shape(record)
    if not shape:
        return _NONE
    if isinstance(shape, Mapping):
        shape = shape.get("counts")
    elif isinstance(shape[0], list | tuple):
        shape = (len(shape), *shape[0][:_BEGINNING])
    shape = shape if isinstance(shape, str | bytes) else tuple(shape[:_BEGINNING]) if _is_list(shape) else None
    key = (record.get("image_id"), record.get("category_id"), shape)
    return hash(key) if shape is not None and is_key(key) else _NONE


def _digest(record: Record) -> bytes:
    try:
        whole = repr((record.get("image_id"), record.get("category_id"), _shape(record)))
    except RecursionError:  # lists in lists in lists: damage, which another check names
        whole = f"record {id(record)}"
    return hashlib.blake2b(whole.encode(errors="replace"), digest_size=16).digest()


def _shape(record: Record) -> Any:
    shape = record.get("segmentation") or record.get("bbox")
    return shape if isinstance(shape, Mapping | list | tuple) else None


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
