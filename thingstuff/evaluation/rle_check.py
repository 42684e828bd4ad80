"""Which RLEs are damaged: both programs that count AP take them as they are, and pycocotools may never come back.

Thousands of strings are checked at once, in the time in which one by one some hundred would be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures import rle

BATCH = 256  # strings of some hundred characters, so that what a batch needs stays in the cache
_PRINTABLE, _GROUP, _MORE, _SIGN, _MAX_GROUPS = 48, 31, 32, 16, 7  # of COCO's strings, see structures.rle_string
_HIGHEST_GROUP: NDArray[np.int64] = (np.arange(_MORE) ^ _SIGN) - _SIGN  # five bits with a sign


def damaged_rles(masks: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """RLEs with `size` [height, width] -> {row: what is wrong} of those whose runs are not height * width pixels."""
    damaged: dict[int, str] = {}
    for start in range(0, len(masks), BATCH):
        batch = masks[start : start + BATCH]
        if not _all_sound(batch):
            damaged |= {start + row: message for row, message in _one_by_one(batch).items()}
    return damaged


def _all_sound(masks: Sequence[Mapping[str, Any]]) -> bool:
    """False also where it is not known, as for uncompressed counts."""
    texts = [mask["counts"] for mask in masks]
    codes = _codes(texts)
    if codes is None or codes.max(initial=0) > _GROUP + _MORE:
        return False
    text_stops = np.fromiter(map(len, texts), np.int64, len(texts)).cumsum() - 1
    stops = (codes < _MORE).nonzero()[0]  # the last character of each number
    lasts = stops.searchsorted(text_stops)
    if lasts[-1] == len(stops) or (stops.take(lasts) != text_stops).any():
        return False
    differences = _differences(codes, stops)
    if differences is None:
        return False
    firsts = np.zeros_like(lasts)
    firsts[1:] = lasts[:-1] + 1
    counts = _counts(differences, firsts)
    pixels = np.fromiter(map(math.prod, map(itemgetter("size"), masks)), np.int64, len(masks))
    return bool(counts.min() >= 0 and (np.add.reduceat(counts, firsts) == pixels).all())


def _codes(texts: Sequence[Any]) -> NDArray[np.uint8] | None:
    """The characters of all texts, less what makes them printable; None unless all are text or all bytes, not empty."""
    try:
        joined = "".join(texts).encode() if isinstance(texts[0], str) else b"".join(texts)
    except (TypeError, UnicodeEncodeError):
        return None
    # A character that is not ASCII becomes several, each above what is allowed; what is below wraps around to there.
    return np.frombuffer(joined, np.uint8) - np.uint8(_PRINTABLE) if all(texts) else None


def _differences(codes: NDArray[np.uint8], stops: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The numbers as they are stored, read from their highest group down; None if one has too many groups."""
    numbers = _HIGHEST_GROUP.take(codes.take(stops))
    lengths = stops.copy()
    lengths[0] += 1
    lengths[1:] -= stops[:-1]
    rows = (lengths > 1).nonzero()[0]
    for group in range(1, _MAX_GROUPS):
        if not rows.size:
            return numbers
        lower = codes.take(stops.take(rows) - group) & _GROUP
        numbers[rows] = numbers.take(rows) << 5 | lower
        rows = rows[lengths.take(rows) > group + 1]
    return None if rows.size else numbers


def _counts(differences: NDArray[np.int64], firsts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The run lengths of all texts; `firsts` says where each begins. A difference is to the count two before.

    So the numbers at even and at odd places are summed up, and each text is relieved of what the texts before it gave.
    The very first count of a text stands alone.
    """
    counts = differences.copy()
    counts[firsts] = 0
    for parity in (0, 1):
        begins = (firsts + 1 - parity) >> 1
        sums = np.zeros((len(counts) + 1 - parity) // 2 + 1, np.int64)
        np.cumsum(counts[parity::2], out=sums[1:])
        numbers = np.empty_like(begins)
        numbers[:-1] = begins[1:] - begins[:-1]
        numbers[-1] = len(sums) - 1 - begins[-1]
        np.subtract(sums[1:], sums.take(begins).repeat(numbers), out=counts[parity::2])
    counts[firsts] = differences[firsts]
    return counts


def _one_by_one(masks: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    damaged = {}
    for row, mask in enumerate(masks):
        try:
            rle.area(mask)
        except DataError as error:
            damaged[row] = str(error)
    return damaged
