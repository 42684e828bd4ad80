"""The grid branches of SOLOv2: for every cell of every level the scores of the classes and a dynamic kernel.

X. Wang et al., SOLOv2: Dynamic and Fast Instance Segmentation, NeurIPS 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ShapeSpec
from torch import Tensor, nn

from solov2.layers import COORDINATES, resized, tower, with_coordinates
from solov2.levels import Level, levels_from_config, require_features
from thingstuff.errors import ConfigError


class GridHead(nn.Module):
    """Two towers of convolutions, shared by all levels. Only the kernel branch knows where a cell is.

    Its last layers are called as Detectron2's are, so that the tools know them: in mixed precision they compute in
    float32, and `cls_score` may start anew for other classes.
    """

    @configurable
    def __init__(
        self,
        *,
        levels: Sequence[Level],
        in_channels: int,
        conv_dim: int,
        num_convs: int,
        norm: str,
        num_classes: int,
        kernel_dim: int,
        prior_prob: float,
    ) -> None:
        """`kernel_dim`: weights of a kernel. `prior_prob`: the score of every class at the start of a training."""
        super().__init__()
        self.levels = tuple(levels)
        self.category_tower = tower(in_channels, conv_dim, num_convs, norm)
        self.kernel_tower = tower(in_channels + COORDINATES, conv_dim, num_convs, norm)
        self.cls_score = Conv2d(conv_dim, num_classes, 3, padding=1)
        self.predictor = Conv2d(conv_dim, kernel_dim, 3, padding=1)
        for layer in (self.cls_score, self.predictor):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.cls_score.bias, -math.log((1 - prior_prob) / prior_prob))

    @classmethod
    def from_config(cls, cfg: CfgNode, shapes: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        node, levels = cfg.MODEL.SOLOV2, levels_from_config(cfg)
        inputs = require_features([level.feature for level in levels], "IN_FEATURES", shapes)
        if node.NUM_CONVS < 1:
            raise ConfigError(f"MODEL.SOLOV2.NUM_CONVS is {node.NUM_CONVS}, expected 1 or more")
        if not 0 < node.PRIOR_PROB < 1:
            raise ConfigError(f"MODEL.SOLOV2.PRIOR_PROB is {node.PRIOR_PROB}, expected a number between 0 and 1")
        return {
            "levels": levels,
            "in_channels": inputs[0].channels,
            "conv_dim": node.CONV_DIM,
            "num_convs": node.NUM_CONVS,
            "norm": node.NORM,
            "num_classes": cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "kernel_dim": node.MASK_DIM,
            "prior_prob": node.PRIOR_PROB,
        }

    def forward(self, features: Sequence[Tensor], image_size: tuple[int, int]) -> tuple[list[Tensor], list[Tensor]]:
        """Features of N padded images of H x W -> per level N x C x S x S class logits and N x E x S x S kernels."""
        pairs = [self._level(*pair, image_size) for pair in zip(self.levels, features, strict=True)]
        return [category for category, _ in pairs], [kernels for _, kernels in pairs]

    def _level(self, level: Level, features: Tensor, image_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        features = resized(features, [-(-side // level.stride) for side in image_size])
        cells = resized(with_coordinates(features), (level.grid, level.grid))
        category = self.cls_score(self.category_tower(cells[:, :-COORDINATES]))
        return category, self.predictor(self.kernel_tower(cells))
