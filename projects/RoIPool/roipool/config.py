"""The config key that Detectron2 has not: how large a mask the head gives."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_roipool_config(cfg: CfgNode) -> None:
    # The side of the masks of `SizedMaskHead`: ROI_MASK_HEAD.POOLER_RESOLUTION times 1, 2, 4, ...
    cfg.MODEL.ROI_MASK_HEAD.OUTPUT_SIZE = 28
