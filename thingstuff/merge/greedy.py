"""The greedy rule: the higher score takes the pixel, things before stuff.

Kirillov et al., Panoptic Feature Pyramid Networks, CVPR 2019, after panopticapi's heuristic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import cv2

from thingstuff.errors import ConfigError
from thingstuff.merge.candidates import Decision, Instance, Region, instances_by_score, regions_by_label
from thingstuff.merge.canvas import Canvas, segment_ids
from thingstuff.merge.inputs import MergeInputs
from thingstuff.merge.ledger import Ledger
from thingstuff.merge.registry import register_rule
from thingstuff.structures import PanopticMap

LIMITS = {"overlap_thresh": 1, "stuff_area_limit": math.inf, "instances_confidence_thresh": 1}


@register_rule("greedy")
@dataclass(frozen=True, slots=True)
class Greedy:
    """Detectron2's `combine_semantic_and_instance_outputs`: the same ids, order, areas and scores.

    Two differences. Equal scores go by input order, where Detectron2 leaves it to an unstable sort. What has no pixel
    left is no segment; it still uses up an id, so that those after it are Detectron2's.
    """

    overlap_thresh: float = 0.5  # an instance goes if a larger share of it is taken
    stuff_area_limit: float = 4096  # a stuff region goes if fewer pixels are free; below 1: a share of the image
    instances_confidence_thresh: float = 0.5  # an instance goes if it scores less

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_threshold(field.name, getattr(self, field.name), LIMITS[field.name])

    def merge(self, inputs: MergeInputs) -> tuple[PanopticMap, Ledger]:
        """See `Rule`. Entries come in the order of the decisions: descending score, then ascending stuff label."""
        canvas = Canvas(inputs.stuff_map, len(inputs.categories.stuff), len(inputs.masks))
        ids = itertools.count(1)
        instances = [(one, self._decide_instance(one, canvas, ids)) for one in instances_by_score(inputs)]
        codes, takers = canvas.codes(), canvas.takers()
        runs = canvas.runs(codes)
        extents = runs.extents()
        limit_px = self.stuff_area_limit * (inputs.stuff_map.size if self.stuff_area_limit < 1 else 1)
        regions = [(one, _decide_region(one, limit_px, ids)) for one in regions_by_label(inputs, runs, extents)]
        placed: list[tuple[Instance | Region, int, int]] = []
        placed += [(one, canvas.code(one.number), made.segment_id) for one, made in instances if made.segment_id]
        placed += [(one, one.label, made.segment_id) for one, made in regions if made.segment_id]
        segments = tuple(one.segment(segment_id, extents[code]) for one, code, segment_id in placed)
        ledger = Ledger(
            tuple(one.entry(made, takers.get(one.number, ())) for one, made in instances),
            tuple(one.entry(made) for one, made in regions),
        )
        id_of = {code: segment_id for _, code, segment_id in placed}
        return PanopticMap.trusted(segment_ids(codes, id_of, runs), segments), ledger

    def _decide_instance(self, one: Instance, canvas: Canvas, ids: Iterator[int]) -> Decision:
        if one.score < self.instances_confidence_thresh:
            return Decision.drop("confidence", one.score, self.instances_confidence_thresh)
        if one.area_px == 0:
            return Decision.drop("empty", 0, 1)
        owners = canvas.owners(one.crop, one.box)
        taken_px = cv2.countNonZero(owners)
        if taken_px:
            canvas.note_lost(owners, one.number)
        if taken_px / one.area_px > self.overlap_thresh:
            return Decision.drop("overlap", taken_px / one.area_px, self.overlap_thresh)
        segment_id = next(ids)
        if taken_px == one.area_px:
            return Decision.drop("covered", 0, 1)
        canvas.paint(one.crop, one.box, one.number)
        return Decision(one.area_px - taken_px, segment_id)


def _decide_region(one: Region, limit_px: float, ids: Iterator[int]) -> Decision:
    if one.free_px < limit_px:
        return Decision.drop("area", one.free_px, limit_px)
    segment_id = next(ids)
    return Decision(one.free_px, segment_id) if one.free_px else Decision.drop("covered", 0, 1)


def _check_threshold(name: str, value: Any, highest: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 <= value <= highest and value < math.inf):
        expected = "0 or more" if highest == math.inf else f"0 to {highest}"
        raise ConfigError(f"merge rule 'greedy': expected {name} to be a number, {expected}, got {value!r}")
