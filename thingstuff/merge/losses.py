"""Losses: which instance lost how many pixels to which, counted for all instances of an image at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.merge.positions import true_positions

Takers = tuple[tuple[int, int], ...]  # (number of an instance, pixels), most pixels first, then by number
BATCH = 128  # losers counted in one table


class Losses:
    """Collects what instances lost. One count for many of them costs a fraction of a count for each."""

    def __init__(self) -> None:
        self._losers: list[int] = []
        self._owners: list[NDArray[np.integer[Any]]] = []

    def note(self, loser: int, owners: NDArray[np.integer[Any]]) -> None:
        """Instance `loser` lost a pixel wherever `owners` (any shape) is not 0 but the taker's code."""
        self._losers.append(loser)
        self._owners.append(owners.reshape(-1))

    def takers(self, codes: Sequence[tuple[int, int]]) -> dict[int, Takers]:
        """Number of every loser -> who took its pixels. `codes`: (number, code) of who may have, code by code down."""
        pairs: dict[int, list[tuple[int, int]]] = {loser: [] for loser in self._losers}
        for start in range(0, len(self._losers), BATCH):
            table = self._count(self._owners[start : start + BATCH], codes[0][1])
            rows, places = table.nonzero()
            pixels = table[rows, places].astype(np.int64)
            for row, place, count in zip(rows.tolist(), places.tolist(), pixels.tolist(), strict=True):
                pairs[self._losers[start + row]].append((codes[place][0], count))
        return {loser: _most_first(found) for loser, found in pairs.items()}

    def _count(self, parts: list[NDArray[np.integer[Any]]], highest: int) -> NDArray[np.float64]:
        """Parts x takers, the one with the highest code first: pixels.

        Runs of owners are counted, since pixels one by one would cost as much as the rest of the merge.
        """
        gap = np.zeros(1, parts[0].dtype)  # keeps the last run of a part from the first one of the next
        flat = np.concatenate([gap, *(array for part in parts for array in (part, gap))])
        changes = true_positions(flat[1:] != flat[:-1])
        starts, lengths = changes[:-1], changes[1:] - changes[:-1]
        owners = flat[starts + 1].astype(np.int64)
        places = np.where(owners, highest + 1 - owners, 0)
        run_counts = np.diff(starts.searchsorted(np.cumsum([part.size + 1 for part in parts])), prepend=0)
        rows = np.repeat(np.arange(len(parts)), run_counts)
        span = int(places.max()) + 1
        table = np.bincount(rows * span + places, weights=lengths, minlength=len(parts) * span)
        return np.asarray(table.reshape(len(parts), span)[:, 1:], np.float64)  # column 0: not lost


def _most_first(found: list[tuple[int, int]]) -> Takers:
    return tuple(sorted(found, key=lambda taker: (-taker[1], taker[0])))
