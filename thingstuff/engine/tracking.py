"""Ids of instances that last over the frames of a video, given by Detectron2's box tracker, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from detectron2.tracking.bbox_iou_tracker import BBoxIOUTracker
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures import Detections, PanopticMap
from thingstuff.structures.panoptic_map import VOID_ID
from thingstuff.structures.runs import positions_of


class Tracker:
    """Gives the instances of successive frames of one video ids from 1 on; the same object keeps its id.

    An instance of the frame is the one of earlier frames that has its class and whose box, moved on by its speed,
    overlaps its own most, by `iou_thresh` or more. One that is not seen for up to `max_lost_frames` frames keeps its
    id; an id is never given to another.

    This is Detectron2's BBoxIOUTracker with three differences. That one compares across classes; pairs an instance
    with the first box that overlaps enough, not with the best (it means to sort the pairs, and does not); and compares
    with the place where an instance was, so that two that cross swap their ids.
    """

    def __init__(self, height: int, width: int, iou_thresh: float = 0.3, max_lost_frames: int = 5) -> None:
        self.height, self.width = height, width
        self._tracker = _MovingTracker(
            video_height=height,
            video_width=width,
            max_lost_frame_count=max_lost_frames,
            track_iou_threshold=iou_thresh,
            # small and new instances are remembered like others
            min_box_rel_dim=0.0,
            min_instance_period=0,
        )

    def update(self, detections: Detections) -> NDArray[np.int64]:
        """The next frame's N detections -> N int64 ids, in their order and all different."""
        if (detections.height, detections.width) != (self.height, self.width):
            given, expected = f"{detections.height} x {detections.width}", f"{self.height} x {self.width}"
            raise DataError(f"tracking: expected frames of {expected} pixels (height x width), got {given}")
        instances = Instances((self.height, self.width))
        instances.pred_boxes = Boxes(torch.tensor(detections.boxes_xyxy))
        instances.pred_classes = torch.tensor(detections.category_ids)
        instances.scores = torch.tensor(detections.scores)
        tracked = self._tracker.update(instances)
        # those that are lost for now come behind the frame's own
        return np.array(tracked.ID[: len(detections)], np.int64) + 1


def with_track_ids(
    panoptic: PanopticMap, row_of_segment: Mapping[int, int], track_ids: NDArray[np.int64]
) -> PanopticMap:
    """The same map with each thing under the track id of its detection; all else gets ids above these.

    `row_of_segment` is {segment id: row of the detection that it comes from}. Stuff and segments that it does not
    name are numbered from the highest track id + 1 on.
    """
    next_id = int(track_ids.max(initial=0)) + 1
    new_ids: dict[int, int] = {}
    for segment in panoptic.segments:
        if segment.id in row_of_segment:
            new_ids[segment.id] = int(track_ids[row_of_segment[segment.id]])
        else:
            new_ids[segment.id], next_id = next_id, next_id + 1
    places = positions_of(panoptic.ids, np.array(list(new_ids), np.int64))
    ids = np.array([*new_ids.values(), VOID_ID], np.uint32)[places]  # place -1, no segment, picks the last
    return PanopticMap(ids, tuple(replace(segment, id=new_ids[segment.id]) for segment in panoptic.segments))


class _MovingTracker(BBoxIOUTracker):
    """Detectron2's tracker, comparing within a class, with boxes that move on, and taking the best pairs first."""

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self._speeds: dict[int, NDArray[np.float32]] = {}  # x, y in pixels a frame, by id

    def update(self, instances: Instances) -> Instances:
        if self._prev_instances is None:
            return super().update(instances)
        before = self._prev_instances
        centers = dict(zip(before.ID, before.pred_boxes.get_centers().numpy(), strict=True))
        self._prev_instances = self._moved_on(before)
        tracked = super().update(instances)
        self._measure_speeds(centers, tracked, len(instances))
        return tracked

    def _moved_on(self, instances: Instances) -> Instances:
        speeds = [self._speeds.get(number, np.zeros(2, np.float32)) for number in instances.ID]
        steps = torch.from_numpy(np.array(speeds, np.float32).reshape(-1, 2))
        moved = Instances(instances.image_size, **instances.get_fields())
        moved.pred_boxes = Boxes(instances.pred_boxes.tensor + steps.repeat(1, 2))
        return moved

    def _measure_speeds(self, old_centers: Mapping[int, np.ndarray], tracked: Instances, seen: int) -> None:
        """The speed of those seen is renewed by half; the lost keep theirs."""
        known, self._speeds = self._speeds, {}
        centers = tracked.pred_boxes.get_centers().numpy()
        for row, (number, center) in enumerate(zip(tracked.ID, centers, strict=True)):
            if row >= seen:
                self._speeds[number] = known.get(number, np.zeros(2, np.float32))
            elif number in old_centers:
                step = center - old_centers[number]
                self._speeds[number] = step if number not in known else (known[number] + step) / 2

    def _create_prediction_pairs(self, instances: Instances, iou_all: torch.Tensor) -> list[dict]:
        """The pairs of one class that overlap enough, best first; Detectron2 lists all, in the boxes' order."""
        before = self._prev_instances
        same_class = instances.pred_classes[:, None] == before.pred_classes[None]
        rows, places = torch.nonzero(same_class & (iou_all >= self._track_iou_threshold), as_tuple=True)
        order = torch.argsort(iou_all[rows, places], descending=True, stable=True)
        return [
            {
                "idx": row,
                "prev_idx": place,
                "prev_id": before.ID[place],
                "IoU": float(iou_all[row, place]),
                "prev_period": before.ID_period[place],
            }
            for row, place in zip(rows[order].tolist(), places[order].tolist(), strict=True)
        ]
