"""The config keys of the transformers and of FCOS, with the papers' values for ViT-B, MViTv2-T, Swin-T and FCOS."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_modern_backbones_config(cfg: CfgNode) -> None:
    """Adds `MODEL.VIT`, `MODEL.MVIT`, `MODEL.SWIN`, `MODEL.FCOS` and `MODEL.FPN.SQUARE_PAD`.

    The channels and norms of all pyramids are those of `MODEL.FPN`. No stage is frozen: `MODEL.BACKBONE.FREEZE_AT` is
    for ResNets.
    """
    # Images are padded to a square of so many pixels, where they are no larger. 0: only to a multiple of the strides.
    cfg.MODEL.FPN.SQUARE_PAD = 0
    cfg.MODEL.VIT = _vit()
    cfg.MODEL.MVIT = _mvit()
    cfg.MODEL.SWIN = _swin()
    cfg.MODEL.FCOS = _fcos()


def _vit() -> CfgNode:
    node = CfgNode()
    # Square images of this size have the position embeddings as they are stored; for others they are interpolated.
    node.IMG_SIZE = 1024
    node.PATCH_SIZE = 16
    node.EMBED_DIM = 768
    node.DEPTH = 12
    node.NUM_HEADS = 12
    node.MLP_RATIO = 4.0
    node.DROP_PATH_RATE = 0.1
    # Attention reaches this many patches; in GLOBAL_BLOCKS, counted from 0, it reaches all. 0: in every block.
    node.WINDOW_SIZE = 14
    node.GLOBAL_BLOCKS = [2, 5, 8, 11]
    # Blocks that are followed by a residual block of convolutions, the paper's other way across windows.
    node.RESIDUAL_BLOCKS = []
    node.USE_ABS_POS = True
    node.USE_REL_POS = True
    # Of the absolute position embedding: the size of the images it was learnt for, and whether a class token has one.
    node.PRETRAIN_IMG_SIZE = 224
    node.PRETRAIN_USE_CLS_TOKEN = True
    # The levels of the pyramid: sizes as multiples of that of the patches, 4.0 to 0.5.
    node.SCALE_FACTORS = [4.0, 2.0, 1.0, 0.5]
    # With SOLVER.OPTIMIZER ADAMW or ADAM the rate of a block is that of the next one times this. 1.0: all the same.
    node.LAYER_DECAY = 0.7
    return node


def _mvit() -> CfgNode:
    node = CfgNode()
    node.IMG_SIZE = 224  # for which relative positions are stored
    node.EMBED_DIM = 96
    node.DEPTH = 10
    node.NUM_HEADS = 1  # of the first stage; each of the next has twice as many, and as many channels
    node.LAST_BLOCKS = [0, 2, 7, 9]  # of the four stages, counted from 0
    node.MLP_RATIO = 4.0
    node.DROP_PATH_RATE = 0.2
    # In the first stage keys and values are pooled by this stride, which halves from stage to stage.
    node.KV_STRIDE = 4
    # Attention reaches this many positions in the first stage, half of it in the second, ...; all in last blocks.
    node.WINDOW_SIZE = 56
    node.USE_ABS_POS = False
    node.USE_REL_POS = True
    return node


def _swin() -> CfgNode:
    node = CfgNode()
    node.EMBED_DIM = 96
    node.DEPTHS = [2, 2, 6, 2]
    node.NUM_HEADS = [3, 6, 12, 24]
    node.WINDOW_SIZE = 7
    node.MLP_RATIO = 4.0
    node.DROP_PATH_RATE = 0.2
    node.USE_ABS_POS = False
    node.PRETRAIN_IMG_SIZE = 224  # of the absolute position embedding
    return node


def _fcos() -> CfgNode:
    """Classes, score threshold, NMS threshold: `MODEL.ROI_HEADS`; detections: `TEST.DETECTIONS_PER_IMAGE`."""
    node = CfgNode()
    node.IN_FEATURES = ["p3", "p4", "p5", "p6", "p7"]
    node.NUM_CONVS = 4
    node.NORM = "GN"
    node.PRIOR_PROB = 0.01
    # A point learns an object if it lies within this many strides of its centre, and in its box.
    node.CENTER_SAMPLING_RADIUS = 1.5
    node.FOCAL_LOSS_ALPHA = 0.25
    node.FOCAL_LOSS_GAMMA = 2.0
    node.TOPK_CANDIDATES_TEST = 1000  # of each level, before suppression
    return node
