"""Pooling of boxes from the levels of a feature pyramid: Detectron2's `ROIPooler` for one image."""

from __future__ import annotations

import torch
from detectron2.modeling.poolers import ROIPooler
from torch import nn
from torchvision.ops import roi_align


class Pool(nn.Module):
    """Features and N x 4 boxes in pixels of the canvas -> N x C x S x S."""

    def __init__(self, pooler: ROIPooler, in_features: list[str]) -> None:
        super().__init__()
        self.in_features = tuple(in_features)
        self.output_size = tuple(pooler.output_size)
        self.min_level, self.max_level = pooler.min_level, pooler.max_level
        self.canonical_level, self.canonical_px = pooler.canonical_level, pooler.canonical_box_size
        self.how = [(p.spatial_scale, p.sampling_ratio, p.aligned) for p in pooler.level_poolers]

    def forward(self, features: dict[str, torch.Tensor], boxes: torch.Tensor) -> torch.Tensor:
        maps = [features[name] for name in self.in_features]
        rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)  # they are all of image 0
        if len(maps) == 1:
            return self._pooled(0, maps[0], rois)
        level_of = self._levels(boxes)
        pooled = maps[0].new_zeros(boxes.shape[0], maps[0].shape[1], *self.output_size)
        for level, one in enumerate(maps):
            here = (level_of == level).nonzero()[:, 0]
            pooled = pooled.index_put((here,), self._pooled(level, one, rois[here]))
        return pooled

    def _pooled(self, level: int, features: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        scale, sampling_ratio, aligned = self.how[level]
        return roi_align(features, rois, self.output_size, scale, sampling_ratio, aligned)

    def _levels(self, boxes: torch.Tensor) -> torch.Tensor:
        """Eqn. (1) of Feature Pyramid Networks (Lin et al., 2017), as `assign_boxes_to_levels` computes it."""
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        level = torch.floor(self.canonical_level + torch.log2(torch.sqrt(area) / self.canonical_px + 1e-8))
        return level.clamp(self.min_level, self.max_level).to(torch.int64) - self.min_level
