"""Does an exported file predict what its model predicts, on the same canvas?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from thingstuff.engine.exported.canvas import OnCanvas, padded, put_on_canvas
from thingstuff.engine.exported.card import Card
from thingstuff.engine.exported.predictor import ExportedPredictor
from thingstuff.engine.predictor import Predictor
from thingstuff.evaluation.mask_iou import mask_ious
from thingstuff.modeling.prediction import Prediction
from thingstuff.structures import Detections, PanopticMap

MOST_BOX_PX = 0.1
LEAST_MASK_IOU = 0.99
LEAST_PIXELS = 0.999  # of a stuff map or a panoptic map that agree
LARGEST_MARGIN = 1e-3  # of scores: what lies so near the threshold, or the last place of a full list, may differ


@dataclass(frozen=True)
class ImageParity:
    """One image: N detections of the model, and how far the file's are from them.

    `unmatched`: detections of either that the other lacks. `box_px`: the largest difference of a coordinate, in pixels
    of the network's input; `mask_iou` the least; `pixels`: the share of equal pixels of the stuff map and of the
    panoptic map, the least of the two. `own_canvas`: the canvas is the one that the model gives this image by itself.
    None is what the model does not predict.
    """

    detections: int | None = None
    unmatched: int = 0
    box_px: float | None = None
    score: float | None = None
    mask_iou: float | None = None
    pixels: float | None = None
    own_canvas: bool = True

    @property
    def holds(self) -> bool:
        near = self.box_px is None or self.box_px <= MOST_BOX_PX
        alike = self.mask_iou is None or self.mask_iou >= LEAST_MASK_IOU
        return not self.unmatched and near and alike and (self.pixels is None or self.pixels >= LEAST_PIXELS)


@dataclass(frozen=True)
class Parity:
    """All images that were compared, in their order."""

    images: Sequence[ImageParity] = field(default_factory=tuple)

    @property
    def holds(self) -> bool:
        return bool(self.images) and all(image.holds for image in self.images)

    @property
    def says_nothing(self) -> bool:
        """The model finds instances, and found none."""
        return self.worst.detections == 0

    @property
    def worst(self) -> ImageParity:
        return ImageParity(
            self._over("detections", sum),
            self._over("unmatched", sum) or 0,
            self._over("box_px", max),
            self._over("score", max),
            self._over("mask_iou", min),
            self._over("pixels", min),
            all(image.own_canvas for image in self.images),
        )

    def _over(self, name: str, summary: Callable[[Iterable[Any]], Any]) -> Any:
        """Over the images that have it; None if none has."""
        values = [value for image in self.images if (value := getattr(image, name)) is not None]
        return summary(values) if values else None


def compare(predictor: Predictor, exported: ExportedPredictor, images: Iterable[np.ndarray]) -> Parity:
    """H x W x 3 uint8 BGR images. The model sees each on the canvas of the file, as if in a batch with a larger one."""
    return Parity(tuple(_compare_one(predictor, exported, image) for image in images))


def _compare_one(predictor: Predictor, exported: ExportedPredictor, image_bgr: np.ndarray) -> ImageParity:
    placed = put_on_canvas(image_bgr, exported.card)
    own_canvas = _own_canvas(placed, exported.card)
    reference = _on_same_canvas(predictor, placed, image_bgr, own_canvas)
    other = exported(image_bgr)
    scale = max(placed.size[0] / image_bgr.shape[0], placed.size[1] / image_bgr.shape[1])
    found = _of_detections(reference.detections, other.detections, scale, exported.card.score_thresh)
    return ImageParity(**found, pixels=_equal_pixels(reference, other), own_canvas=own_canvas)


def _own_canvas(placed: OnCanvas, card: Card) -> bool:
    own = tuple(padded(side, card.side_multiple) for side in placed.size)
    return own == placed.canvas_size and not placed.shrunk


def _on_same_canvas(predictor: Predictor, placed: OnCanvas, image_bgr: np.ndarray, own_canvas: bool) -> Prediction:
    """An empty image of the canvas's size beside it makes Detectron2 pad to that size."""
    height, width = image_bgr.shape[:2]
    one = {"image": torch.from_numpy(placed.pixels), "height": height, "width": width}
    filler = {"image": torch.zeros(3, *placed.canvas_size), "height": 1, "width": 1}
    return predictor.predict([one] if own_canvas else [one, filler])[0]


# ---- detections --------------------------------------------------------------------------------------------------


def _of_detections(one: Detections | None, other: Detections | None, scale: float, thresh: float) -> dict[str, Any]:
    if one is None or other is None:
        return {"unmatched": 0 if one is other else 1}
    pairs = _pairs(one, other)
    mine, theirs = (np.array(column, np.int64) for column in zip(*pairs, strict=True)) if pairs else ([], [])
    boxes = np.abs(one.boxes_xyxy[mine] - other.boxes_xyxy[theirs])
    scores = np.abs(one.scores[mine] - other.scores[theirs])
    left = _certain(one, set(mine), thresh) + _certain(other, set(theirs), thresh)
    return {
        "detections": len(one),
        "unmatched": left,
        "box_px": float(boxes.max(initial=0)) * scale,
        "score": float(scores.max(initial=0)),
        "mask_iou": _least_iou(one, other, pairs),
    }


def _pairs(one: Detections, other: Detections) -> list[tuple[int, int]]:
    """Each detection with the nearest one of its class that is free, by falling score; a far one is none."""
    free = set(range(len(other)))
    pairs = []
    for index in range(len(one)):
        same = [j for j in free if other.category_ids[j] == one.category_ids[index]]
        if not same:
            continue
        far = np.abs(other.boxes_xyxy[same] - one.boxes_xyxy[index]).max(axis=1)
        far = far + np.abs(other.scores[same] - one.scores[index])  # of two in one place, the one of its score
        if far.min() <= 1:
            pairs.append((index, same[int(far.argmin())]))
            free.discard(pairs[-1][1])
    return pairs


def _certain(found: Detections, matched: set[int], thresh: float) -> int:
    """How many of the unmatched do not lie so near a threshold that the last digits decide about them."""
    limits = [thresh] if len(found) == 0 else [thresh, float(found.scores.min())]
    left = [i for i in range(len(found)) if i not in matched]
    return sum(all(abs(float(found.scores[i]) - limit) > LARGEST_MARGIN for limit in limits) for i in left)


def _least_iou(one: Detections, other: Detections, pairs: list[tuple[int, int]]) -> float | None:
    if one.masks is None or other.masks is None:
        return None
    ious = mask_ious(one.masks, other.masks)
    empty, other_empty = one.masks.areas_px() == 0, other.masks.areas_px() == 0
    return min((1.0 if empty[i] and other_empty[j] else float(ious[i, j]) for i, j in pairs), default=1.0)


def _equal_pixels(one: Prediction, other: Prediction) -> float | None:
    """The least of the stuff map's and the panoptic map's shares."""
    shares = []
    if one.stuff_map is not None and other.stuff_map is not None:
        shares.append(float((one.stuff_map == other.stuff_map).mean()))
    if one.panoptic is not None and other.panoptic is not None:
        shares.append(float((_categories(one.panoptic) == _categories(other.panoptic)).mean()))
    return min(shares, default=None)


def _categories(panoptic: PanopticMap) -> np.ndarray:
    """H x W category ids, -1 for void."""
    category_of = np.full(int(panoptic.ids.max(initial=0)) + 1, -1, np.int64)
    for segment in panoptic.segments:
        category_of[segment.id] = segment.category_id
    return category_of[panoptic.ids]
