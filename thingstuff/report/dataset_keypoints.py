"""How often each keypoint of a data set is marked, and how often it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thingstuff.data.truth import SplitTruth
from thingstuff.report.dataset_columns import Columns

_HIDDEN, _VISIBLE = 1, 2  # COCO's flags; 0 is not marked at all


@dataclass(frozen=True)
class KeypointStats:
    """One keypoint of one class: in the lists of `instances` it is `hidden`, `visible` or neither."""

    class_name: str
    name: str
    instances: int
    hidden: int
    visible: int


def keypoint_stats(truth: SplitTruth, columns: Columns) -> list[KeypointStats]:
    """One a keypoint of every class that names some; lists of another length than the names are left out."""
    found = []
    for row, category in enumerate(truth.categories):
        names = category.get("keypoints")
        if not isinstance(names, list) or not names:
            continue
        rows = np.flatnonzero((columns.category_rows == row) & ~columns.is_crowd).tolist()
        flags = _flags([columns.notes[n].get("keypoints") for n in rows], len(names))
        for n, name in enumerate(names):
            hidden, visible = (int((flags[:, n] == flag).sum()) for flag in (_HIDDEN, _VISIBLE))
            found.append(KeypointStats(str(category.get("name")), str(name), len(flags), hidden, visible))
    return found


def _flags(lists: Sequence[Any], count: int) -> np.ndarray:
    """N x count visibility flags; -1 for what is no number."""
    whole = [values[2::3] for values in lists if isinstance(values, list) and len(values) == 3 * count]
    known = [[flag if isinstance(flag, int | float) else -1 for flag in flags] for flags in whole]
    return np.array(known, np.float64).reshape(-1, count)
