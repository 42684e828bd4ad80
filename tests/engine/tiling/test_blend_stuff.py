"""Stuff of tiles: scores are a weighted mean where tiles overlap, labels are cut in the middle."""

import numpy as np
import pytest
import torch
from tile_oracle import CATEGORIES, Oracle, assert_same, coordinates, place_of, scene

from thingstuff.engine.blend_stuff import StuffBlender
from thingstuff.engine.tile_grid import TileGrid, Tiling
from thingstuff.engine.tiling import TiledPredictor
from thingstuff.merge import Greedy, merge
from thingstuff.modeling.label_space import LabelSpace
from thingstuff.modeling.parts import LabelScores, Parts
from thingstuff.modeling.prediction import Prediction
from thingstuff.structures import VOID

LABELS = LabelSpace.of(CATEGORIES)  # things, sky, sea


def falling_weight(position, start, end, length, overlap_px):
    """Of a pixel along one side: its distance to the nearest border within the image, in overlaps, 1 at most."""
    inside = [(position + 0.5 - start) / overlap_px] if start > 0 else []
    inside += [(end - position - 0.5) / overlap_px] if end < length else []
    return min([1.0, *inside])


def written_out(grid, scores):
    """Mean of the tiles' scores by pixel: sum of weight times score over the sum of weights."""
    channels = len(scores[0])
    sums = np.zeros((channels, grid.height, grid.width))
    weights = np.zeros((grid.height, grid.width))
    for tile, one in zip(grid, scores, strict=True):
        x0, y0, x1, y1 = tile.box
        for y in range(y0, y1):
            for x in range(x0, x1):
                weight = falling_weight(y, y0, y1, grid.height, grid.tiling.overlap_px)
                weight *= falling_weight(x, x0, x1, grid.width, grid.tiling.overlap_px)
                sums[:, y, x] += weight * one[:, y - y0, x - x0]
                weights[y, x] += weight
    return sums / weights


@pytest.mark.parametrize(
    ("height", "width", "tile_px", "overlap_px"),
    [(23, 31, 10, 4), (10, 30, 10, 3), (30, 10, 10, 3), (21, 21, 20, 5), (25, 24, 12, 11), (12, 40, 9, 1)],
)
def test_scores_are_averaged_by_the_formula(height, width, tile_px, overlap_px):
    grid = TileGrid(height, width, Tiling(tile_px, overlap_px))
    rng = np.random.default_rng(0)
    sizes = [(t.box[3] - t.box[1], t.box[2] - t.box[0]) for t in grid]
    scores = [rng.normal(size=(3, *size)).astype(np.float32) for size in sizes]
    blender = StuffBlender(grid, CATEGORIES)
    for tile, one in zip(grid, scores, strict=True):
        blender.add(tile, LabelScores(lambda one=one: torch.from_numpy(one), LABELS))
    mean = written_out(grid, scores)
    ordered = np.sort(mean, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-5  # rounding may settle what is nearly a tie
    assert clear.mean() > 0.99
    assert np.array_equal(blender.stuff_map[clear], mean.argmax(axis=0)[clear])


def test_no_more_than_the_band_of_an_overlap_is_held():
    grid = TileGrid(100, 300, Tiling(20, 4))
    blender = StuffBlender(grid, CATEGORIES)
    for tile in grid:
        blender.add(tile, LabelScores(lambda: torch.zeros(3, 20, 20), LABELS))
        for held in (blender._above, blender._below):
            assert held is None or held.shape == (3, 4, 300)
        assert blender._left is None or blender._left.shape[2] <= 5


def test_labels_are_cut_in_the_middle():
    grid = TileGrid(10, 16, Tiling(10, 4))
    blender = StuffBlender(grid, CATEGORIES)
    for label, tile in enumerate(grid, 1):
        blender.add(tile, np.full((10, 10), label, np.uint16))
    assert blender.stuff_map.tolist() == [[1] * 8 + [2] * 8] * 10


def test_void_labels_stay():
    stuff_map = np.random.default_rng(1).choice(np.array([0, 1, 2, VOID], np.uint16), (70, 90))
    truth = scene(np.random.default_rng(1), 70, 90, 0)
    found = TiledPredictor(Oracle(truth, stuff_map), Tiling(32, 8))(coordinates(70, 90))
    assert np.array_equal(found.stuff_map, stuff_map)
    assert found.panoptic is None


class Merging(Oracle):
    """Gives parts as a predictor of things + stuff does."""

    def parts(self, image, file_name=None):
        found = self(image, file_name)
        return Parts(found.detections, found.stuff_map, is_merged=True)


@pytest.mark.parametrize("seed", range(4))
def test_the_merge_runs_once_on_the_whole_image(seed):
    rng = np.random.default_rng(seed)
    truth = scene(rng, 150, 170, 30)
    stuff_map = np.repeat(np.repeat(rng.integers(0, 3, (15, 17)), 10, 0), 10, 1).astype(np.uint16)
    rule = Greedy(stuff_area_limit=3000)
    found = TiledPredictor(Merging(truth, stuff_map), Tiling(64, 20), rule=rule)(coordinates(150, 170))
    expected, ledger = merge(truth, stuff_map, CATEGORIES, rule)
    assert_same(found.detections, truth)
    assert np.array_equal(found.panoptic.ids, expected.ids)
    assert [(s.category_id, s.area) for s in found.panoptic.segments] == [
        (s.category_id, s.area) for s in expected.segments
    ]
    assert len(found.ledger.instances) == len(ledger.instances)


class WholeMap(Oracle):
    """Predicts a panoptic map itself, as Panoptic-DeepLab does."""

    def __call__(self, image, file_name=None):
        found = super().__call__(image)
        keep_all = Greedy(overlap_thresh=1, stuff_area_limit=0, instances_confidence_thresh=0)
        panoptic, _ = merge(found.detections, found.stuff_map, CATEGORIES, keep_all)
        return Prediction(None, found.stuff_map, panoptic)


def test_maps_that_a_model_predicts_itself_are_put_together():
    rng = np.random.default_rng(3)
    truth = scene(rng, 150, 170, 30)
    stuff_map = np.repeat(np.repeat(rng.integers(1, 3, (15, 17)), 10, 0), 10, 1).astype(np.uint16)
    found = TiledPredictor(WholeMap(truth, stuff_map), Tiling(64, 20))(coordinates(150, 170))
    keep_all = Greedy(overlap_thresh=1, stuff_area_limit=0, instances_confidence_thresh=0)
    expected, _ = merge(truth, stuff_map, CATEGORIES, keep_all)
    assert np.array_equal(found.panoptic.ids, expected.ids)
    assert found.ledger is None


def test_stuff_of_a_whole_image_is_read_once_and_by_its_name():
    truth = scene(np.random.default_rng(2), 70, 90, 10)
    asked = []

    def read(name, height, width):
        asked.append((name, height, width))
        return np.ones((height, width), np.uint16)

    class Things(Oracle):
        def parts(self, image, file_name=None):
            return Parts(self(image).detections, is_merged=True)

    tiled = TiledPredictor(Things(truth), Tiling(32, 8), rule=Greedy(), whole_stuff=read)
    found = tiled(coordinates(70, 90), "a.png")
    assert asked == [("a.png", 70, 90)]
    assert (found.stuff_map == 1).all()
    assert found.panoptic.ids.shape == (70, 90)


def test_one_tile_is_the_predictors_own_answer():
    answer = Prediction()

    class Plain:
        categories = CATEGORIES

        def __call__(self, image, file_name=None):
            assert (image.shape, file_name) == ((40, 30, 3), "b.png")
            assert place_of(image) == (0, 0)
            return answer

    assert TiledPredictor(Plain(), Tiling(40, 8))(coordinates(40, 30), "b.png") is answer
