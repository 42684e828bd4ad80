"""torchvision's `MaskRCNN`, put together from its parts as `maskrcnn_resnet50_fpn` and its second version are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision.models import resnet
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

from torchvision_maskrcnn.settings import Pool, Structure

_STAGES = ("layer1", "layer2", "layer3", "layer4")
_STRIDES_LOG2 = (2, 3, 4, 5)
_BOX_CONVS = 4  # of the second version


def build_network(structure: Structure, arguments: Mapping[str, Any]) -> MaskRCNN:
    """With random weights. `arguments` go to the constructor of torchvision's `MaskRCNN`.

    The names of its parameters are torchvision's, and so are its answers; but under autocast what the heads give out,
    anchors and boxes stay in float32, where torchvision would round them by whole pixels.
    """
    norm = nn.BatchNorm2d if structure.v2 else None
    anchors = _WideAnchors(structure.anchor_sizes, structure.aspect_ratios)
    boxes = structure.num_classes + 1
    channels, mask_channels = structure.fpn_channels, structure.mask_channels
    network = MaskRCNN(
        _backbone(structure),
        rpn_anchor_generator=anchors,
        rpn_head=RPNHead(channels, anchors.num_anchors_per_location()[0], conv_depth=2 if structure.v2 else 1),
        box_roi_pool=_pooler(structure.box_pool),
        box_head=_box_head(structure, norm),
        box_predictor=FastRCNNPredictor(structure.box_fc_channels, boxes),
        mask_roi_pool=_pooler(structure.mask_pool),
        mask_head=MaskRCNNHeads(channels, mask_channels, dilation=1, norm_layer=norm),
        mask_predictor=MaskRCNNPredictor(mask_channels[-1], mask_channels[-1], boxes),
        **arguments,
    )
    heads = network.roi_heads
    for module in (network.rpn.head, heads.box_predictor, heads.mask_predictor):
        module.register_forward_hook(_widened)
    return network


def _backbone(structure: Structure) -> BackboneWithFPN:
    norm = nn.BatchNorm2d if structure.norm == "BN" else partial(FrozenBatchNorm2d, eps=structure.norm_eps)
    trunk = getattr(resnet, structure.trunk)(weights=None, norm_layer=norm)
    _freeze(trunk, structure.frozen_stages)
    last_channels = trunk.fc.in_features
    in_channels = [last_channels >> (len(_STAGES) - 1 - number) for number in range(len(_STAGES))]
    levels = {stage: str(number) for number, stage in enumerate(_STAGES)}
    fpn_norm = nn.BatchNorm2d if structure.fpn_norm else None
    return BackboneWithFPN(trunk, levels, in_channels, structure.fpn_channels, norm_layer=fpn_norm)


def _freeze(trunk: nn.Module, stages: int) -> None:
    """As Detectron2 counts: the stem is the first. torchvision's `trainable_layers` is 5 less that."""
    parts = [("conv1", "bn1"), *((stage,) for stage in _STAGES)][:stages]
    for name in (name for part in parts for name in part):
        getattr(trunk, name).requires_grad_(False)


def _box_head(structure: Structure, norm: type[nn.Module] | None) -> nn.Module:
    channels, bins = structure.fpn_channels, structure.box_pool.resolution
    if structure.v2:
        convs = [structure.box_conv_channels] * _BOX_CONVS
        return FastRCNNConvFCHead((channels, bins, bins), convs, [structure.box_fc_channels], norm_layer=norm)
    return TwoMLPHead(channels * bins**2, structure.box_fc_channels)


def _pooler(pool: Pool) -> MultiScaleRoIAlign:
    """torchvision tells the strides from the first image it meets, wrongly where that is small and padded by much."""
    levels = [str(number) for number in range(len(_STAGES))]
    pooler = MultiScaleRoIAlign(levels, pool.resolution, pool.samples)
    pooler.scales = [2.0**-power for power in _STRIDES_LOG2]
    pooler.map_levels = initLevelMapper(_STRIDES_LOG2[0], _STRIDES_LOG2[-1])
    return pooler


class _WideAnchors(AnchorGenerator):
    def set_cell_anchors(self, dtype: torch.dtype, device: torch.device) -> None:
        """`dtype` is that of the feature maps."""
        super().set_cell_anchors(torch.promote_types(dtype, torch.float32), device)


def _widened(module: nn.Module, inputs: Any, output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.to(torch.promote_types(output.dtype, torch.float32))
    return type(output)(_widened(module, inputs, part) for part in output)
