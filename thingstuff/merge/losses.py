"""Losses: which instance lost how many pixels to which, counted for all instances of an image at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.merge.positions import true_positions

Takers = tuple[tuple[int, int], ...]  # (index of an instance, pixels), most pixels first, then by index
BATCH = 128  # losers counted in one table


class Losses:
    """Collects what instances lost. One count for many of them costs a fraction of a count for each."""

    def __init__(self, first_code: int) -> None:
        self._first_code = first_code
        self._losers: list[int] = []
        self._owners: list[NDArray[np.integer[Any]]] = []

    def note(self, loser: int, owners: NDArray[np.integer[Any]]) -> None:
        """Instance `loser` lost a pixel wherever `owners` (any shape) is not 0 but `first_code` + the taker's index."""
        self._losers.append(loser)
        self._owners.append(owners.reshape(-1))

    def takers(self) -> dict[int, Takers]:
        """Index of every loser -> who took its pixels."""
        pairs: dict[int, list[tuple[int, int]]] = {loser: [] for loser in self._losers}
        for start in range(0, len(self._losers), BATCH):
            table = self._count(self._owners[start : start + BATCH])
            rows, takers = table.nonzero()
            pixels = table[rows, takers].astype(np.int64)
            for row, taker, count in zip(rows.tolist(), takers.tolist(), pixels.tolist(), strict=True):
                pairs[self._losers[start + row]].append((taker, count))
        return {loser: _most_first(found) for loser, found in pairs.items()}

    def _count(self, parts: list[NDArray[np.integer[Any]]]) -> NDArray[np.float64]:
        """Parts x takers: pixels.

        Runs of owners are counted, since pixels one by one would cost as much as the rest of the merge.
        """
        gap = np.zeros(1, parts[0].dtype)  # keeps the last run of a part from the first one of the next
        flat = np.concatenate([gap, *(array for part in parts for array in (part, gap))])
        changes = true_positions(flat[1:] != flat[:-1])
        starts, lengths = changes[:-1], changes[1:] - changes[:-1]
        places = np.maximum(flat[starts + 1], self._first_code - 1) - (self._first_code - 1)
        run_counts = np.diff(starts.searchsorted(np.cumsum([part.size + 1 for part in parts])), prepend=0)
        numbers = np.repeat(np.arange(len(parts)), run_counts)
        span = int(places.max()) + 1
        table = np.bincount(numbers * span + places, weights=lengths, minlength=len(parts) * span)
        return np.asarray(table.reshape(len(parts), span)[:, 1:], np.float64)  # column 0: not lost


def _most_first(found: list[tuple[int, int]]) -> Takers:
    return tuple(found if len(found) < 2 else sorted(found, key=lambda taker: (-taker[1], taker[0])))
