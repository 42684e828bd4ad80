"""What one training image says: its instances, its crowds, and the pixels that count for the semantic loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from torch import Tensor
from torch.nn import functional as F

CROWDS = "crowds"  # of a model input: Instances with gt_boxes and gt_masks (BitMasks); may be absent


@dataclass(frozen=True)
class Truth:
    """T instances in the pixels of the padded batch, H x W: `masks` T x H x W bool, `classes` T int64.

    `counts` is H x W bool: inside of the image, and not of a crowd where no instance is.
    """

    boxes: Boxes
    classes: Tensor
    masks: Tensor
    crowds: Boxes
    counts: Tensor

    @classmethod
    def of_input(cls, one: Mapping[str, Any], padded_size: tuple[int, int], device: torch.device) -> Truth:
        """From Detectron2's model input, with `CROWDS` if the mapper kept them."""
        instances = one["instances"].to(device)
        height, width = instances.image_size
        masks = _padded(_bitmaps(instances), padded_size)
        crowd_boxes, crowd_masks = Boxes(torch.zeros((0, 4), device=device)), masks[:0]
        if len(one.get(CROWDS, ())):
            found = one[CROWDS].to(device)
            crowd_boxes, crowd_masks = found.gt_boxes, _padded(found.gt_masks.tensor, padded_size)
        counts = torch.zeros(padded_size, dtype=torch.bool, device=device)
        counts[:height, :width] = True
        counts &= ~crowd_masks.any(dim=0) | masks.any(dim=0)
        return cls(instances.gt_boxes, instances.gt_classes, masks, crowd_boxes, counts)


def shrunk(masks: Tensor, height: int, width: int) -> Tensor:
    """T x H x W bool -> T x height x width bool: true where at least half of the pixel's area is."""
    if not len(masks):
        return masks.new_zeros((0, height, width))
    return F.interpolate(masks[None].float(), size=(height, width), mode="area")[0] >= 0.5


def _bitmaps(instances: Instances) -> Tensor:
    masks = instances.gt_masks
    if isinstance(masks, PolygonMasks):
        height, width = instances.image_size
        masks = BitMasks.from_polygon_masks(masks, height, width).to(instances.gt_boxes.device)
    return masks.tensor


def _padded(masks: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = masks.shape[-2:]
    return F.pad(masks, (0, size[1] - width, 0, size[0] - height))
