"""Swin (Liu et al., ICCV 2021): attention in windows that shift from block to block, below an FPN."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN, SwinTransformer

from modern_backbones.options import require_valid_swin
from modern_backbones.pyramid import fpn, without_decay


@BACKBONE_REGISTRY.register()
def build_swin_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Detectron2's modules, with stages of strides 4 to 32 as p2 to p5, and p6, pooled from p5.

    Detectron2 names the stages p0 to p3, before the pyramid renames them.
    """
    require_valid_swin(cfg)
    swin = cfg.MODEL.SWIN
    bottom_up = SwinTransformer(
        pretrain_img_size=swin.PRETRAIN_IMG_SIZE,
        in_chans=input_shape.channels,
        embed_dim=swin.EMBED_DIM,
        depths=tuple(swin.DEPTHS),
        num_heads=tuple(swin.NUM_HEADS),
        window_size=swin.WINDOW_SIZE,
        mlp_ratio=swin.MLP_RATIO,
        drop_path_rate=swin.DROP_PATH_RATE,
        ape=swin.USE_ABS_POS,
    )
    backbone = fpn(cfg, bottom_up, ["p0", "p1", "p2", "p3"])
    backbone.optimizer_options = without_decay("absolute_pos_embed", "relative_position_bias_table")
    return backbone
