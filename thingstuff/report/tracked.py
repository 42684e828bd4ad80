"""Predictions of successive frames under ids that last: an instance keeps its number, and so its colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thingstuff.engine.tracking import Tracker, with_track_ids
from thingstuff.modeling.prediction import Prediction
from thingstuff.structures import PanopticMap

UNTRACKED = 0


class TrackedFrames:
    """Takes the predictions of a video's frames in order.

    Instances that score less than `score_thresh` are followed only where they are segments of the panoptic map.
    """

    def __init__(self, height: int, width: int, score_thresh: float) -> None:
        self._tracker = Tracker(height, width)
        self._segment_tracker = Tracker(height, width)  # of a model whose segments are not its instances
        self._score_thresh = score_thresh

    def add(self, found: Prediction) -> tuple[Prediction, tuple[int, ...]]:
        """The same prediction with track ids for thing segments, and one id an instance (0 = not followed)."""
        ids = np.zeros(0, np.int64) if found.detections is None else self._track(found)
        if found.panoptic is None:
            return found, tuple(ids.tolist())
        return replace(found, panoptic=self._renumbered(found.panoptic, found, ids)), tuple(ids.tolist())

    def _track(self, found: Prediction) -> np.ndarray:
        followed = found.detections.scores >= self._score_thresh
        followed[list(_row_of_segment(found).values())] = True
        ids = np.full(len(found.detections), UNTRACKED, np.int64)
        ids[followed] = self._tracker.update(found.detections[followed])
        return ids

    def _renumbered(self, panoptic: PanopticMap, found: Prediction, ids: np.ndarray) -> PanopticMap:
        if found.ledger is not None:
            return with_track_ids(panoptic, _row_of_segment(found), ids)
        things = [segment.id for segment in panoptic.segments if segment.isthing and not segment.iscrowd]
        rows = {number: row for row, number in enumerate(things)}
        return with_track_ids(panoptic, rows, self._segment_tracker.update(panoptic.to_detections()))


def _row_of_segment(found: Prediction) -> dict[int, int]:
    """Thing segment id -> row of its instance, as the ledger tells."""
    entries = () if found.ledger is None else found.ledger.instances
    return {entry.segment_id: entry.index for entry in entries if entry.segment_id is not None}
