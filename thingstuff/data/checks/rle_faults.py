"""Which RLEs cannot be decoded, and why: thousands at once where they are sound, one by one only where they are not."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.evaluation.rle_check import damaged_rles

LONGEST_SIDE_PX = 1 << 20  # beyond it a size is damage, and its pixels could not be counted

Rle = Mapping[str, Any]


def rle_faults(segmentations: Sequence[Any], rows: NDArray[np.int64]) -> dict[int, str]:
    """Of `segmentations[row]`, which for these rows are mappings of anything: {row: what is wrong}."""
    faults, strings = {}, []
    for row in rows.tolist():
        rle = segmentations[row]
        fault = _fault_of_fields(rle) or _fault_of_runs(rle)
        if fault:
            faults[row] = fault
        elif isinstance(rle["counts"], str | bytes):
            strings.append(row)
    damaged = damaged_rles([segmentations[row] for row in strings])
    return faults | {strings[number]: message.removeprefix("RLE: ") for number, message in damaged.items()}


def _fault_of_fields(rle: Rle) -> str | None:
    missing = [key for key in ("size", "counts") if rle.get(key) is None]
    if missing:
        return f"the RLE has no {' and no '.join(missing)}"
    size = rle["size"]
    if not isinstance(size, list | tuple) or [type(side) for side in size] != [int, int]:
        return "the size of the RLE is not [height, width] in whole numbers"
    if not 0 <= min(size) <= max(size) <= LONGEST_SIDE_PX:
        return f"the size of the RLE is {list(size)}, expected sides of 0 to {LONGEST_SIDE_PX} pixels"
    if not isinstance(rle["counts"], str | bytes | list | tuple):
        return f"the counts of the RLE are of the type {type(rle['counts']).__name__}, expected a string or a list"
    return None


def _fault_of_runs(rle: Rle) -> str | None:
    """Of uncompressed counts."""
    counts, (height, width) = rle["counts"], rle["size"]
    if isinstance(counts, str | bytes):
        return None if counts else "the counts of the RLE are an empty string"
    strange = next((reprlib.repr(count) for count in counts if type(count) is not int or count < 0), None)
    if strange is not None:
        return f"the counts of the RLE hold {strange[:20]!r}, expected whole numbers of 0 or more"
    if sum(counts) != height * width:
        return f"expected runs of {height} x {width} = {height * width} pixels, got {sum(counts)}"
    return None
