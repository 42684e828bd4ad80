"""Detectron2's mask head with another number of enlargements, so that masks alone change their size."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.mask_head import ROI_MASK_HEAD_REGISTRY, MaskRCNNConvUpsampleHead
from fvcore.nn import weight_init
from torch import nn

from thingstuff.errors import ConfigError


@ROI_MASK_HEAD_REGISTRY.register()
class SizedMaskHead(MaskRCNNConvUpsampleHead):
    """Masks of side `POOLER_RESOLUTION * 2 ** doublings`: N x C x 14 x 14 features -> N x classes x side x side logits.

    With one doubling it is Detectron2's head, weights and names alike. With none a 1 x 1 convolution stands for the
    deconvolution, which is four of them side by side; with two or more a deconvolution and a ReLU follow for each.
    The extra layers take their first weights from the same seed without moving it on, so that all other weights of
    two models begin alike.
    """

    @configurable
    def __init__(self, input_shape: ShapeSpec, *, doublings: int = 1, **kwargs: Any) -> None:
        super().__init__(input_shape, **kwargs)
        with torch.random.fork_rng(devices=[]):
            if doublings == 0:
                self.deconv = _filled(nn.Conv2d(self.deconv.in_channels, self.deconv.out_channels, kernel_size=1))
            self._enlarge_further(doublings - 1)

    def _enlarge_further(self, times: int) -> None:
        """Before the predictor, since a Sequential runs its layers in the order in which they came."""
        predictor = self.predictor
        del self.predictor
        for number in range(2, 2 + times):
            width = self.deconv.out_channels
            self.add_module(f"deconv{number}", _filled(nn.ConvTranspose2d(width, width, kernel_size=2, stride=2)))
            self.add_module(f"deconv{number}_relu", nn.ReLU())
        self.predictor = predictor

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        head = cfg.MODEL.ROI_MASK_HEAD
        return {
            **super().from_config(cfg, input_shape),
            "doublings": doublings(head.OUTPUT_SIZE, head.POOLER_RESOLUTION),
        }


def doublings(output_size: int, pooled_size: int) -> int:
    """How often `pooled_size` is doubled on the way to `output_size`."""
    count = max(output_size // pooled_size, 1).bit_length() - 1
    if pooled_size << count != output_size:
        raise ConfigError(
            f"MODEL.ROI_MASK_HEAD.OUTPUT_SIZE is {output_size}, expected POOLER_RESOLUTION {pooled_size} times "
            "1, 2, 4 and so on"
        )
    return count


def _filled(layer: nn.Module) -> nn.Module:
    """As Detectron2 begins the layers of its mask head."""
    weight_init.c2_msra_fill(layer)
    return layer
