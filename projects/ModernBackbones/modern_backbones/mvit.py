"""MViTv2 (Li, Wu, Fan, Mangalam et al., CVPR 2022): a transformer whose stages pool positions, below an FPN."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN, MViT

from modern_backbones.options import require_valid_mvit
from modern_backbones.pyramid import LAYER_NORM, fpn, without_decay


@BACKBONE_REGISTRY.register()
def build_mvit_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Detectron2's modules, with stages of strides 4 to 32 as p2 to p5, and p6, pooled from p5."""
    require_valid_mvit(cfg)
    mvit = cfg.MODEL.MVIT
    bottom_up = MViT(
        img_size=mvit.IMG_SIZE,
        in_chans=input_shape.channels,
        embed_dim=mvit.EMBED_DIM,
        depth=mvit.DEPTH,
        num_heads=mvit.NUM_HEADS,
        last_block_indexes=tuple(mvit.LAST_BLOCKS),
        adaptive_kv_stride=mvit.KV_STRIDE,
        adaptive_window_size=mvit.WINDOW_SIZE,
        mlp_ratio=mvit.MLP_RATIO,
        drop_path_rate=mvit.DROP_PATH_RATE,
        norm_layer=LAYER_NORM,
        use_abs_pos=mvit.USE_ABS_POS,
        use_rel_pos=mvit.USE_REL_POS,
    )
    backbone = fpn(cfg, bottom_up, ["scale2", "scale3", "scale4", "scale5"])
    backbone.optimizer_options = without_decay("pos_embed", "rel_pos_h", "rel_pos_w")
    return backbone
