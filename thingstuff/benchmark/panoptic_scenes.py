"""Random scenes of things and stuff, as a panoptic model sees them: ragged clustered objects, smooth stuff regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from thingstuff.structures import NOT_STUFF, Categories, Category, Detections, MaskCrops

THINGS, STUFF = 80, 53  # as many as in COCO panoptic
REGIONS = (6, 10)  # stuff categories of a scene
SIZE_SPREAD = 0.9  # of the logarithm of an object's side, about COCO's
COVERAGE = 1.0  # areas of all objects together, in images: where there are more objects, they are smaller
OBJECTS_A_CLUSTER = 5
CONFIDENT_SHARE = 0.9  # of the objects that score above 0.5
THING_PIXELS_SEEN = 0.8  # of the objects that the semantic map shows as things, so that stuff lies under the others
_OUTLINE_POINTS = (12, 40)
_STUFF_GRID_PX = 60  # stuff regions change over about this many pixels, of an image 480 high

CATEGORIES = Categories(
    (
        *(Category(i + 1, f"thing {i + 1}") for i in range(THINGS)),
        *(Category(100 + i, f"stuff {i + 1}", isthing=False) for i in range(STUFF)),
    )
)


@dataclass(frozen=True, eq=False)
class Scene:
    """One image: N instances in no order of score, no two of which score the same, and what is no thing."""

    detections: Detections
    stuff_map: np.ndarray  # H x W uint16
    categories: Categories = CATEGORIES

    @property
    def height(self) -> int:
        return self.detections.height

    @property
    def width(self) -> int:
        return self.detections.width

    @cached_property
    def masks(self) -> np.ndarray:
        """N x H x W bool, which a benchmark of crops does not need."""
        return self.detections.masks.to_bitmaps()


def random_scene(height: int, width: int, instances: int, seed: int) -> Scene:
    """A scene of this size with so many instances; the same for the same seed."""
    rng = np.random.default_rng([seed, height, width, instances])
    outlines = [
        _outline(centre, side_px, (width, height), rng)
        for centre, side_px in zip(
            _centres(height, width, instances, rng), _sides_px(height, width, instances, rng), strict=True
        )
    ]
    masks = MaskCrops.from_boxes((_fill(outline, height, width) for outline in outlines), height, width)
    boxes = [[*outline.min(axis=0), *outline.max(axis=0)] for outline in outlines]
    thing_ids = [c.id for c in CATEGORIES.things]
    detections = Detections(
        masks,
        np.array(boxes, np.float32).reshape(-1, 4),
        _scores(instances, rng),
        rng.choice(np.array(thing_ids, np.int64), instances),
    )
    return Scene(detections, _stuff_map(masks, rng))


def _centres(height: int, width: int, instances: int, rng: np.random.Generator) -> np.ndarray:
    """N x 2 (x, y): objects gather, as people and cars do."""
    clusters = rng.uniform([0, 0], [width, height], (max(instances // OBJECTS_A_CLUSTER, 1), 2))
    chosen = clusters[rng.integers(0, len(clusters), instances)]
    spread = 0.5 * np.sqrt(height * width / max(len(clusters), 1))
    return np.clip(chosen + rng.normal(0, spread, chosen.shape), 0, [width - 1, height - 1])


def _sides_px(height: int, width: int, instances: int, rng: np.random.Generator) -> np.ndarray:
    """N log-normal sides whose squares add up to COVERAGE images, none longer than the image."""
    sides = np.exp(rng.normal(0, SIZE_SPREAD, instances))
    sides *= np.sqrt(COVERAGE * height * width / max((sides**2).sum(), 1e-9))
    return np.clip(sides, 2, min(height, width))


def _outline(centre: np.ndarray, side_px: float, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """P x 2 points (x, y) inside the image: an ellipse with a ragged edge."""
    points = int(rng.integers(*_OUTLINE_POINTS))
    radius = side_px / np.sqrt(np.pi) * rng.uniform(0.8, 1.2, (points, 1))
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    stretch = np.exp(rng.normal(0, 0.3)) ** np.array([1, -1])
    outline = centre + radius * stretch * np.hstack([np.cos(angle), np.sin(angle)])
    return np.clip(outline, 0, size)


def _fill(outline: np.ndarray, height: int, width: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The crop in the whole pixels around an outline, whose own edge may leave its outermost rows empty."""
    x0, y0 = np.floor(outline.min(axis=0)).astype(int).tolist()
    x1, y1 = np.ceil(outline.max(axis=0)).astype(int).tolist()
    x0, y0, x1, y1 = min(x0, width - 1), min(y0, height - 1), min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)
    crop = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(crop, [(outline - [x0, y0] - 0.5).round().astype(np.int32)], 1)
    return crop, (x0, y0, x1, y1)


def _scores(instances: int, rng: np.random.Generator) -> np.ndarray:
    """N distinct float32 scores: a sort that is not stable has then one answer."""
    ranks = (rng.permutation(instances) + 0.5) / max(instances, 1)
    doubtful = 1 - CONFIDENT_SHARE
    return np.interp(ranks, [0, doubtful, 1], [0.05, 0.5, 1]).astype(np.float32)


def _stuff_map(masks: MaskCrops, rng: np.random.Generator) -> np.ndarray:
    """Smooth random fields, of which the highest takes the pixel; most objects show as things, not quite in place."""
    height, width = masks.height, masks.width
    regions = int(rng.integers(REGIONS[0], REGIONS[1] + 1))
    grid_px = _STUFF_GRID_PX * height / 480
    grid = (max(round(height / grid_px), 2), max(round(width / grid_px), 2))
    fields = rng.normal(0, 1, (regions, *grid)).astype(np.float32)
    # Sky above and road below: each field has a height in the image where it is at home.
    fields += 4 * np.cos(np.linspace(0, np.pi, grid[0])[:, None] - rng.uniform(0, np.pi, (regions, 1, 1))).astype(
        np.float32
    )
    smooth = np.stack([cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) for field in fields])
    labels = rng.choice(np.arange(1, STUFF + 1), regions, replace=False).astype(np.uint16)
    stuff_map = labels[smooth.argmax(axis=0)]
    for crop, (x0, y0, x1, y1) in masks:
        if rng.random() < THING_PIXELS_SEEN:
            seen = cv2.erode(crop, np.ones((3, 3), np.uint8), borderValue=0)
            stuff_map[y0:y1, x0:x1][seen.view(bool)] = NOT_STUFF
    return stuff_map
