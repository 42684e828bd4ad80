"""What tiles see of an object is joined to that object, pixel by pixel; what is not one object stays apart."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from tile_oracle import CATEGORIES, Oracle, assert_same, coordinates, detections_of, place_of, scene

from thingstuff.engine.tile_grid import Tiling
from thingstuff.engine.tiling import TiledPredictor
from thingstuff.errors import ConfigError
from thingstuff.evaluation.mask_iou import mask_ious
from thingstuff.modeling.prediction import Prediction


def rectangle(shape, x0, y0, x1, y1):
    bitmap = np.zeros(shape, bool)
    bitmap[y0:y1, x0:x1] = True
    return bitmap


def joined(predictor, shape, tile_px=60, overlap_px=20, **options):
    return TiledPredictor(predictor, Tiling(tile_px, overlap_px), **options)(coordinates(*shape)).detections


class Told:
    """Says of the n-th tile what it is told: (box in pixels of the image, score, category id) each."""

    categories = CATEGORIES

    def __init__(self, *by_tile):
        self._by_tile = iter(by_tile)

    def __call__(self, image, file_name=None):
        x, y = place_of(image)
        told = next(self._by_tile)
        height, width = image.shape[:2]
        bitmaps = np.zeros((len(told), height, width), bool)
        for bitmap, ((x0, y0, x1, y1), _, _) in zip(bitmaps, told, strict=True):
            bitmap[y0 - y : y1 - y, x0 - x : x1 - x] = True
        return Prediction(detections_of(bitmaps, [s for _, s, _ in told], [c for _, _, c in told]))


@pytest.mark.parametrize("seed", range(12))
def test_random_scenes_are_put_together_exactly(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(61, 330, 2).tolist()
    tile_px = int(rng.integers(20, 90))
    truth = scene(rng, height, width, 40)
    found = joined(Oracle(truth), (height, width), tile_px, int(rng.integers(1, tile_px // 2 + 1)))
    assert_same(found, truth)


class Inexact(Oracle):
    """Sees every object a little too large or too small, in every tile in another way, and scores it anew."""

    def __call__(self, image, file_name=None):
        x, y = place_of(image)
        rng = np.random.default_rng(1000 * y + x)
        found = super().__call__(image).detections
        kernel = np.ones((3, 3), np.uint8)
        change = [cv2.dilate if rng.random() < 0.5 else cv2.erode for _ in range(len(found))]
        pairs = zip(found.masks.to_bitmaps(), change, strict=True)
        bitmaps = np.array([do(bitmap.view(np.uint8), kernel) for bitmap, do in pairs], np.uint8)
        seen = bitmaps.any(axis=(1, 2)) if len(bitmaps) else np.zeros(0, bool)
        scores = rng.uniform(0.5, 1, seen.sum())
        return Prediction(detections_of(bitmaps[seen].reshape(-1, *image.shape[:2]), scores, found.category_ids[seen]))


@pytest.mark.parametrize("seed", range(4))
def test_masks_that_differ_a_little_are_still_one_object(seed):
    rng = np.random.default_rng(seed)
    bitmaps = scene(rng, 260, 300, 40).masks.to_bitmaps()
    large = np.array([b for b in bitmaps if b.sum() > 300 and cv2.erode(b.view(np.uint8), np.ones((5, 5))).any()])
    truth = detections_of(large, np.ones(len(large)), np.full(len(large), 7))
    found = joined(Inexact(truth), (260, 300), 120, 50)
    ious = mask_ious(truth.masks, found.masks)
    assert len(found) == len(truth)
    assert (ious.max(axis=1) > 0.6).all()


def test_boxes_without_masks_are_joined_too():
    shape = (80, 200)
    bitmaps = [rectangle(shape, 10, 10, 190, 30), rectangle(shape, 50, 40, 70, 60), rectangle(shape, 120, 50, 130, 79)]
    truth = detections_of(bitmaps, [0.9, 0.8, 0.7], [7, 7, 3])
    found = joined(Oracle(truth, without_masks=True), shape)
    assert found.masks is None
    assert_same(found, truth)


def test_a_chain_over_five_tiles_is_one_object():
    shape = (50, 220)
    truth = detections_of([rectangle(shape, 0, 20, 220, 30)], [0.6], [7])
    assert_same(joined(Oracle(truth), shape), truth)


def test_an_object_over_the_corner_of_four_tiles_is_one():
    shape = (100, 100)
    truth = detections_of([rectangle(shape, 30, 35, 75, 70)], [0.6], [7])
    assert_same(joined(Oracle(truth), shape), truth)


def test_touching_objects_of_one_class_stay_two():
    shape = (60, 100)
    halves = [rectangle(shape, 0, 10, 100, 25), rectangle(shape, 0, 25, 100, 40)]
    truth = detections_of(halves, [0.8, 0.7], [7, 7])
    assert_same(joined(Oracle(truth), shape), truth)
    beside = [rectangle(shape, 10, 10, 50, 40), rectangle(shape, 50, 10, 95, 40)]
    truth = detections_of(beside, [0.8, 0.7], [7, 7])
    assert_same(joined(Oracle(truth), shape), truth)


def test_another_class_is_another_object():
    found = joined(Told([((45, 10, 55, 20), 0.9, 7)], [((45, 10, 55, 20), 0.8, 3)]), (60, 100))
    assert found.category_ids.tolist() == [7, 3]


def test_what_one_tile_tells_apart_is_not_joined_over_another():
    """Two detections of the first tile agree with one of the second: the better one is its partner."""
    told = Told([((40, 10, 55, 30), 0.9, 7), ((40, 12, 55, 32), 0.8, 7)], [((40, 10, 60, 31), 0.7, 7)])
    found = joined(told, (60, 100))
    assert len(found) == 2


# tiles of a 60 x 100 image: 0 to 60 and 40 to 100; their cores meet at 50


def test_seen_whole_by_both_it_is_the_detection_with_the_larger_share_in_its_core():
    left, right = ((44, 10, 55, 20), 0.3, 7), ((45, 10, 56, 20), 0.9, 7)
    found = joined(Told([left], [right]), (60, 100))
    # 44 to 50 of 11 columns lie in the first core, 50 to 56 of 11 in the second: a tie, which the score decides
    assert found.boxes_xyxy.tolist() == [[45, 10, 56, 20]]
    assert found.scores.tolist() == pytest.approx([(0.3 + 0.9) / 2])
    found = joined(Told([((43, 10, 55, 21), 0.3, 7)], [((43, 10, 55, 20), 0.9, 7)]), (60, 100))
    assert found.boxes_xyxy.tolist() == [[43, 10, 55, 21]]


def test_of_the_tiles_that_hold_an_object_half_must_have_found_it():
    one = ((44, 44, 56, 56), 0.8, 7)
    two_of_four = joined(Told([one], [], [], [((44, 44, 56, 56), 0.4, 7)]), (100, 100))
    assert two_of_four.scores.tolist() == pytest.approx([(0.8 + 0.4) / 2])
    assert len(joined(Told([one], [], [], []), (100, 100))) == 0
    beyond = ((30, 44, 45, 56), 0.8, 7)  # the right tiles begin at 40
    assert len(joined(Told([beyond], [], [], []), (100, 100))) == 1


def test_parts_that_the_tiles_of_their_cores_know_nothing_of_go():
    """No tile holds columns 25 to 80 with room to spare, of those from 0, 10, 20, 30 and 40 on."""
    shape, row = (60, 100), (10, 20)

    def found(*columns):
        told = [[((x0, row[0], x1, row[1]), 0.9, 7)] if x0 < x1 else [] for x0, x1 in columns]
        return joined(Told(*told), shape, 60, 50)

    nothing = (0, 0)
    # the cores are columns 0-35, 35-45, 45-55, 55-65 and 65-100: 10 and 10 of 55 columns, or 10, 10 and 15
    assert len(found(nothing, (25, 70), (25, 80), nothing, nothing)) == 0
    assert len(found((25, 60), nothing, (25, 80), nothing, (40, 80))) == 1


def test_a_large_mask_that_ends_a_cell_before_the_border_is_cut_off():
    """Masks come in 28 cells a side: of an object of 56 pixels each is of 2, as far as it is from the border."""
    for y0, y1, score in ((2, 58, 0.8), (10, 20, (0.4 + 0.8) / 2)):
        box = (42, y0, 58, y1)
        found = joined(Told([(box, 0.4, 7)], [(box, 0.8, 7)], []), (60, 100), 60, 40)
        assert found.scores.tolist() == pytest.approx([score])


def test_the_score_of_a_composed_object_is_the_mean_over_its_pixels():
    found = joined(Told([((20, 10, 60, 20), 0.9, 7)], [((40, 10, 95, 20), 0.6, 7)]), (60, 100))
    # 30 columns to the border of the cores, then 45
    assert found.scores.tolist() == pytest.approx([(30 * 0.9 + 45 * 0.6) / 75])
    assert np.array_equal(found.masks.to_bitmaps()[0], rectangle((60, 100), 20, 10, 95, 20))
    assert found.boxes_xyxy.tolist() == [[20, 10, 95, 20]]


def test_a_composed_mask_asks_each_core_for_its_pixels():
    found = joined(Told([((20, 10, 60, 20), 0.9, 7)], [((40, 12, 95, 22), 0.9, 7)]), (60, 100))
    expected = rectangle((60, 100), 20, 10, 50, 20) | rectangle((60, 100), 50, 12, 95, 22)
    assert np.array_equal(found.masks.to_bitmaps()[0], expected)


def test_a_part_without_a_partner_stays_where_most_of_it_is_in_its_core():
    assert len(joined(Told([((30, 10, 60, 20), 0.9, 7)], []), (60, 100))) == 1  # 20 of 30 columns
    assert len(joined(Told([((45, 10, 60, 20), 0.9, 7)], []), (60, 100))) == 0  # 5 of 15
    assert len(joined(Told([((45, 10, 58, 20), 0.9, 7)], []), (60, 100))) == 1  # seen whole: it ends before the border


def test_a_part_of_something_that_was_seen_whole_goes():
    """The second tile's part lies in its core, yet agrees too little to be joined."""
    whole, part = ((5, 5, 58, 55), 0.9, 7), ((40, 20, 60, 35), 0.5, 7)
    found = joined(Told([whole], [part]), (60, 100))
    assert found.scores.tolist() == [np.float32(0.9)]


def test_masks_that_agree_less_than_asked_stay_two():
    # in the overlap, columns 40 to 60: 20 x 10 and 20 x 20 pixels, IoU one half
    told = [((20, 10, 60, 20), 0.9, 7)], [((40, 10, 95, 30), 0.8, 7)]
    assert len(joined(Told(*told), (60, 100), join_iou=0.5)) == 1
    assert len(joined(Told(*told), (60, 100), join_iou=0.51)) == 2


def test_a_detection_without_pixels_stays_in_one_tile():
    empty = np.zeros((1, 60, 60), bool)
    box = np.array([[41, 5, 45, 9]], np.float32)  # its middle is in the core of the first tile

    class Empty(Told):
        def __call__(self, image, file_name=None):
            x, _ = place_of(image)
            found = detections_of(empty, [0.5], [7])
            return Prediction(replace(found, boxes_xyxy=box - np.array([x, 0, x, 0], np.float32)))

    found = joined(Empty(), (60, 100))
    assert found.masks.areas_px().tolist() == [0]
    assert found.boxes_xyxy.tolist() == [[41, 5, 45, 9]]


def test_nothing_found_is_an_empty_answer():
    found = joined(Told(*[[]] * 4), (100, 100))
    assert (len(found), found.height, found.width) == (0, 100, 100)
    assert len(found.masks) == 0


@pytest.mark.parametrize("join_iou", [0, -1, 1.5])
def test_an_impossible_iou_is_refused(join_iou):
    with pytest.raises(ConfigError, match="IoU"):
        TiledPredictor(Told(), Tiling(10, 2), join_iou=join_iou)
