"""The config keys of the project that Detectron2 has no key for."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_yoloseg_config(cfg: CfgNode) -> None:
    """Adds `MODEL.YOLOSEG`; classes and thresholds are those of `MODEL.ROI_HEADS`, as for any model."""
    cfg.MODEL.YOLOSEG = node = CfgNode()
    # An architecture that ultralytics ships: yolov8 or yolo11, a size n, s, m, l or x, and -seg.
    node.NAME = "yolo11n-seg.yaml"
    # Whether a box may be found under several classes. ultralytics predicts without that, and measures its AP with it.
    node.MULTI_LABEL_TEST = False
    # The factors of the losses, ultralytics' own; that of boxes is that of masks too.
    node.BOX_WEIGHT = 7.5
    node.CLS_WEIGHT = 0.5
    node.DFL_WEIGHT = 1.5
