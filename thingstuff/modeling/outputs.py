"""From a model's outputs to plain data: Detectron2's `Instances` to `Detections`, with data set ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from detectron2.structures import Instances

from thingstuff.structures import Categories, Detections, MaskCrops


def to_detections(instances: Instances, categories: Categories) -> Detections:
    """`instances` in image coordinates, on any device -> Detections with data set ids, in the same order.

    Their `pred_masks` are N x H x W, or MaskCrops already.
    """
    found = instances.to("cpu")
    height, width = found.image_size
    masks = found.pred_masks if found.has("pred_masks") else None
    if masks is not None and not isinstance(masks, MaskCrops):
        masks = MaskCrops.from_bitmaps(masks.numpy())
    return Detections(
        masks,
        found.pred_boxes.tensor.detach().numpy().astype(np.float32),
        found.scores.detach().numpy().astype(np.float32),
        categories.thing_ids(found.pred_classes.numpy()),
        height,
        width,
    )


def to_coco_results(instances: Instances, image_id: int | str, categories: Categories) -> list[dict[str, Any]]:
    """COCO result records, keypoints included. Unlike Detectron2's function it leaves `instances` as they are."""
    records = to_detections(instances, categories).to_coco(image_id)
    if not instances.has("pred_keypoints"):
        return records
    keypoints = instances.pred_keypoints.detach().to("cpu").clone()
    keypoints[..., :2] -= 0.5  # a pixel's centre lies at its index in COCO, half a pixel further in Detectron2
    rows = keypoints.flatten(1).tolist()
    return [record | {"keypoints": row} for record, row in zip(records, rows, strict=True)]
