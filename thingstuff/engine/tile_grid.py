"""Where the tiles of a large image lie: equal in size, overlapping, covering every pixel."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import ConfigError
from thingstuff.structures.spans import Box


@dataclass(frozen=True, slots=True)
class Tiling:
    """Square tiles of `tile_px`; neighbours share `overlap_px` pixels or more."""

    tile_px: int
    overlap_px: int

    def __post_init__(self) -> None:
        if self.tile_px < 1:
            raise ConfigError(f"the tile size is {self.tile_px}, expected 1 pixel or more")
        if not 0 <= self.overlap_px < self.tile_px:
            raise ConfigError(f"tiles of {self.tile_px} pixels cannot overlap by {self.overlap_px}: give less")

    @classmethod
    def with_overlap(cls, tile_px: int, overlap: float) -> Tiling:
        """`overlap` is a share of the tile below 1, or pixels."""
        return cls(tile_px, round(overlap * tile_px) if 0 <= overlap < 1 else round(overlap))


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile, by its place in the grid. Boxes are x0, y0, x1, y1 in pixels of the image, half-open.

    The cores of all tiles share the image out: they meet in the middle of the overlaps.
    """

    row: int
    column: int
    box: Box
    core: Box

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The tile's part of an H x W x 3 image: a view."""
        x0, y0, x1, y1 = self.box
        return image[y0:y1, x0:x1]


@dataclass(frozen=True)
class TileGrid:
    """The tiles of an H x W image, row by row. A side that is not longer than a tile has one, as long as the side.

    The tiles are as few as the overlap allows, and are spread evenly: what the last one would reach beyond the image is
    shared out among the overlaps, where the usual "last one moved inwards" computes nearly the same pixels twice.
    """

    height: int
    width: int
    tiling: Tiling

    @cached_property
    def x_starts(self) -> tuple[int, ...]:
        return _starts(self.width, self.tiling)

    @cached_property
    def y_starts(self) -> tuple[int, ...]:
        return _starts(self.height, self.tiling)

    def __len__(self) -> int:
        return len(self.x_starts) * len(self.y_starts)

    def __iter__(self) -> Iterator[Tile]:
        return iter(self._tiles)

    @cached_property
    def _tiles(self) -> tuple[Tile, ...]:
        columns = _axis(self.x_starts, self.width, self.tiling.tile_px)
        rows = _axis(self.y_starts, self.height, self.tiling.tile_px)
        return tuple(
            Tile(row, column, (x[0], y[0], x[1], y[1]), (core_x[0], core_y[0], core_x[1], core_y[1]))
            for (row, (y, core_y)), (column, (x, core_x)) in itertools.product(enumerate(rows), enumerate(columns))
        )

    def holding(self, box: Box) -> Iterator[Tile]:
        """The tiles in which a box lies whole."""
        rows = _holding(self.y_starts, self.tiling.tile_px, box[1], box[3])
        columns = _holding(self.x_starts, self.tiling.tile_px, box[0], box[2])
        for row, column in itertools.product(rows, columns):
            yield self._tiles[row * len(self.x_starts) + column]

    def is_inner(self, tile: Tile) -> tuple[bool, bool, bool, bool]:
        """Whether the left, top, right and bottom border of a tile lies within the image."""
        x0, y0, x1, y1 = tile.box
        return x0 > 0, y0 > 0, x1 < self.width, y1 < self.height

    def weights(self, tile: Tile) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """float32 weights of a tile's rows and of its columns, whose product is that of a pixel.

        1, falling linearly to nearly 0 over the last `overlap_px` pixels before a border within the image. Where two
        tiles share just that many pixels their weights add up to 1; where there is only one its weight is 1.
        """
        left, top, right, bottom = self.is_inner(tile)
        x0, y0, x1, y1 = tile.box
        ramp_px = self.tiling.overlap_px or 0.5  # without an overlap to fall over every weight is 1
        return _ramps(y1 - y0, ramp_px, top, bottom), _ramps(x1 - x0, ramp_px, left, right)


def _starts(length: int, tiling: Tiling) -> tuple[int, ...]:
    room = length - tiling.tile_px
    if room <= 0:
        return (0,)
    steps = math.ceil(room / (tiling.tile_px - tiling.overlap_px))
    return tuple(room * number // steps for number in range(steps + 1))


def _holding(starts: Sequence[int], tile_px: int, low: int, high: int) -> range:
    return range(bisect_left(starts, high - tile_px), bisect_right(starts, low))


def _axis(starts: tuple[int, ...], length: int, tile_px: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Of each tile its range and that of its core, along one side."""
    ranges = [(start, min(start + tile_px, length)) for start in starts]
    middles = [(after[0] + before[1]) // 2 for before, after in itertools.pairwise(ranges)]
    return list(zip(ranges, itertools.pairwise((0, *middles, length)), strict=True))


def _ramps(length: int, ramp_px: float, at_start: bool, at_end: bool) -> NDArray[np.float32]:
    rising = ((np.arange(length) + 0.5) / ramp_px).clip(max=1)
    ones = np.ones(length)
    return np.minimum(rising if at_start else ones, rising[::-1] if at_end else ones).astype(np.float32)
