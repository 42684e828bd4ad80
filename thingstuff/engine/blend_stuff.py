"""The stuff map of a large image from that of its tiles: scores are averaged where tiles overlap, labels are cut."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from thingstuff.engine.tile_grid import Tile, TileGrid
from thingstuff.modeling.parts import LabelScores
from thingstuff.structures import Categories


class StuffBlender:
    """Takes the stuff of the tiles in the grid's order.

    Scores, the logits of a semantic head as a rule, are averaged with the weights of `TileGrid.weights`. Where only
    labels are known they are cut in the middle of the overlap. Beside the stuff map and the scores of one tile it holds
    what later tiles still add to: C x overlap x W float32 at most, the band between two rows of tiles, on the device of
    the scores.
    """

    def __init__(self, grid: TileGrid, categories: Categories) -> None:
        self._grid, self._categories = grid, categories
        self.stuff_map: NDArray[np.uint16] = np.zeros((grid.height, grid.width), np.uint16)
        self._left: torch.Tensor | None = None  # C x h x w, of this row of tiles: columns that the next tile adds to
        self._above: torch.Tensor | None = None  # C x h x W: rows of the image that this row of tiles adds to
        self._below: torch.Tensor | None = None  # the same for the next row, as far as this one has come

    def add(self, tile: Tile, stuff: LabelScores | NDArray[np.uint16]) -> None:
        if isinstance(stuff, LabelScores):
            with torch.inference_mode():
                self._add_scores(tile, stuff)
            return
        x0, y0, x1, y1 = tile.core
        left, top = tile.box[:2]
        self.stuff_map[y0:y1, x0:x1] = stuff[y0 - top : y1 - top, x0 - left : x1 - left]

    def _add_scores(self, tile: Tile, stuff: LabelScores) -> None:
        """In sums of score * weight: the weights of a pixel are those of all its labels, so nothing is divided."""
        x0, y0, _, y1 = tile.box
        columns = self._settle_columns(tile, self._weighted(tile, stuff.make()))
        settled = slice(x0, x0 + columns.shape[2])
        if self._above is not None:
            columns[:, : self._above.shape[1]] += self._above[:, :, settled]
        below_px = y1 - _next(self._grid.y_starts, tile.row, y1)
        rows = y1 - y0 - below_px
        labels = columns[:, :rows].argmax(dim=0).to(torch.uint8 if len(columns) <= 256 else torch.int32).cpu().numpy()
        self.stuff_map[y0 : y0 + rows, settled] = stuff.labels.stuff_map(labels, self._categories)
        self._keep_below(columns[:, rows:], settled)
        if tile.column + 1 == len(self._grid.x_starts):
            self._left, self._above, self._below = None, self._below, None

    def _weighted(self, tile: Tile, scores: torch.Tensor) -> torch.Tensor:
        rows, columns = (torch.from_numpy(w).to(scores.device) for w in self._grid.weights(tile))
        return scores.float() * rows[:, None] * columns

    def _settle_columns(self, tile: Tile, sums: torch.Tensor) -> torch.Tensor:
        """The columns to which no further tile of the row adds; the others wait for the next one."""
        if self._left is not None:
            sums[:, :, : self._left.shape[2]] += self._left
        settled = _next(self._grid.x_starts, tile.column, tile.box[2]) - tile.box[0]
        self._left = sums[:, :, settled:].clone()
        return sums[:, :, :settled]

    def _keep_below(self, sums: torch.Tensor, columns: slice) -> None:
        if sums.shape[1] == 0:
            return
        if self._below is None:
            self._below = sums.new_empty((*sums.shape[:2], self._grid.width))
        self._below[:, :, columns] = sums


def _next(starts: tuple[int, ...], number: int, end: int) -> int:
    """Where the next tile begins, or else the end of this one."""
    return min(starts[number + 1], end) if number + 1 < len(starts) else end
