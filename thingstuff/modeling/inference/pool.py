"""The features of boxes as rows: bins x channels of each box, on every level of a pyramid."""

from __future__ import annotations

import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels, convert_boxes_to_pooler_format
from detectron2.structures import Boxes
from torch import nn
from torchvision.ops import roi_align

from thingstuff.modeling.inference import pool_bf16
from thingstuff.modeling.roi_align_rows import Grid, RowsROIAlign, pair, pool_rows


def serves(pooler: nn.Module | None) -> bool:
    """Whether a pooler is one of RoIAligns, and so `pool_boxes` does what it does."""
    return type(pooler) is ROIPooler and all(type(p) in (ROIAlign, RowsROIAlign) for p in pooler.level_poolers)


def pool_boxes(pooler: ROIPooler, features: list[torch.Tensor], boxes: list[Boxes], dtype: torch.dtype) -> torch.Tensor:
    """Features N x C x H x W a level and R boxes in all -> R x (h w) x C in `dtype`, bins along a row first.

    What `pooler` gives, in another order. Boxes and sums are float32 whatever the features are.
    """
    rois = convert_boxes_to_pooler_format(boxes).float()
    channels, (bins_y, bins_x) = features[0].shape[1], pooler.output_size
    pooled = torch.empty(len(rois), bins_y * bins_x, channels, dtype=dtype, device=rois.device)
    if not len(rois):
        return pooled
    levels = _levels(pooler, boxes)
    for number, (layer, maps) in enumerate(zip(pooler.level_poolers, features, strict=True)):
        chosen = (levels == number).nonzero()[:, 0]
        if len(chosen) and pool_bf16.serves(maps, pooled):
            pool_bf16.pool_into(pooled, chosen, maps, rois[chosen], _grid(layer, maps))
        elif len(chosen):
            pooled[chosen] = _pool_level(layer, maps, rois[chosen]).to(dtype)
    return pooled


def _levels(pooler: ROIPooler, boxes: list[Boxes]) -> torch.Tensor:
    if len(pooler.level_poolers) == 1:
        return torch.zeros(sum(map(len, boxes)), dtype=torch.int64, device=boxes[0].device)
    scale = (pooler.canonical_box_size, pooler.canonical_level)
    return assign_boxes_to_levels(boxes, pooler.min_level, pooler.max_level, *scale)


def _grid(layer: ROIAlign, maps: torch.Tensor) -> Grid:
    images, _, height, width = maps.shape
    options = (layer.spatial_scale, layer.sampling_ratio, layer.aligned)
    return Grid(images, height, width, *pair(layer.output_size), *options)


def _pool_level(layer: ROIAlign, maps: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
    """R x (h w) x C float32."""
    options = (layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)
    if maps.device.type == "cpu":
        return pool_rows(maps, rois, *options)
    return roi_align(maps.float().contiguous(), rois, *options).flatten(2).transpose(1, 2)
