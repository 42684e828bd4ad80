"""Row runs: two maps of one image as stretches of equal pixels, of which there are far fewer than pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.merge.positions import true_positions

Extent = tuple[int, tuple[int, int, int, int]]  # area in pixels, tight box x, y, width, height
NO_PIXELS: Extent = (0, (0, 0, 0, 0))


@dataclass(frozen=True, eq=False)
class RowRuns:
    """The K runs of an H x W image in which neither its code nor its label changes, none longer than its row."""

    starts: NDArray[np.int64]  # K flat positions, ascending
    lengths: NDArray[np.int64]  # K, in pixels
    codes: NDArray[np.integer[Any]]  # K
    labels: NDArray[np.integer[Any]]  # K
    shape: tuple[int, int]

    @classmethod
    def of(cls, codes: NDArray[np.integer[Any]], labels: NDArray[np.integer[Any]]) -> RowRuns:
        """The runs of two H x W arrays."""
        begins = np.ones(codes.shape, bool)
        np.not_equal(codes[:, 1:], codes[:, :-1], out=begins[:, 1:])
        begins[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        starts = true_positions(begins.reshape(-1))
        lengths = np.append(starts[1:], codes.size) - starts
        return cls(starts, lengths, codes.reshape(-1)[starts], labels.reshape(-1)[starts], codes.shape)

    def extents(self) -> dict[int, Extent]:
        """Code -> area and box, for those that occur, ascending."""
        if self.codes.size == 0:
            return {}
        order = np.argsort(self.codes, kind="stable")
        codes, lengths = self.codes[order], self.lengths[order]
        starts = self.starts[order]
        y = starts // self.shape[1]  # numpy has a fast way for this, and none for divmod
        x = starts - y * self.shape[1]
        first = np.append(0, np.flatnonzero(codes[1:] != codes[:-1]) + 1)
        x0, x1 = np.minimum.reduceat(x, first), np.maximum.reduceat(x + lengths, first)
        y0, y1 = y[first], np.maximum.reduceat(y, first) + 1
        areas = np.add.reduceat(lengths, first)
        boxes = zip(x0.tolist(), y0.tolist(), (x1 - x0).tolist(), (y1 - y0).tolist(), strict=True)
        return dict(zip(codes[first].tolist(), zip(areas.tolist(), boxes, strict=True), strict=True))

    def label_areas_px(self, highest: int) -> dict[int, int]:
        """Label -> area, for labels from 1 to `highest` that occur, ascending."""
        # all above share an entry, so that the table stays short
        areas_px = np.bincount(np.minimum(self.labels, highest + 1), weights=self.lengths).astype(np.int64)
        return {label: px for label, px in enumerate(areas_px.tolist()) if px and 0 < label <= highest}

    def mapped(self, ids: Mapping[int, int]) -> NDArray[np.uint32]:
        """H x W uint32: `ids[code]` of every pixel, 0 where a code has none."""
        table = np.zeros(max(ids, default=0) + 2, np.uint32)
        for code, number in ids.items():
            table[code] = number
        values = table[np.minimum(self.codes, len(table) - 1)]
        return np.repeat(values, self.lengths).reshape(self.shape)
