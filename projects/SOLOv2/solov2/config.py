"""The config keys of SOLOv2. The defaults are the paper's for COCO."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_solov2_config(cfg: CfgNode) -> None:
    """Add `MODEL.SOLOV2`.

    What the toolkit's tools set for any instance model is read where they set it: MODEL.ROI_HEADS.NUM_CLASSES,
    MODEL.ROI_HEADS.SCORE_THRESH_TEST (of the scores after Matrix NMS) and TEST.DETECTIONS_PER_IMAGE.
    """
    node = CfgNode()
    _add_grid_config(node)
    # The unified mask features, from the finest level to the coarsest, each of twice the stride of the one before.
    node.MASK_IN_FEATURES = ["p2", "p3", "p4", "p5"]
    node.MASK_CONV_DIM = 128
    node.MASK_DIM = 256  # channels of the mask features, and so weights of a dynamic 1 x 1 kernel
    _add_loss_config(node)
    _add_inference_config(node)
    cfg.MODEL.SOLOV2 = node


def _add_grid_config(node: CfgNode) -> None:
    # One entry a level: the feature, the stride to which it is resized, the cells on a side of its grid, and which
    # objects it learns, by the square root of the area of their boxes in pixels.
    node.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    node.STRIDES = [8, 8, 16, 32, 32]
    node.GRIDS = [40, 36, 24, 16, 12]
    node.SCALE_RANGES = [[1, 96], [48, 192], [96, 384], [192, 768], [384, 2048]]
    # The part of an object's box, around its centre of mass, whose cells are positive.
    node.CENTER_SHARE = 0.2
    # The category and the kernel branch.
    node.NUM_CONVS = 4
    node.CONV_DIM = 512
    node.NORM = "GN"  # of the mask branch, too
    node.PRIOR_PROB = 0.01  # of every class in every cell, before anything is learnt


def _add_loss_config(node: CfgNode) -> None:
    node.FOCAL_ALPHA = 0.25
    node.FOCAL_GAMMA = 2.0
    node.CATEGORY_WEIGHT = 1.0
    node.MASK_WEIGHT = 3.0


def _add_inference_config(node: CfgNode) -> None:
    node.CATEGORY_THRESH = 0.1  # a cell with a lower score of a class is no candidate for it
    node.MASK_THRESH = 0.5
    node.PRE_NMS_TOPK = 500
    # Matrix NMS: "gaussian", exp(-NMS_SIGMA * IoU^2), or "linear", 1 - IoU. The paper divides by a sigma of 0.5.
    node.NMS_KERNEL = "gaussian"
    node.NMS_SIGMA = 2.0
