"""What the pyramids over transformers have in common: an FPN, its last level, and how such backbones are learnt."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.modeling import Backbone
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch import nn

from modern_backbones.options import require_square_pad

LAYER_NORM = functools.partial(nn.LayerNorm, eps=1e-6)


def fpn(cfg: CfgNode, bottom_up: Backbone, in_features: Sequence[str]) -> FPN:
    """Lateral convolutions over all stages and one level more, which is pooled from the last: p2 to p6."""
    require_square_pad(cfg)
    return FPN(
        bottom_up=bottom_up,
        in_features=list(in_features),
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=last_level("p5"),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
        square_pad=cfg.MODEL.FPN.SQUARE_PAD,
    )


def last_level(in_feature: str) -> LastLevelMaxPool:
    """Detectron2's, which takes p5 for granted."""
    top = LastLevelMaxPool()
    top.in_feature = in_feature
    return top


def without_decay(*names: str) -> dict[str, Any]:
    """For the optimiser: parameters of these names, tables of positions, have no weight decay."""
    return {"overrides": {name: {"weight_decay": 0.0} for name in names}}
