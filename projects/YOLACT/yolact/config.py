"""The config keys of YOLACT, with the values of the paper."""

from __future__ import annotations

from detectron2.config import CfgNode

MAPPER = "yolact"


def add_yolact_config(cfg: CfgNode) -> None:
    """Adds `MODEL.YOLACT`.

    The number of classes, the score threshold and the threshold of the suppression are those of `MODEL.ROI_HEADS`,
    where the tools set them for any model; anchors are those of `MODEL.ANCHOR_GENERATOR`.
    """
    # Detectron2's mapper leaves crowds out, so that they would be learnt as background.
    cfg.INPUT.DATASET_MAPPER_NAME = MAPPER
    cfg.MODEL.YOLACT = node = CfgNode()
    # Levels of the backbone with a prediction of each anchor; the largest is what the prototypes are made of.
    node.IN_FEATURES = ["p3", "p4", "p5", "p6", "p7"]
    node.NUM_PROTOTYPES = 32
    node.CONVS_DIM = 256  # channels within the prediction head and the protonet
    # An anchor whose best IoU with a truth is below the first is background, and from the second on that truth.
    node.IOU_THRESHOLDS = [0.4, 0.5]
    # Background of which more than this share lies in the box of a crowd is not learnt.
    node.CROWD_SHARE_THRESH = 0.7
    node.BOX_REG_WEIGHTS = [10.0, 10.0, 5.0, 5.0]  # 1 / the variances of SSD, 0.1 and 0.2
    node.NEGATIVES_PER_POSITIVE = 3
    node.MASKS_PER_IMAGE = 100  # at most so many anchors of an image learn masks in a step, which bounds the memory
    node.CLASS_WEIGHT = 1.0
    node.BOX_WEIGHT = 1.5
    node.MASK_WEIGHT = 6.125
    node.SEMANTIC_WEIGHT = 1.0
    node.TOPK_CANDIDATES_TEST = 200  # of each class, before the suppression
    node.MASK_THRESH = 0.5
