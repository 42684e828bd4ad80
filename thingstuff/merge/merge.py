"""The merge: instances and a stuff map of one image become one panoptic map, by a rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import ConfigError
from thingstuff.merge.greedy import Greedy
from thingstuff.merge.inputs import check_inputs
from thingstuff.merge.ledger import Ledger
from thingstuff.merge.rule import Rule
from thingstuff.structures import Categories, Detections, PanopticMap


def merge(
    detections: Detections, stuff_map: NDArray[np.uint16], categories: Categories, rule: Rule | None = None
) -> tuple[PanopticMap, Ledger]:
    """One image's instances and its H x W uint16 stuff map -> the panoptic map, and what happened to each of them.

    Without a `rule`, Detectron2's: `Greedy()`. The answer does not depend on who made the stuff map. Unlike
    Detectron2's `combine_semantic_and_instance_outputs`, ids are data set ids, every segment has its area and box,
    and what was dropped or lost pixels is on record.
    """
    rule = Greedy() if rule is None else rule
    merged = rule.merge(check_inputs(detections, stuff_map, categories))
    _refuse_other_answer(rule, merged)
    return merged


def _refuse_other_answer(rule: Rule, merged: object) -> None:
    parts = merged if isinstance(merged, tuple) else (merged,)
    if len(parts) != 2 or not isinstance(parts[0], PanopticMap) or not isinstance(parts[1], Ledger):
        got = ", ".join(type(part).__name__ for part in parts)
        raise ConfigError(f"merge rule {type(rule).__name__}: expected it to return (PanopticMap, Ledger), got ({got})")
