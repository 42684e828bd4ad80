"""The pixels that a quick paste cannot decide: those at the threshold but for rounding, decided by `grid_sample`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from thingstuff.modeling.paste_grid import Floats, GridAxis

PIECE = 32  # points of one mask that are sampled together
WAITING_PX = 1 << 14  # more are decided at once, so that they do not pile up


@dataclass(eq=False)
class DoubtfulPixels:
    """Collects pixels of N masks, and writes into them what `grid_sample` says of exactly these points.

    A point's value depends on no other point, so the answer is that of sampling the whole image. The masks of one
    image share a call: most have a pixel or two in doubt, and a call each would cost more than all the rest.
    """

    probs: Floats
    y: GridAxis
    x: GridAxis
    threshold: float
    _waiting: list[tuple[NDArray[np.bool_], int, NDArray[np.int64]]] = field(default_factory=list)
    _waiting_px: int = 0

    def add(self, block: NDArray[np.bool_], first: int, pixels: NDArray[np.int64]) -> None:
        """Flat positions in a contiguous block of rows, the first of which is row `first` of all masks' rows.

        The block is changed here or by `settle`.
        """
        self._waiting.append((block, first, pixels))
        self._waiting_px += pixels.size
        if self._waiting_px > WAITING_PX:
            self.settle()

    def settle(self) -> None:
        """Decide all that waits."""
        if not self._waiting:
            return
        rows, columns = np.concatenate([_rows_and_columns(*one) for one in self._waiting], axis=1)
        masks = np.searchsorted(self.y.offsets, rows, side="right") - 1
        x, y = self.x.normalized[self.x.offsets[masks] + columns], self.y.normalized[rows]
        inside = (sample(self.probs, masks, x, y) >= self.threshold).numpy()
        for block, _, pixels in self._waiting:
            block.reshape(-1)[pixels], inside = inside[: pixels.size], inside[pixels.size :]
        self._waiting, self._waiting_px = [], 0


def _rows_and_columns(block: NDArray[np.bool_], first: int, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    row, column = np.divmod(pixels, block.shape[1])
    return np.stack([row + first, column])


def sample(probs: Floats, masks: NDArray[np.int64], x: Floats, y: Floats) -> torch.Tensor:
    """K float32 values: `grid_sample` of mask `masks[k]` of N x M x M at (x[k], y[k])."""
    order = np.argsort(masks, kind="stable")
    counts = np.bincount(masks, minlength=len(probs))
    pieces = -(-counts // PIECE)
    # Each mask's points start a new piece; what is left of its last piece is sampled for nothing.
    moved = (np.cumsum(pieces) - pieces) * PIECE - (np.cumsum(counts) - counts)
    slots = np.empty(masks.size, np.int64)
    slots[order] = np.arange(masks.size) + moved[masks[order]]
    grid = np.zeros((int(pieces.sum()) * PIECE, 2), np.float32)
    grid[slots, 0], grid[slots, 1] = x, y
    repeated = torch.from_numpy(probs[np.repeat(np.arange(len(probs)), pieces)][:, None])
    points = torch.from_numpy(grid).view(len(repeated), 1, PIECE, 2)
    return F.grid_sample(repeated, points, align_corners=False).view(-1)[torch.from_numpy(slots)]
