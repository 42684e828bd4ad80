"""From the raw instances of a Mask R-CNN to plain data in the size of the image, without N x H x W."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from numpy.typing import NDArray

from thingstuff.merge import Ledger, Rule, merge
from thingstuff.modeling.paste import paste_masks
from thingstuff.structures import Categories, Detections, PanopticMap


@dataclass(frozen=True, eq=False)
class RoiInstances:
    """N instances whose masks are still M x M probabilities in their boxes; None where a model has no masks.

    `probs` is N x M x M float32, `boxes_xyxy` N x 4 float32 in pixels of the image that is pasted into, `scores`
    N float32, `category_ids` N int64 data set ids.
    """

    probs: NDArray[np.float32] | None
    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    category_ids: NDArray[np.int64]

    def paste(self, height: int, width: int, mask_threshold: float = 0.5) -> Detections:
        """The detections of an H x W image."""
        masks = None
        if self.probs is not None:
            masks = paste_masks(self.probs, self.boxes_xyxy, height, width, mask_threshold)
        return Detections(masks, self.boxes_xyxy, self.scores, self.category_ids, height, width)


def postprocess_instances(
    raw: Instances, output_height: int, output_width: int, categories: Categories, mask_threshold: float = 0.5
) -> Detections:
    """What a model's `roi_heads` give, in coordinates of the network's input -> detections of the output image.

    The same numbers, in the same order, as of Detectron2's `detector_postprocess` on the CPU: boxes scaled, clipped
    and dropped where nothing is left of them, masks pasted. Unlike there `raw` stays as it is, and from a GPU only
    boxes, scores, classes and M x M probabilities are fetched. Half-precision probabilities are pasted in float32;
    keypoints are left out.
    """
    return read_instances(raw, output_height, output_width, categories).paste(
        output_height, output_width, mask_threshold
    )


def read_instances(raw: Instances, output_height: int, output_width: int, categories: Categories) -> RoiInstances:
    """The same without pasting: boxes in the output image, and the probabilities as they are."""
    boxes = Boxes(raw.pred_boxes.tensor.detach().to("cpu", torch.float32, copy=True))
    boxes.scale(output_width / raw.image_size[1], output_height / raw.image_size[0])
    boxes.clip((output_height, output_width))
    kept = boxes.nonempty().numpy()
    probs = _probs(raw.pred_masks) if raw.has("pred_masks") else None
    return RoiInstances(
        None if probs is None else probs[kept],
        boxes.tensor.numpy()[kept],
        _numpy(raw.scores).astype(np.float32)[kept],
        categories.thing_ids(_numpy(raw.pred_classes))[kept],
    )


def paste_and_merge(
    instances: RoiInstances, stuff_map: NDArray[np.uint16], categories: Categories, rule: Rule | None = None
) -> tuple[Detections, PanopticMap, Ledger]:
    """N instances and the H x W uint16 stuff map of the image they are pasted into -> detections and panoptic map.

    The answer of Detectron2's `paste_masks_in_image` and `combine_semantic_and_instance_outputs`, with data set ids.
    """
    detections = instances.paste(*stuff_map.shape)
    panoptic, ledger = merge(detections, stuff_map, categories, rule)
    return detections, panoptic, ledger


def _probs(pred_masks: Any) -> NDArray[np.float32]:
    """Detectron2's N x 1 x M x M tensor, or its ROIMasks (N x M x M) -> N x M x M float32 on the CPU."""
    tensor = pred_masks if isinstance(pred_masks, torch.Tensor) else pred_masks.tensor
    probs: NDArray[np.float32] = _numpy(tensor if tensor.dim() == 3 else tensor[:, 0]).astype(np.float32, copy=False)
    return probs


def _numpy(tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().to("cpu").numpy()
    return array
