"""The pictures of one prediction: a view each, or all of them side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from thingstuff.modeling.prediction import Prediction
from thingstuff.report.grid import picture_grid
from thingstuff.report.overlay import draw_overlay
from thingstuff.report.views import VIEWS, Layers
from thingstuff.structures import Categories

SIDE_BY_SIDE = "side_by_side"


@dataclass(frozen=True)
class Drawing:
    """How predictions are drawn. No `views` means the richest that a prediction has."""

    categories: Categories
    views: tuple[str, ...] = ()
    side_by_side: bool = False
    score_thresh: float = 0.5

    def names(self, found: Prediction) -> tuple[str, ...]:
        """The names of the pictures that are drawn of this prediction."""
        return (SIDE_BY_SIDE,) if self.side_by_side else self._views(found)

    def draw(self, image_bgr: np.ndarray, found: Prediction, instance_ids: tuple[int, ...] | None = None) -> Pictures:
        """Name -> H x W x 3 uint8 BGR. `instance_ids`, one an instance, keep colours the same from frame to frame."""
        layers = self._layers(image_bgr, found, instance_ids)
        pictures = {view: draw_overlay(layers, view) for view in self._views(found)}
        if not self.side_by_side:
            return pictures
        width = max(picture.shape[1] for picture in pictures.values())
        row = [image_bgr, *pictures.values()]
        return {SIDE_BY_SIDE: picture_grid([row], ["image", *pictures], cell_width=width)}

    def _views(self, found: Prediction) -> tuple[str, ...]:
        if self.views:
            return self.views
        answered = available_views(found)
        return answered if self.side_by_side else answered[-1:]

    def _layers(self, image_bgr: np.ndarray, found: Prediction, instance_ids: tuple[int, ...] | None) -> Layers:
        detections = found.detections
        if detections is not None:
            shown = np.flatnonzero(detections.scores >= self.score_thresh)
            detections = detections[shown]
            instance_ids = None if instance_ids is None else tuple(instance_ids[row] for row in shown.tolist())
        layers = Layers(image_bgr, self.categories, detections, found.stuff_map, found.panoptic)
        return layers if instance_ids is None else replace(layers, instance_ids=instance_ids)


Pictures = dict[str, np.ndarray]


def available_views(found: Prediction) -> tuple[str, ...]:
    """The views that a prediction can answer, the richest last."""
    detections = found.detections
    masks = detections is not None and detections.masks is not None
    answers = {
        "box": detections is not None and not masks,
        "semantic": found.stuff_map is not None,
        "instance": masks,
        "panoptic": found.panoptic is not None,
    }
    return tuple(view for view in VIEWS if answers[view])
