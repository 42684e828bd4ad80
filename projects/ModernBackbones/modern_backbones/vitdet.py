"""ViTDet (Li, Mao, Girshick and He, ECCV 2022): a plain vision transformer with a simple feature pyramid."""

from __future__ import annotations

import functools
import math

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import SimpleFeaturePyramid, ViT, get_vit_lr_decay_rate

from modern_backbones.options import require_square_pad, require_valid_vit
from modern_backbones.pyramid import LAYER_NORM, last_level, without_decay


class PaddedPyramid(SimpleFeaturePyramid):
    """Detectron2's does not say what image sizes must be multiples of, and would lose the last pixels of others."""

    @property
    def size_divisibility(self) -> int:
        return self._size_divisibility


@BACKBONE_REGISTRY.register()
def build_vitdet_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> PaddedPyramid:
    """Detectron2's modules under the names that its own ViTDet recipes give them, so that their weights fit.

    Levels are called by their strides: with patches of 16 and the paper's scales p2 to p5, and p6, pooled from p5.
    """
    require_valid_vit(cfg)
    require_square_pad(cfg)
    vit = cfg.MODEL.VIT
    strides = [round(vit.PATCH_SIZE / scale) for scale in vit.SCALE_FACTORS]
    backbone = PaddedPyramid(
        net=_build_vit(vit, input_shape.channels),
        in_feature="last_feat",
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        scale_factors=[float(scale) for scale in vit.SCALE_FACTORS],
        top_block=last_level(f"p{int(math.log2(strides[-1]))}"),
        norm=cfg.MODEL.FPN.NORM,
        square_pad=cfg.MODEL.FPN.SQUARE_PAD,
    )
    rates = functools.partial(get_vit_lr_decay_rate, lr_decay_rate=vit.LAYER_DECAY, num_layers=vit.DEPTH)
    backbone.optimizer_options = {**without_decay("pos_embed"), "lr_factor_func": rates}
    return backbone


def _build_vit(vit: CfgNode, channels: int) -> ViT:
    return ViT(
        img_size=vit.IMG_SIZE,
        patch_size=vit.PATCH_SIZE,
        in_chans=channels,
        embed_dim=vit.EMBED_DIM,
        depth=vit.DEPTH,
        num_heads=vit.NUM_HEADS,
        mlp_ratio=vit.MLP_RATIO,
        drop_path_rate=vit.DROP_PATH_RATE,
        norm_layer=LAYER_NORM,
        use_abs_pos=vit.USE_ABS_POS,
        use_rel_pos=vit.USE_REL_POS,
        window_size=vit.WINDOW_SIZE,
        window_block_indexes=[i for i in range(vit.DEPTH) if i not in vit.GLOBAL_BLOCKS],
        residual_block_indexes=list(vit.RESIDUAL_BLOCKS),
        pretrain_img_size=vit.PRETRAIN_IMG_SIZE,
        pretrain_use_cls_token=vit.PRETRAIN_USE_CLS_TOKEN,
        out_feature="last_feat",
    )
