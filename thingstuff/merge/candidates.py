"""What a rule decides about, instances and stuff regions, and what it decides: entries and segments come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from thingstuff.merge.canvas import Box, Crop
from thingstuff.merge.inputs import MergeInputs
from thingstuff.merge.ledger import InstanceEntry, Outcome, StuffEntry
from thingstuff.merge.losses import Takers
from thingstuff.merge.row_runs import NO_PIXELS, Extent, RowRuns
from thingstuff.structures import Segment


class Decision(NamedTuple):
    """What becomes of one candidate: a segment with these pixels, or nothing for this reason."""

    visible_px: int = 0
    segment_id: int | None = None
    reason: str | None = None
    value: float | None = None
    threshold: float | None = None

    @classmethod
    def drop(cls, reason: str, value: float, threshold: float) -> Decision:
        """`value` is the number that decided it."""
        return cls(reason=reason, value=float(value), threshold=float(threshold))

    def outcome(self, area_px: int) -> Outcome:
        if self.segment_id is None:
            return "dropped"
        return "kept" if self.visible_px == area_px else "eroded"


class Instance(NamedTuple):
    """One instance. `number` is its place in the detections."""

    number: int
    category_id: int
    score: float
    crop: Crop
    box: Box
    area_px: int

    def entry(self, made: Decision, takers: Takers) -> InstanceEntry:
        return InstanceEntry(
            self.number,
            self.category_id,
            self.score,
            self.area_px,
            made.outcome(self.area_px),
            made.visible_px,
            made.segment_id,
            made.reason,
            made.value,
            made.threshold,
            takers,
        )

    def segment(self, segment_id: int, extent: Extent) -> Segment:
        return Segment(segment_id, self.category_id, True, *extent, self.score)


class Region(NamedTuple):
    """One stuff region: all pixels of a label, of which no instance took `free_px`."""

    label: int
    category_id: int
    area_px: int
    free_px: int

    def entry(self, made: Decision) -> StuffEntry:
        return StuffEntry(
            self.category_id,
            self.area_px,
            made.outcome(self.area_px),
            made.visible_px,
            made.segment_id,
            made.reason,
            made.value,
            made.threshold,
        )

    def segment(self, segment_id: int, extent: Extent) -> Segment:
        return Segment(segment_id, self.category_id, False, *extent)


def instances_by_score(inputs: MergeInputs) -> Iterator[Instance]:
    """By descending score; equal scores keep their order."""
    scores, category_ids = inputs.scores.tolist(), inputs.category_ids.tolist()
    boxes, crops = inputs.masks.boxes_xyxy.tolist(), inputs.masks.crops
    for number in np.argsort(-inputs.scores, kind="stable").tolist():
        crop = crops[number]
        yield Instance(number, category_ids[number], scores[number], crop, boxes[number], cv2.countNonZero(crop))


def regions_by_label(inputs: MergeInputs, runs: RowRuns, extents: Mapping[int, Extent]) -> Iterator[Region]:
    """By ascending label; `runs` and their `extents` are those of the canvas once all instances are on it."""
    stuff = inputs.categories.stuff
    for label, area_px in runs.label_areas_px(len(stuff)).items():
        free_px, _ = extents.get(label, NO_PIXELS)
        yield Region(label, stuff[label - 1].id, area_px, free_px)
