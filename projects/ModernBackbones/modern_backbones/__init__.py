"""Detectron2's transformers and its anchor-free detector for YAML configs: ViTDet, MViTv2, Swin and FCOS."""

from modern_backbones.config import add_modern_backbones_config
from modern_backbones.fcos import FCOS, build_fcos_resnet_fpn_backbone
from modern_backbones.mvit import build_mvit_fpn_backbone
from modern_backbones.swin import build_swin_fpn_backbone
from modern_backbones.vitdet import build_vitdet_backbone

__all__ = [
    "FCOS",
    "add_modern_backbones_config",
    "build_fcos_resnet_fpn_backbone",
    "build_mvit_fpn_backbone",
    "build_swin_fpn_backbone",
    "build_vitdet_backbone",
]
