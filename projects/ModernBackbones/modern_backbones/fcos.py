"""FCOS (Tian, Shen, Chen and He, ICCV 2019; TPAMI 2020): boxes from points, without anchors and proposals."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY, build_backbone
from detectron2.modeling.backbone import FPN, build_resnet_backbone
from detectron2.modeling.backbone.fpn import LastLevelP6P7
from detectron2.modeling.meta_arch.fcos import FCOS as DETECTRON2_FCOS
from detectron2.modeling.meta_arch.fcos import FCOSHead

from modern_backbones.options import require_valid_fcos


@META_ARCH_REGISTRY.register()
class FCOS(DETECTRON2_FCOS):
    """Detectron2's, which only Python configs reach, built from `MODEL.FCOS`. It finds boxes and no masks.

    As there, regression is in strides of the level without a learnt scale, and a score is the square root of class
    score times centredness.
    """

    @configurable
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        backbone = build_backbone(cfg)
        require_valid_fcos(cfg, backbone.output_shape())
        node, heads = cfg.MODEL.FCOS, cfg.MODEL.ROI_HEADS
        levels = [backbone.output_shape()[name] for name in node.IN_FEATURES]
        return {
            "backbone": backbone,
            "head": FCOSHead(
                input_shape=levels,
                num_classes=heads.NUM_CLASSES,
                conv_dims=[levels[0].channels] * node.NUM_CONVS,
                norm=node.NORM,
                prior_prob=node.PRIOR_PROB,
            ),
            "head_in_features": list(node.IN_FEATURES),
            "num_classes": heads.NUM_CLASSES,
            "center_sampling_radius": node.CENTER_SAMPLING_RADIUS,
            "focal_loss_alpha": node.FOCAL_LOSS_ALPHA,
            "focal_loss_gamma": node.FOCAL_LOSS_GAMMA,
            "test_score_thresh": heads.SCORE_THRESH_TEST,
            "test_topk_candidates": node.TOPK_CANDIDATES_TEST,
            "test_nms_thresh": heads.NMS_THRESH_TEST,
            "max_detections_per_image": cfg.TEST.DETECTIONS_PER_IMAGE,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }


@BACKBONE_REGISTRY.register()
def build_fcos_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """p3 to p5 from a ResNet, p6 and p7 from p5; in RetinaNet's, of Detectron2, p6 comes from res5."""
    channels = cfg.MODEL.FPN.OUT_CHANNELS
    return FPN(
        bottom_up=build_resnet_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=channels,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelP6P7(channels, channels, in_feature="p5"),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
        square_pad=cfg.MODEL.FPN.SQUARE_PAD,
    )
