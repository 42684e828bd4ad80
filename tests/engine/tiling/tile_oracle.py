"""Whole images whose instances are known, and a predictor that reports of a tile just what is visible in it.

Where a tile lies it reads in the pixels, which hold their own coordinates.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from thingstuff.modeling.prediction import Prediction
from thingstuff.structures import Categories, Category, Detections, MaskCrops

CATEGORIES = Categories(
    (Category(7, "disc", True), Category(3, "bar", True), Category(20, "sky", False), Category(9, "sea", False))
)


def coordinates(height, width):
    """An H x W x 3 image in which every pixel says where it is."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, x // 256 + 16 * (y // 256)], axis=2).astype(np.uint8)


def place_of(image):
    """x, y of the first pixel."""
    x, y, high = image[0, 0].tolist()
    return x + 256 * (high % 16), y + 256 * (high // 16)


def detections_of(bitmaps, scores, category_ids):
    """N x H x W bool, with the tight boxes of the masks."""
    masks = MaskCrops.from_bitmaps(np.asarray(bitmaps))
    boxes = masks.boxes_xyxy.astype(np.float32)
    return Detections(masks, boxes, np.array(scores, np.float32), np.array(category_ids, np.int64))


@dataclass(frozen=True)
class Oracle:
    """`truth` are the instances of the whole image, `stuff_map` its stuff."""

    truth: Detections
    stuff_map: np.ndarray | None = None
    without_masks: bool = False

    @property
    def categories(self):
        return CATEGORIES

    @cached_property
    def bitmaps(self):
        return self.truth.masks.to_bitmaps()

    def __call__(self, image, file_name=None):
        x, y = place_of(image)
        height, width = image.shape[:2]
        assert place_of(image[-1:, -1:]) == (x + width - 1, y + height - 1)
        bitmaps = self.bitmaps[:, y : y + height, x : x + width]
        seen = bitmaps.any(axis=(1, 2))
        found = detections_of(bitmaps[seen], self.truth.scores[seen], self.truth.category_ids[seen])
        if self.without_masks:
            found = replace(found, masks=None)
        stuff = None if self.stuff_map is None else self.stuff_map[y : y + height, x : x + width]
        return Prediction(found, stuff)


def scene(rng, height, width, count):
    """Detections that do not overlap, connected: ellipses and bars, some of them larger than any tile."""
    free = np.ones((height, width), bool)
    bitmaps, ids = [], []
    y, x = np.mgrid[:height, :width]
    for _ in range(count):
        cy, cx = rng.integers(height), rng.integers(width)
        ry, rx = rng.integers(1, 40, 2) if rng.random() < 0.7 else rng.integers(1, 200, 2)
        shape = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        category_id = 7
        if rng.random() < 0.3:
            shape, category_id = (abs(y - cy) < ry) & (abs(x - cx) < rx), 3
        if shape.any() and free[shape].all():
            free &= ~shape
            bitmaps.append(shape)
            ids.append(category_id)
    scores = rng.permutation(len(bitmaps)) / len(bitmaps) * 0.9 + 0.05
    return detections_of(np.array(bitmaps, bool).reshape(-1, height, width), scores, ids).by_score()


def assert_same(found, truth):
    """The same instances in the same order of score."""
    assert len(found) == len(truth)
    assert np.allclose(found.scores, truth.scores, rtol=1e-6)
    assert np.array_equal(found.category_ids, truth.category_ids)
    assert np.array_equal(found.boxes_xyxy, truth.boxes_xyxy)
    if found.masks is not None:
        assert np.array_equal(found.masks.to_bitmaps(), truth.masks.to_bitmaps())
