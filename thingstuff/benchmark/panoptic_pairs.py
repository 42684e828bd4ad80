"""Random panoptic truth with a noisy prediction of it: ragged outlines, crowds, void, wrong and missing segments."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from thingstuff.benchmark.panoptic_scenes import CATEGORIES, random_scene
from thingstuff.merge import merge
from thingstuff.structures import NOT_STUFF, PanopticMap
from thingstuff.structures.panoptic_map import MAX_RGB_ID

HEIGHT, WIDTH = 480, 640
THINGS = 12  # of which the merge keeps about seven
REGIONS = 5  # of stuff
CROWD_SHARE = 0.05  # of the true things
VOID_SHARE = 0.05  # of the true segments, which nobody labelled
LOST_SHARE, CONFUSED_SHARE = 0.1, 0.1  # of the segments in the prediction
_TRUE_RAGGED_PX, _FOUND_RAGGED_PX = 2.0, 4.0
_GRIDS = ((48, 64, 1.0), (160, 213, 0.35))  # rows, columns and strength of the noise in outlines


@dataclass(frozen=True, eq=False)
class PanopticPair:
    """One image: what was predicted, and the truth, whose ids are as large as COCO's."""

    predicted: PanopticMap
    truth: PanopticMap


def random_pair(seed: int, height: int = HEIGHT, width: int = WIDTH, things: int = THINGS) -> PanopticPair:
    """About seven things and five stuff regions at the usual size; the same for the same seed."""
    rng = np.random.default_rng([seed, height, width])
    scene = random_scene(height, width, things, seed)
    clean, _ = merge(scene.detections, _with_fewer_regions(scene.stuff_map, rng), CATEGORIES)
    truth = _truth(clean, rng)
    return PanopticPair(_prediction(truth, rng), truth)


def _with_fewer_regions(stuff_map: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    present = rng.permutation(np.setdiff1d(stuff_map, [NOT_STUFF]))
    table = np.arange(int(stuff_map.max()) + 1, dtype=np.uint16)
    table[present] = np.resize(present[:REGIONS], present.size)
    return table[stuff_map]


def _truth(clean: PanopticMap, rng: np.random.Generator) -> PanopticMap:
    labels = {s.id: s.category_id for s in clean.segments if rng.random() >= VOID_SHARE}
    new_ids = dict(zip(labels, rng.choice(MAX_RGB_ID, len(labels), replace=False) + 1, strict=True))
    ids = _renamed(_ragged(clean.ids, _TRUE_RAGGED_PX, rng), new_ids)
    left = set(np.unique(ids).tolist())
    category_ids = {int(new_ids[i]): labels[i] for i in labels if int(new_ids[i]) in left}
    thing_ids = {c.id for c in CATEGORIES.things}
    crowds = {i for i, label in category_ids.items() if label in thing_ids and rng.random() < CROWD_SHARE}
    return PanopticMap.from_labels(ids, category_ids, CATEGORIES, crowd_ids=crowds)


def _prediction(truth: PanopticMap, rng: np.random.Generator) -> PanopticMap:
    kept = [s for s in truth.segments if rng.random() >= LOST_SHARE]
    new_ids = {s.id: number for number, s in enumerate(kept, 1)}
    ids = _renamed(_ragged(truth.ids, _FOUND_RAGGED_PX, rng), new_ids)
    left = set(np.unique(ids).tolist())
    category_ids = {new_ids[s.id]: _confused(s.category_id, rng) for s in kept if new_ids[s.id] in left}
    return PanopticMap.from_labels(ids, category_ids, CATEGORIES)


def _confused(category_id: int, rng: np.random.Generator) -> int:
    """Now and then another category, a thing for a thing."""
    isthing = CATEGORIES.by_id(category_id).isthing
    others = CATEGORIES.things if isthing else CATEGORIES.stuff
    return others[int(rng.integers(len(others)))].id if rng.random() < CONFUSED_SHARE else category_id


def _renamed(ids: np.ndarray, new_ids: dict[int, int]) -> np.ndarray:
    """H x W uint32 with new ids; what has none becomes void."""
    renamed = np.zeros(ids.shape, np.uint32)
    for old, new in new_ids.items():
        renamed[ids == old] = new
    return renamed


def _ragged(ids: np.ndarray, shift_px: float, rng: np.random.Generator) -> np.ndarray:
    """Each pixel takes the id of one nearby; the shifts are noise, coarse and fine."""
    height, width = ids.shape
    rows = np.arange(height)[:, None] + shift_px * _noise(height, width, rng)
    columns = np.arange(width) + shift_px * _noise(height, width, rng)
    inside = np.clip(rows, 0, height - 1).round().astype(int), np.clip(columns, 0, width - 1).round().astype(int)
    return ids[inside]


def _noise(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    fields = [rng.normal(0, strength, (rows, columns)) for rows, columns, strength in _GRIDS]
    return sum(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR) for field in fields)
