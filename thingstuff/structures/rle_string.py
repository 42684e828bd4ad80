"""COCO's compressed run lengths: counts <-> a string of printable characters, as pycocotools writes it.

From the fourth count on, each is stored as its difference from the count two before. A number is cut into groups of
five bits, lowest first; a sixth bit says that more follow, the highest bit of the last group is the sign, and 48 is
added to make it printable.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError

MAX_GROUPS = 7  # 35 bits: every difference of two 32-bit counts
MAX_COUNT = 2**32 - 1
GROUP, MORE, SIGN, PRINTABLE = 31, 32, 16, 48


def compress(counts: NDArray[Any] | Sequence[int]) -> str:
    """Run lengths, each 0 to 2**32 - 1 -> COCO's string, byte for byte that of pycocotools."""
    flat = np.array(counts, np.int64).reshape(-1)
    return compress_each(flat, np.array([flat.size]))[0]


def compress_each(counts: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[str]:
    """The run lengths of N masks one after another, and how many each has -> N strings, in one pass for all."""
    ends = np.cumsum(lengths)
    numbers = _differences(_checked(counts), np.repeat(ends - lengths, lengths))
    groups = _group_counts(numbers)
    after = np.cumsum(groups)
    characters = np.zeros(int(groups.sum()), np.uint8)
    for place in range(int(groups.max(initial=0))):
        left = np.flatnonzero(groups > place)  # ever fewer: most differences are short
        bits = (numbers[left] >> (5 * place)) & GROUP
        characters[(after - groups)[left] + place] = bits + PRINTABLE + MORE * (groups[left] > place + 1)
    text = str(characters.tobytes(), "ascii")
    cuts = np.append(0, after)[np.append(0, ends)].tolist()
    return [text[start:end] for start, end in pairwise(cuts)]


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


def _differences(counts: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is stored of each count; `first` is where the mask of each begins."""
    late = np.flatnonzero(np.arange(counts.size) - first >= 3)
    numbers = counts.copy()
    numbers[late] -= counts[late - 2]
    return numbers


def _group_counts(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many groups of five bits hold each number with its sign."""
    magnitude = numbers ^ (numbers >> 63)
    groups = np.ones(numbers.size, np.int64)
    for limit in (1 << (5 * np.arange(1, MAX_GROUPS) - 1)).tolist():
        longer = magnitude >= limit
        if not longer.any():
            break
        groups += longer
    return groups


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
    if counts.min(initial=0) < 0 or counts.max(initial=0) > MAX_COUNT:
        wrong = counts[(counts < 0) | (counts > MAX_COUNT)][0]
        raise DataError(f"RLE: expected run lengths 0 to {MAX_COUNT}, got {wrong}")
    return counts


def _ascii(text: str | bytes) -> bytes:
    if isinstance(text, str) and not text.isascii():
        raise DataError(f"RLE string: expected ASCII, got {_short(text)}")
    return text.encode("ascii") if isinstance(text, str) else text


def _short(text: str | bytes) -> str:
    return repr(text if len(text) <= 40 else text[:40]) + (" ..." if len(text) > 40 else "")
