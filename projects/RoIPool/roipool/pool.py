"""RoIPool that trains in mixed precision: Detectron2's RoI heads, with features and boxes pooled in float32."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, StandardROIHeads
from torch import nn
from torchvision.ops import RoIPool, roi_pool


class FloatRoIPool(nn.Module):
    """torchvision's `RoIPool` in float32, whatever the features are in: M x C x side x side of the features' dtype.

    torchvision's has no bf16 on a CPU. In fp16 and bf16 a box would besides be rounded to another cell; its RoIAlign
    computes in float32 under autocast as well. The maximum of numbers of a dtype is a number of that dtype, so that
    nothing is lost on the way back.
    """

    def __init__(self, output_size: tuple[int, int], spatial_scale: float) -> None:
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def forward(self, features: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        """N x C x H x W features, M x 5 rois (place in the batch, x0, y0, x1, y1 in pixels of the image)."""
        with torch.autocast(features.device.type, enabled=False):
            pooled = roi_pool(features.float(), rois.float(), self.output_size, self.spatial_scale)
        return pooled.to(features.dtype)


@ROI_HEADS_REGISTRY.register()
class FloatPoolROIHeads(StandardROIHeads):
    """`StandardROIHeads` whose poolers of the type `ROIPool` are `FloatRoIPool`. Others stay as they are."""

    @classmethod
    def _init_box_head(cls, cfg: Any, input_shape: Any) -> dict[str, Any]:
        parts = super()._init_box_head(cfg, input_shape)
        _pool_in_float(parts["box_pooler"])
        return parts

    @classmethod
    def _init_mask_head(cls, cfg: Any, input_shape: Any) -> dict[str, Any]:
        parts = super()._init_mask_head(cfg, input_shape)
        _pool_in_float(parts.get("mask_pooler"))
        return parts


def _pool_in_float(pooler: ROIPooler | None) -> None:
    """In place, in a pooler that has just been built."""
    if pooler is None:
        return
    for number, level in enumerate(pooler.level_poolers):
        if isinstance(level, RoIPool):
            pooler.level_poolers[number] = FloatRoIPool(level.output_size, level.spatial_scale)
