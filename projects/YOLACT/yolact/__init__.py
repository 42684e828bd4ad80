"""YOLACT: instance masks as combinations of prototypes of the whole image (Bolya et al., ICCV 2019)."""

from yolact.backbone import build_yolact_resnet_fpn_backbone
from yolact.config import add_yolact_config
from yolact.mapper import CrowdMapper
from yolact.model import YOLACT

__all__ = ["YOLACT", "CrowdMapper", "add_yolact_config", "build_yolact_resnet_fpn_backbone"]
