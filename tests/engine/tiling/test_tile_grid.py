"""Tiles cover an image, are equal, overlap as asked, and their cores share the image out."""

import itertools

import numpy as np
import pytest

from thingstuff.engine.tile_grid import TileGrid, Tiling
from thingstuff.errors import ConfigError


def random_grids(count):
    rng = np.random.default_rng(5)
    for _ in range(count):
        tile_px = int(rng.integers(1, 40))
        tiling = Tiling(tile_px, int(rng.integers(tile_px)))
        yield TileGrid(*(int(side) for side in rng.integers(1, 120, 2)), tiling)


def test_random_images_are_covered_by_equal_tiles_that_overlap_enough():
    for grid in random_grids(150):
        tiles, tile_px, overlap_px = list(grid), grid.tiling.tile_px, grid.tiling.overlap_px
        assert len(tiles) == len(grid)
        covered = np.zeros((grid.height, grid.width), int)
        cores = np.zeros((grid.height, grid.width), int)
        for tile in tiles:
            x0, y0, x1, y1 = tile.box
            assert (x1 - x0, y1 - y0) == (min(tile_px, grid.width), min(tile_px, grid.height))
            covered[y0:y1, x0:x1] += 1
            x0, y0, x1, y1 = tile.core
            assert tile.box[0] <= x0 < x1 <= tile.box[2]
            assert tile.box[1] <= y0 < y1 <= tile.box[3]
            cores[y0:y1, x0:x1] += 1
        assert covered.min() >= 1
        assert (cores == 1).all()
        for starts in (grid.x_starts, grid.y_starts):
            assert all(0 < b - a <= tile_px - overlap_px for a, b in itertools.pairwise(starts))


def test_the_tiles_that_hold_a_box_are_those_it_lies_in():
    rng = np.random.default_rng(6)
    for grid in random_grids(100):
        x0, y0 = (int(rng.integers(side)) for side in (grid.width, grid.height))
        box = (x0, y0, int(rng.integers(x0, grid.width)) + 1, int(rng.integers(y0, grid.height)) + 1)
        inside = [t for t in grid if t.box[0] <= x0 and t.box[1] <= y0 and box[2] <= t.box[2] and box[3] <= t.box[3]]
        assert list(grid.holding(box)) == inside


def test_no_fewer_tiles_would_do():
    for grid in random_grids(300):
        tile_px, overlap_px = grid.tiling.tile_px, grid.tiling.overlap_px
        for length, starts in ((grid.width, grid.x_starts), (grid.height, grid.y_starts)):
            one_less = len(starts) - 1
            assert one_less == 0 or one_less * tile_px - (one_less - 1) * overlap_px < length


def test_weights_are_one_alone_and_fall_to_inner_borders():
    for grid in random_grids(30):
        alone = np.zeros((grid.height, grid.width), int)
        for tile in grid:
            x0, y0, x1, y1 = tile.box
            alone[y0:y1, x0:x1] += 1
        for tile in grid:
            x0, y0, x1, y1 = tile.box
            rows, columns = grid.weights(tile)
            weights = np.outer(rows, columns)
            assert (weights > 0).all()
            assert (weights[alone[y0:y1, x0:x1] == 1] == 1).all()


def test_weights_of_an_overlap_as_asked_add_up_to_one():
    grid = TileGrid(8, 18, Tiling(10, 2))
    (_, first), (_, second) = (grid.weights(tile) for tile in grid)
    assert np.allclose(first, [1] * 8 + [0.75, 0.25])
    assert np.allclose(second, [0.25, 0.75] + [1] * 8)


def test_is_inner():
    grid = TileGrid(10, 30, Tiling(12, 2))
    assert [grid.is_inner(tile) for tile in grid] == [
        (False, False, True, False),
        (True, False, True, False),
        (True, False, False, False),
    ]


def test_an_image_of_a_tile_or_less_is_one_tile():
    for height, width in ((1, 1), (1, 10), (10, 10), (3, 9)):
        (tile,) = TileGrid(height, width, Tiling(10, 4))
        assert tile.box == tile.core == (0, 0, width, height)


@pytest.mark.parametrize(("overlap", "px"), [(0, 0), (0.25, 256), (0.5, 512), (1, 1), (64, 64)])
def test_an_overlap_is_a_share_or_pixels(overlap, px):
    assert Tiling.with_overlap(1024, overlap) == Tiling(1024, px)


@pytest.mark.parametrize(("tile_px", "overlap"), [(0, 0), (-5, 0), (10, 10), (10, -1), (10, 0.99)])
def test_impossible_tiles_are_refused(tile_px, overlap):
    with pytest.raises(ConfigError, match="tile"):
        Tiling.with_overlap(tile_px, overlap)
