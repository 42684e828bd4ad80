"""The unified mask features of SOLOv2: one map for all objects and levels, which the dynamic kernels read.

X. Wang et al., SOLOv2: Dynamic and Fast Instance Segmentation, NeurIPS 2020.
The pyramid is summed as in Panoptic FPN (Kirillov et al., CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from solov2.layers import COORDINATES, conv_block, with_coordinates
from solov2.levels import require_features
from thingstuff.errors import ConfigError


class MaskHead(nn.Module):
    """Every level is convolved and doubled until it has the size of the finest; the sum goes through a 1 x 1.

    The coarsest level gets coordinates: with them the features can tell an object from its double elsewhere.
    """

    @configurable
    def __init__(self, *, in_channels: int, num_levels: int, conv_dim: int, out_channels: int, norm: str) -> None:
        """`num_levels` features of `in_channels` each, every one half as large as the one before."""
        super().__init__()
        last = num_levels - 1
        self.branches = nn.ModuleList(
            _branch(in_channels + (COORDINATES if number == last else 0), conv_dim, number, norm)
            for number in range(num_levels)
        )
        self.output = conv_block(conv_dim, out_channels, norm, kernel_size=1)

    @classmethod
    def from_config(cls, cfg: CfgNode, shapes: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        node = cfg.MODEL.SOLOV2
        inputs = require_features(list(node.MASK_IN_FEATURES), "MASK_IN_FEATURES", shapes)
        strides = [shape.stride for shape in inputs]
        if not strides or strides != [strides[0] * 2**number for number in range(len(strides))]:
            raise ConfigError(
                f"MODEL.SOLOV2.MASK_IN_FEATURES have the strides {strides}: expected each to be twice the one before"
            )
        return {
            "in_channels": inputs[0].channels,
            "num_levels": len(inputs),
            "conv_dim": node.MASK_CONV_DIM,
            "out_channels": node.MASK_DIM,
            "norm": node.NORM,
        }

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Levels, the finest first -> N x E x h x w in the size of the finest."""
        *finer, coarsest = features
        inputs = [*finer, with_coordinates(coarsest)]
        levels = [branch(level) for branch, level in zip(self.branches, inputs, strict=True)]
        return self.output(sum(levels[1:], levels[0]))


def _branch(in_channels: int, channels: int, doublings: int, norm: str) -> nn.Sequential:
    """One convolution for each doubling of the size; the finest level has one and no doubling."""
    layers: list[nn.Module] = []
    for number in range(max(1, doublings)):
        layers.append(conv_block(channels if number else in_channels, channels, norm))
        if doublings:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)
