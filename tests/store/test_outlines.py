"""Outlines of masks: one polygon for a whole mask, exact under the even-odd rule whatever its parts and holes."""

import cv2
import numpy as np
import pytest

from thingstuff.store.exports.outlines import one_outline
from thingstuff.structures.polygons import polygons_crop

PLACE_XY = (3, 4)


def drawn_by_coco(points, size_hw):
    bitmap = np.zeros(size_hw, np.uint8)
    crop, (x0, y0, x1, y1) = polygons_crop([points.reshape(-1).tolist()], *size_hw)
    bitmap[y0:y1, x0:x1] = crop
    return bitmap


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("seed", range(40))
def test_one_outline_draws_the_very_mask(seed, scale):
    """Noise of every density: islands in holes, parts that touch at corners, lone pixels."""
    rng = np.random.default_rng(seed)
    noise = (rng.random(rng.integers(1, 25, 2)) < rng.random()).astype(np.uint8)
    noise[rng.integers(noise.shape[0]), rng.integers(noise.shape[1])] = 1
    crop = cv2.resize(noise, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    expected = np.pad(crop, ((PLACE_XY[1], 2), (PLACE_XY[0], 2)))
    points = one_outline(crop, *PLACE_XY)
    np.testing.assert_array_equal(drawn_by_coco(points, expected.shape), expected)


def test_a_ring_has_its_hole():
    ring = np.ones((7, 9), np.uint8)
    ring[2:5, 3:6] = 0
    points = one_outline(ring, 0, 0)
    x, y = points[:, 0], points[:, 1]
    shoelace = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    # outside and hole run in opposite directions; at each of the hole's corners a triangle of half a pixel is cut
    assert shoelace == pytest.approx(7 * 9 - (3 * 3 - 4 * 0.5 * 0.5 * 0.5))
