"""COCO's compressed run lengths: counts <-> a string of printable characters, as pycocotools writes it.

From the fourth count on, each is stored as its difference from the count two before. A number is cut into groups of
five bits, lowest first; a sixth bit says that more follow, the highest bit of the last group is the sign, and 48 is
added to make it printable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError

MAX_GROUPS = 7  # 35 bits: every difference of two 32-bit counts
MAX_COUNT = 2**32 - 1
GROUP, MORE, SIGN, PRINTABLE = 31, 32, 16, 48


def compress(counts: NDArray[Any] | Sequence[int]) -> str:
    """Run lengths, each 0 to 2**32 - 1 -> COCO's string, byte for byte that of pycocotools."""
    numbers = _checked(np.array(counts, np.int64).reshape(-1))
    numbers[3:] -= numbers[1:-2]
    groups = _group_counts(numbers)
    place = np.arange(groups.max(initial=1))
    bits = (numbers[:, None] >> (5 * place)) & GROUP
    bits += np.where(place < groups[:, None] - 1, MORE, 0) + PRINTABLE
    return str(bits[place < groups[:, None]].astype(np.uint8).tobytes(), "ascii")


def decompress(text: str | bytes) -> NDArray[np.int64]:
    """COCO's string -> run lengths. Strange characters and a number cut off are refused."""
    codes = np.frombuffer(_ascii(text), np.uint8).astype(np.int64) - PRINTABLE
    if codes.size == 0:
        return codes
    if codes.min() < 0 or codes.max() > GROUP + MORE or codes[-1] & MORE:
        raise DataError(f"RLE string: expected characters '0' to 'o' and a whole last number, got {_short(text)}")
    counts = _numbers(codes, text)
    # Undo the differences: odd and even positions are two sums; the very first count stands alone.
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return _checked(counts)


def _group_counts(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many groups of five bits hold each number with its sign."""
    limits = 1 << (5 * np.arange(1, MAX_GROUPS) - 1)
    magnitude = np.where(numbers < 0, ~numbers, numbers)
    return np.searchsorted(limits, magnitude, side="right") + 1


def _numbers(codes: NDArray[np.int64], text: str | bytes) -> NDArray[np.int64]:
    ends = np.flatnonzero(codes & MORE == 0) + 1
    starts = np.append(0, ends[:-1])
    groups = ends - starts
    if groups.max() > MAX_GROUPS:
        raise DataError(f"RLE string: expected at most {MAX_GROUPS} characters a number, got {_short(text)}")
    place = np.arange(codes.size) - np.repeat(starts, groups)
    numbers = np.add.reduceat((codes & GROUP) << (5 * place), starts)
    return numbers - np.where(codes[ends - 1] & SIGN, 1 << (5 * groups), 0)


def _checked(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    wrong = counts[(counts < 0) | (counts > MAX_COUNT)]
    if wrong.size:
        raise DataError(f"RLE: expected run lengths 0 to {MAX_COUNT}, got {wrong[0]}")
    return counts


def _ascii(text: str | bytes) -> bytes:
    if isinstance(text, str) and not text.isascii():
        raise DataError(f"RLE string: expected ASCII, got {_short(text)}")
    return text.encode("ascii") if isinstance(text, str) else text


def _short(text: str | bytes) -> str:
    return repr(text if len(text) <= 40 else text[:40]) + (" ..." if len(text) > 40 else "")
