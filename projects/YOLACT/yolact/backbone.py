"""The feature pyramid of the paper: P3 to P5, and two more levels that come from P5."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN, build_resnet_backbone
from detectron2.modeling.backbone.fpn import LastLevelP6P7


@BACKBONE_REGISTRY.register()
def build_yolact_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """As Detectron2's `build_retinanet_resnet_fpn_backbone`, whose P6 comes from C5 instead."""
    bottom_up = build_resnet_backbone(cfg, input_shape)
    last = f"p{max(int(name.removeprefix('res')) for name in cfg.MODEL.FPN.IN_FEATURES)}"
    channels = cfg.MODEL.FPN.OUT_CHANNELS
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=channels,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelP6P7(channels, channels, in_feature=last),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
