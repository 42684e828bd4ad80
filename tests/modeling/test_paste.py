"""Pasting without N x H x W gives Detectron2's masks to the pixel, and pycocotools' RLE to the byte."""

import numpy as np
import pytest
import torch
from paste_cases import check_cases, detectron2_bitmaps

from thingstuff.errors import DataError
from thingstuff.modeling import paste
from thingstuff.modeling.paste import paste_masks


def test_random_cases_equal_detectron2_and_pycocotools():
    assert check_cases(400, seed=0) > 400


def test_bands_and_shared_calls_change_nothing(monkeypatch):
    monkeypatch.setattr(paste, "BAND_PX", 50)
    monkeypatch.setattr(paste, "TOGETHER", 2)
    monkeypatch.setattr("thingstuff.modeling.paste_exact.WAITING_PX", 3)
    monkeypatch.setattr("thingstuff.modeling.paste_exact.PIECE", 2)
    assert check_cases(60, seed=1) > 60


def test_no_instances():
    masks = paste_masks(np.zeros((0, 28, 28), np.float32), np.zeros((0, 4), np.float32), 5, 7)
    assert len(masks) == 0
    assert (masks.height, masks.width) == (5, 7)


def test_a_certain_mask_fills_the_pixels_whose_centres_are_in_its_box():
    boxes = np.array([[2, 1, 6, 4], [2.4, 1.6, 6.4, 3.6]], np.float32)
    bitmaps = paste_masks(np.ones((2, 28, 28), np.float32), boxes, 8, 9).to_bitmaps()
    for bitmap, (x0, y0, x1, y1) in zip(bitmaps, boxes, strict=True):
        centres_y, centres_x = np.mgrid[:8, :9] + 0.5
        inside = (centres_x > x0) & (centres_x < x1) & (centres_y > y0) & (centres_y < y1)
        assert np.array_equal(bitmap, inside)


@pytest.mark.parametrize("box", [[-30, 2, -9, 5], [50, 2, 70, 5], [2, -30, 5, -9], [2, 50, 5, 70]])
def test_a_box_beyond_the_image_is_an_empty_mask_as_when_the_whole_image_is_sampled(box):
    from detectron2.layers.mask_ops import _do_paste_mask

    probs, boxes = np.ones((1, 28, 28), np.float32), np.array([box], np.float32)
    whole, _ = _do_paste_mask(torch.from_numpy(probs[:, None]), torch.from_numpy(boxes), 20, 30, skip_empty=False)
    assert not (whole >= 0.5).any()
    assert paste_masks(probs, boxes, 20, 30).areas_px().tolist() == [0]


def test_a_plateau_at_the_threshold_in_a_large_image():
    probs = np.full((2, 28, 28), 0.5, np.float32)
    probs[1, ::2] = 0.25
    probs[1, 1::2] = 0.75
    boxes = np.array([[0, 0, 900, 700], [-3.3, 10.1, 888.8, 650.2]], np.float32)
    masks = paste_masks(probs, boxes, 700, 900)
    assert np.array_equal(masks.to_bitmaps(), detectron2_bitmaps(probs, boxes, 700, 900, 0.5))


def test_larger_than_probabilities():
    rng = np.random.default_rng(3)
    probs = rng.normal(0, 1000, (3, 28, 28)).astype(np.float32)
    boxes = np.array([[3, 4, 60, 50], [-5, 0.5, 90, 33.3], [10, 10, 11, 80]], np.float32)
    masks = paste_masks(probs, boxes, 64, 80, threshold=17.0)
    assert np.array_equal(masks.to_bitmaps(), detectron2_bitmaps(probs, boxes, 64, 80, 17.0))


def test_inputs_are_left_as_they_are():
    rng = np.random.default_rng(0)
    probs, boxes = rng.random((3, 14, 14), np.float32), np.array([[1, 2, 30, 40]] * 3, np.float32)
    kept = probs.copy(), boxes.copy()
    probs.setflags(write=False)
    boxes.setflags(write=False)
    paste_masks(probs, boxes, 50, 50)
    assert np.array_equal(probs, kept[0]) and np.array_equal(boxes, kept[1])


def test_crops_own_their_pixels():
    boxes = np.array([[1, 2, 30, 40], [0, 0, 10, 10]], np.float32)
    masks = paste_masks(np.ones((2, 28, 28), np.float32), boxes, 50, 50)
    for crop in masks.crops:
        assert crop.flags.c_contiguous and crop.dtype == np.uint8
        owner = crop if crop.base is None else crop.base
        assert owner.nbytes == crop.nbytes


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value):
    probs, boxes = np.ones((2, 28, 28), np.float32), np.array([[1, 2, 3, 4]] * 2, np.float32)
    wrong = boxes.copy()
    wrong[1, 2] = value
    with pytest.raises(DataError, match=r"boxes: expected finite numbers, got (nan|inf) in row 1"):
        paste_masks(probs, wrong, 9, 9)
    probs[1, 3, 4] = value
    with pytest.raises(DataError, match=r"mask probabilities: expected finite numbers, got (nan|inf) in row 1"):
        paste_masks(probs, boxes, 9, 9)


def test_wrong_shapes_types_and_thresholds_are_refused():
    probs, boxes = np.ones((2, 28, 28), np.float32), np.zeros((2, 4), np.float32)
    with pytest.raises(DataError, match=r"mask probabilities: expected float32 of shape \(N, 14, 14\)"):
        paste_masks(probs[:, :, :14], boxes, 9, 9)
    with pytest.raises(DataError, match="mask probabilities: expected float32"):
        paste_masks(probs.astype(np.float64), boxes, 9, 9)
    with pytest.raises(DataError, match=r"boxes: expected float32 of shape \(2, 4\)"):
        paste_masks(probs, boxes[:1], 9, 9)
    for threshold in (-0.1, np.nan):
        with pytest.raises(DataError, match="mask threshold: expected 0 or more"):
            paste_masks(probs, boxes, 9, 9, threshold)
