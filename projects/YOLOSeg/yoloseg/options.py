"""What of a config no model can be built from, in one line."""

from __future__ import annotations

from detectron2.config import CfgNode

from thingstuff.data.class_count import require_class_count
from thingstuff.errors import ConfigError
from yoloseg.network import parse_name

_CHANNELS = ("RGB", "BGR")


def require_valid(cfg: CfgNode) -> None:
    """ConfigError for a value that would fail, or predict nonsense, later."""
    parse_name(cfg.MODEL.YOLOSEG.NAME)
    if not cfg.MODEL.MASK_ON:
        raise ConfigError("YOLOSeg finds masks: set MODEL.MASK_ON True")
    if cfg.INPUT.FORMAT not in _CHANNELS:
        raise ConfigError(f"INPUT.FORMAT is {cfg.INPUT.FORMAT!r}, expected RGB or BGR")
    if cfg.TEST.DETECTIONS_PER_IMAGE < 1:
        raise ConfigError(f"TEST.DETECTIONS_PER_IMAGE is {cfg.TEST.DETECTIONS_PER_IMAGE}, expected 1 or more")
    for key in ("SCORE_THRESH_TEST", "NMS_THRESH_TEST"):
        if not 0 <= cfg.MODEL.ROI_HEADS[key] <= 1:
            raise ConfigError(f"MODEL.ROI_HEADS.{key} is {cfg.MODEL.ROI_HEADS[key]}, expected a number from 0 to 1")
    for key in ("BOX_WEIGHT", "CLS_WEIGHT", "DFL_WEIGHT"):
        if not cfg.MODEL.YOLOSEG[key] >= 0:
            raise ConfigError(f"MODEL.YOLOSEG.{key} is {cfg.MODEL.YOLOSEG[key]}, expected 0 or more")
    require_class_count(cfg, (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST))
