"""PQ of things, for models that know nothing of stuff: their instances are merged over the true stuff map.

Scores of different models mean different things, so that one threshold would favour some. Each model has the one that
gives it the highest PQ of things on the first part of the images; the PQ that counts is that of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thingstuff.evaluation import PanopticCounts
from thingstuff.merge import Greedy, merge
from thingstuff.structures import Categories, Detections, PanopticMap

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
TUNING_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Scene:
    """What was found in an image, its true stuff map (H x W uint16) and its whole truth."""

    detections: Detections
    stuff_map: NDArray[np.uint16]
    truth: PanopticMap


@dataclass(frozen=True)
class ThingQuality:
    """Percent over `images`, with the confidence threshold that was chosen on others. NaN where there is no thing."""

    pq: float
    sq: float
    rq: float
    threshold: float
    images: int


def thing_quality(scenes: Sequence[Scene], categories: Categories) -> ThingQuality:
    """Of two scenes or more, which have masks."""
    tuning = max(1, round(TUNING_SHARE * len(scenes)))
    tried = {threshold: _quality(scenes[:tuning], categories, threshold)["PQ_th"] for threshold in THRESHOLDS}
    best = max(THRESHOLDS, key=lambda threshold: (np.nan_to_num(tried[threshold], nan=-1.0), -threshold))
    found = _quality(scenes[tuning:], categories, best)
    return ThingQuality(
        *(100 * found[name] for name in ("PQ_th", "SQ_th", "RQ_th")), threshold=best, images=len(scenes) - tuning
    )


def _quality(scenes: Sequence[Scene], categories: Categories, threshold: float) -> dict[str, float]:
    rule = Greedy(instances_confidence_thresh=threshold)
    counts = PanopticCounts.empty(categories)
    for scene, merged in zip(scenes, _merged(scenes, categories, rule), strict=True):
        counts = counts.add(merged, scene.truth)
    return dict(counts.scores().numbers)


def _merged(scenes: Sequence[Scene], categories: Categories, rule: Greedy) -> Iterator[PanopticMap]:
    return (merge(scene.detections, scene.stuff_map, categories, rule)[0] for scene in scenes)
