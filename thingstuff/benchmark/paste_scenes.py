"""Random outputs of a mask head: boxes in COCO's mix of sizes, and in each the soft outline of an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thingstuff.benchmark.panoptic_scenes import CATEGORIES, random_scene
from thingstuff.structures import Categories

if TYPE_CHECKING:
    from thingstuff.modeling.postprocess import RoiInstances

CELLS = 28  # of a mask head, on each side
MEDIAN_SIDE, SIZE_SPREAD = 60 / 480, 0.9  # of boxes: in image heights, and of the logarithm; about COCO's
LARGEST = 0.95  # of the image's height and width
SHARPNESS = 12  # logits from the outline to the middle: a trained head is sure but for a cell or two
WAVES = 6


@dataclass(frozen=True, eq=False)
class PasteScene:
    """One image: N instances as they come from a model, and what is no thing, in our words and in Detectron2's."""

    instances: RoiInstances
    thing_indices: np.ndarray  # N int64
    stuff_map: np.ndarray  # H x W uint16
    semantic_labels: np.ndarray  # H x W int64
    categories: Categories = CATEGORIES

    @property
    def height(self) -> int:
        return self.stuff_map.shape[0]

    @property
    def width(self) -> int:
        return self.stuff_map.shape[1]


def random_paste_scene(height: int, width: int, instances: int, seed: int) -> PasteScene:
    """A scene of this size with so many instances; the same for the same seed."""
    from thingstuff.modeling.postprocess import RoiInstances

    rng = np.random.default_rng([seed, height, width, instances])
    scene = random_scene(height, width, instances, seed)
    found = RoiInstances(
        random_probs(instances, rng),
        random_boxes(height, width, instances, rng),
        scene.detections.scores,
        scene.detections.category_ids,
    )
    indices = CATEGORIES.thing_indices(found.category_ids)
    return PasteScene(found, indices, scene.stuff_map, scene.stuff_map.astype(np.int64))


def random_boxes(height: int, width: int, instances: int, rng: np.random.Generator) -> np.ndarray:
    """N x 4 float32 boxes with log-normal sides, clipped to the image as a detector's are."""
    sides = MEDIAN_SIDE * height * np.exp(rng.normal(0, SIZE_SPREAD, (instances, 1)))
    stretch = np.exp(rng.normal(0, 0.3, (instances, 1))) ** np.array([1, -1])
    halves = np.clip(sides * stretch, 2, LARGEST * np.array([width, height])) / 2
    centres = rng.uniform([0, 0], [width, height], (instances, 2))
    corners = np.concatenate([centres - halves, centres + halves], axis=1)
    return np.clip(corners, 0, [width, height, width, height]).astype(np.float32)


def random_probs(instances: int, rng: np.random.Generator, cells: int = CELLS) -> np.ndarray:
    """N x M x M float32: a wavy outline that fills its box, a sigmoid of the distance to it, and a little noise."""
    y, x = np.mgrid[:cells, :cells] * (2 / cells) + (1 / cells - 1)
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    outline = np.full((instances, cells, cells), 0.85)
    for wave in range(1, WAVES + 1):
        size, phase = rng.normal(0, 0.15 / wave, (instances, 1, 1)), rng.uniform(0, 2 * np.pi, (instances, 1, 1))
        outline += size * np.cos(wave * angle + phase)
    logits = SHARPNESS * (outline - radius) + rng.normal(0, 0.2, outline.shape)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)
