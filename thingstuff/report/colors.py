"""Colours that tell instances apart: the same in every run, and far from each other where boxes meet.

A colour says "another one" and nothing else: it depends on the boxes alone, or in a video on an id alone, never on
class or score. Distances are Euclidean in CIE Lab (CIE76), in which about 2 is just noticeable side by side.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from cv2 import COLOR_BGR2Lab, cvtColor

from thingstuff.errors import DataError

PALETTE_SIZE = 48
MIN_LAB_DISTANCE = 22.0  # any two colours of the palette are at least this far apart
CLEAR_LAB_DISTANCE = 50.0  # beyond this two colours are told apart at a glance, and more does not help


def instance_colors(boxes_xyxy: np.ndarray, avoid_bgr: np.ndarray | None = None) -> np.ndarray:
    """N x 4 boxes -> N x 3 uint8 BGR colours.

    Instances whose boxes overlap or touch differ by MIN_LAB_DISTANCE as long as each has fewer than PALETTE_SIZE
    such neighbours, and by more the fewer they are. Colours near `avoid_bgr` (K x 3, say those of the stuff around
    them) are taken only when the neighbours leave no equally clear one.
    """
    boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
    tints, distances = _palette()
    shunned = _shunned(tints, avoid_bgr)
    chosen = np.full(len(boxes), -1)
    times_used = np.zeros(len(tints), int)
    for i in range(len(boxes)):
        neighbours = np.unique(chosen[:i][_touching(boxes[i], boxes[:i])])
        chosen[i] = _choose(distances[neighbours], shunned, times_used)
        times_used[chosen[i]] += 1
    return tints[chosen]


def color_of_id(instance_id: int) -> tuple[int, int, int]:
    """BGR colour of an instance that is followed over the frames of a video: by its id (1, 2, ...) and nothing else.

    Ids that follow each other differ by more than MIN_LAB_DISTANCE, the first ones by most; PALETTE_SIZE ids on, the
    colours come again.
    """
    if instance_id < 1:
        raise DataError(f"expected an instance id from 1 on, got {instance_id}")
    tints, _ = _palette()
    blue, green, red = tints[(instance_id - 1) % PALETTE_SIZE].tolist()
    return blue, green, red


def lab(bgr: np.ndarray) -> np.ndarray:
    """K x 3 uint8 BGR -> K x 3 float32 CIE Lab, L in 0..100."""
    scaled = np.asarray(bgr, np.float32).reshape(1, -1, 3) / 255
    return cvtColor(scaled, COLOR_BGR2Lab)[0] if scaled.size else np.zeros((0, 3), np.float32)


def contrasting_text(bgr: np.ndarray) -> tuple[int, int, int]:
    """Black or white: whichever reads better on this background."""
    return (0, 0, 0) if lab(bgr)[0, 0] > 50 else (255, 255, 255)


def _touching(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    return ((others[:, :2] <= box[2:]) & (box[:2] <= others[:, 2:])).all(axis=1)


def _choose(to_neighbours: np.ndarray, shunned: np.ndarray, times_used: np.ndarray) -> int:
    """Clearest against the neighbours first; among equals not a shunned one, then the least used, then by order."""
    clearance = to_neighbours.min(axis=0, initial=CLEAR_LAB_DISTANCE)
    return int(np.lexsort((times_used, shunned, -clearance))[0])


def _shunned(tints: np.ndarray, avoid_bgr: np.ndarray | None) -> np.ndarray:
    avoided = lab(np.zeros((0, 3)) if avoid_bgr is None else avoid_bgr)
    return _lab_distances(lab(tints), avoided).min(axis=1, initial=np.inf) < 1.5 * MIN_LAB_DISTANCE


@lru_cache(maxsize=1)
def _palette() -> tuple[np.ndarray, np.ndarray]:
    """PALETTE_SIZE x 3 BGR tints and their distances; each is the candidate farthest from those before it.

    So every first part of the palette is spread as far as it goes, and a picture with few instances uses the clearest.
    """
    candidates = _bright_tints()
    distances = _lab_distances(lab(candidates), lab(candidates))
    picked = [0]
    while len(picked) < PALETTE_SIZE:
        picked.append(int(distances[picked].min(axis=0).argmax()))
    return candidates[picked], distances[np.ix_(picked, picked)]


def _bright_tints() -> np.ndarray:
    """Hues x saturations x values; nothing dark, as half of a dark colour added to a picture is hardly seen."""
    tints = [
        colorsys.hsv_to_rgb(hue / 48, saturation, value)[::-1]
        for hue in range(48)
        for saturation in (0.85, 0.6, 0.35)
        for value in (1.0, 0.85, 0.7)
    ]
    return np.round(np.array(tints) * 255).astype(np.uint8)


def _lab_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a[:, None] - b[None], axis=2)
