"""By what the images of a comparison can be ordered: where outputs disagree, where instances are lost, and by PQ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from thingstuff.evaluation import PanopticCounts
from thingstuff.progress import watched
from thingstuff.report.comparison import Compared, Comparison
from thingstuff.store import PredictedImage
from thingstuff.structures import PanopticMap
from thingstuff.structures.runs import positions_of

SHOWN_SCORE = 0.5  # of boxes and instances in pictures, as predict.py draws them
DISAGREEMENT, LOST, PQ = "disagreement", "lost", "PQ"  # PQ is best high, the others are most telling high

Ranks = dict[str, float]


def image_ranks(comparison: Comparison) -> dict[str, Ranks]:
    """Key -> what is known of it, of all images.

    - disagreement: the share of pixels whose class differs between the maps of the first two stores, or of one store
      between its instances (of `SHOWN_SCORE`, painted over one another) and its map.
    - lost: how many instances of the first store find an object before its merge and none after it.
    - PQ: of the first store, in percent.
    """
    keys = watched(list(comparison.stores[0].ids), "ranking images")
    return {key: _ranks(key, comparison) for key in keys}


def _ranks(key: str, comparison: Comparison) -> Ranks:
    first = comparison.stores[0]
    images = [store.store.read(key, stuff=False) for store in comparison.stores[:2]]
    ranks = {
        DISAGREEMENT: _disagreement(images),
        LOST: _lost(first, key),
        PQ: _pq(images[0], comparison, key),
    }
    return {name: value for name, value in ranks.items() if value is not None}


def _lost(store: Compared, key: str) -> float | None:
    return None if store.merge is None else float(len(store.merge.lost.get(store.ids[key], ())))


def _pq(image: PredictedImage, comparison: Comparison, key: str) -> float | None:
    truth, image_id = comparison.truth.panoptic, comparison.stores[0].ids[key]
    if image.panoptic is None or truth is None or image_id not in truth.records:
        return None
    counts = PanopticCounts.empty(truth.categories).add(image.panoptic, truth.read_runs(image_id))
    return 100 * counts.scores().numbers["PQ"]


def _disagreement(images: Sequence[PredictedImage]) -> float | None:
    """None where there are no two outputs to hold against each other."""
    maps = [_classes(image.panoptic) for image in images if image.panoptic is not None]
    if len(maps) == 2 and maps[0].shape == maps[1].shape:
        return float(np.mean(maps[0] != maps[1]))
    first = images[0]
    if first.panoptic is None or first.detections is None or first.detections.masks is None:
        return None
    return float(np.mean(_painted(first, maps[0]) != maps[0]))


def _classes(panoptic: PanopticMap) -> np.ndarray:
    """H x W category ids + 1, 0 is void."""
    ids = np.array([segment.id for segment in panoptic.segments], np.int64)
    labels = np.array([0, *(segment.category_id + 1 for segment in panoptic.segments)])
    return labels[positions_of(panoptic.ids, ids) + 1]


def _painted(image: PredictedImage, below: np.ndarray) -> np.ndarray:
    """The classes with all shown instances painted over, the best last."""
    painted = below.copy()
    found = image.detections.above(SHOWN_SCORE).by_score()
    for row in reversed(range(len(found))):
        x0, y0, x1, y1 = found.masks.boxes_xyxy[row].tolist()
        painted[y0:y1, x0:x1][found.masks.crops[row] > 0] = int(found.category_ids[row]) + 1
    return painted


def ordered(ranks: Mapping[str, Ranks]) -> list[str]:
    """Keys, the most telling first: by disagreement, or what there is."""
    by = next((name for name in (DISAGREEMENT, LOST) if any(name in own for own in ranks.values())), None)
    if by is not None:
        return sorted(ranks, key=lambda key: (-ranks[key].get(by, -1.0), key))
    return sorted(ranks, key=lambda key: (ranks[key].get(PQ, float("inf")), key))
