"""The config keys of torchvision's Mask R-CNN that Detectron2 has no key for."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_torchvision_config(cfg: CfgNode) -> None:
    """Adds `MODEL.TORCHVISION`; everything else is said by Detectron2's own keys."""
    cfg.MODEL.TORCHVISION = node = CfgNode()
    # torchvision's function that is meant, or one named alike with another ResNet: maskrcnn_resnet18_fpn.
    node.NAME = "maskrcnn_resnet50_fpn"
    # Weights to begin with while MODEL.WEIGHTS is empty: "DEFAULT", torchvision's of COCO, or "", random ones.
    node.WEIGHTS = ""
    # What frozen norms of the backbone add to the variance. The published weights of maskrcnn_resnet50_fpn want 0.
    node.NORM_EPS = 1e-5
