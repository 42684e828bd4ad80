"""From Detectron2's config keys to what torchvision's Mask R-CNN is made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detectron2.config import CfgNode

from thingstuff.data.class_count import require_class_count
from thingstuff.errors import ConfigError

LEVELS = 5  # feature maps with anchors: those of the four stages, and one that is pooled from the last
_NAME = re.compile(r"maskrcnn_(?P<trunk>resnet(?:18|34|50|101|152))_fpn(?P<v2>_v2)?")
_NORMS = ("FrozenBN", "BN")
_MOST_FROZEN = 5
_CHANNELS = ("RGB", "BGR")
_AS_COUNTED = "(neither the background nor unused ids of COCO count)"
# keys that have one meaning in torchvision
_ONLY = {
    "MASK_ON": True,
    "KEYPOINT_ON": False,
    "LOAD_PROPOSALS": False,
    "ANCHOR_GENERATOR.OFFSET": 0.0,
    "ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": False,
    "ROI_MASK_HEAD.CLS_AGNOSTIC_MASK": False,
}

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Pool:
    """How regions are cut out of feature maps: `resolution` x `resolution` bins of `samples` x `samples` each."""

    resolution: int
    samples: int


@dataclass(frozen=True)
class Structure:
    """The layers. `num_classes` does not count the background; `v2` is torchvision's second version, with more norms.

    `frozen_stages` are counted from the stem on; `anchor_sizes` in pixels and `aspect_ratios` have a row for each of
    the five levels.
    """

    trunk: str
    v2: bool
    num_classes: int
    norm: str
    norm_eps: float
    frozen_stages: int
    fpn_channels: int
    fpn_norm: bool
    anchor_sizes: Rows
    aspect_ratios: Rows
    box_pool: Pool
    box_conv_channels: int
    box_fc_channels: int
    mask_pool: Pool
    mask_channels: tuple[int, ...]

    @classmethod
    def from_config(cls, cfg: CfgNode) -> Structure:
        _refuse_what_torchvision_lacks(cfg)
        model, box, mask = cfg.MODEL, cfg.MODEL.ROI_BOX_HEAD, cfg.MODEL.ROI_MASK_HEAD
        trunk, v2 = parsed_name(model.TORCHVISION.NAME)
        anchors = model.ANCHOR_GENERATOR
        return cls(
            trunk=trunk,
            v2=v2,
            num_classes=require_class_count(cfg, (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST), note=_AS_COUNTED),
            norm=model.RESNETS.NORM,
            norm_eps=model.TORCHVISION.NORM_EPS,
            frozen_stages=model.BACKBONE.FREEZE_AT,
            fpn_channels=model.FPN.OUT_CHANNELS,
            fpn_norm=v2 or model.FPN.NORM == "BN",
            anchor_sizes=_rows("SIZES", anchors.SIZES),
            aspect_ratios=_rows("ASPECT_RATIOS", anchors.ASPECT_RATIOS),
            box_pool=Pool(box.POOLER_RESOLUTION, box.POOLER_SAMPLING_RATIO),
            box_conv_channels=box.CONV_DIM,
            box_fc_channels=box.FC_DIM,
            mask_pool=Pool(mask.POOLER_RESOLUTION, mask.POOLER_SAMPLING_RATIO),
            mask_channels=(mask.CONV_DIM,) * mask.NUM_CONV,
        )


def parsed_name(name: str) -> tuple[str, bool]:
    """`MODEL.TORCHVISION.NAME` -> the ResNet, and whether it is of the second version."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"MODEL.TORCHVISION.NAME is {name!r}, expected maskrcnn_resnet50_fpn or maskrcnn_resnet50_fpn_v2, "
            "or the same with resnet18, 34, 101 or 152"
        )
    return match["trunk"], match["v2"] is not None


def torchvision_arguments(cfg: CfgNode) -> dict[str, Any]:
    """The numbers of the config under the names that the constructor of torchvision's `MaskRCNN` has for them.

    Images are resized by the data loader; torchvision's transform is left to normalise them.
    """
    rpn, heads = cfg.MODEL.RPN, cfg.MODEL.ROI_HEADS
    mean, std = (rgb_of_one(values, cfg.INPUT.FORMAT) for values in (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD))
    return {
        "image_mean": mean,
        "image_std": std,
        "_skip_resize": True,
        "rpn_pre_nms_top_n_train": rpn.PRE_NMS_TOPK_TRAIN,
        "rpn_pre_nms_top_n_test": rpn.PRE_NMS_TOPK_TEST,
        "rpn_post_nms_top_n_train": rpn.POST_NMS_TOPK_TRAIN,
        "rpn_post_nms_top_n_test": rpn.POST_NMS_TOPK_TEST,
        "rpn_nms_thresh": rpn.NMS_THRESH,
        "rpn_bg_iou_thresh": rpn.IOU_THRESHOLDS[0],
        "rpn_fg_iou_thresh": rpn.IOU_THRESHOLDS[-1],
        "rpn_batch_size_per_image": rpn.BATCH_SIZE_PER_IMAGE,
        "rpn_positive_fraction": rpn.POSITIVE_FRACTION,
        "box_score_thresh": heads.SCORE_THRESH_TEST,
        "box_nms_thresh": heads.NMS_THRESH_TEST,
        "box_detections_per_img": cfg.TEST.DETECTIONS_PER_IMAGE,
        "box_bg_iou_thresh": heads.IOU_THRESHOLDS[0],
        "box_fg_iou_thresh": heads.IOU_THRESHOLDS[-1],
        "box_batch_size_per_image": heads.BATCH_SIZE_PER_IMAGE,
        "box_positive_fraction": heads.POSITIVE_FRACTION,
        "bbox_reg_weights": tuple(cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS),
    }


def rgb_of_one(values: Sequence[float], channels: str) -> list[float]:
    """Detectron2's mean or deviation, for numbers up to 255 in the order `channels` -> RGB, for numbers up to 1."""
    in_order = reversed(values) if channels == "BGR" else values
    return [value / 255 for value in in_order]


def _refuse_what_torchvision_lacks(cfg: CfgNode) -> None:
    for key, only in _ONLY.items():
        value = _value_at(cfg.MODEL, key)
        if value != only:
            raise ConfigError(f"MODEL.{key} is {value}, and torchvision's Mask R-CNN knows no other than {only}")
    if cfg.PANOPTIC.ENABLED and cfg.PANOPTIC.STUFF == "head":
        raise ConfigError(
            "PANOPTIC.STUFF head is a head on the features of Detectron2's model: convert the weights with convert.py, "
            "or take stuff from PANOPTIC.STUFF model or files"
        )
    if cfg.INPUT.FORMAT not in _CHANNELS:
        raise ConfigError(f"INPUT.FORMAT is {cfg.INPUT.FORMAT!r}, expected RGB or BGR")
    if cfg.MODEL.RESNETS.NORM not in _NORMS:
        raise ConfigError(f"MODEL.RESNETS.NORM is {cfg.MODEL.RESNETS.NORM!r}, expected one of {', '.join(_NORMS)}")
    if cfg.MODEL.FPN.NORM not in ("", "BN"):
        raise ConfigError(f"MODEL.FPN.NORM is {cfg.MODEL.FPN.NORM!r}, expected BN or nothing")
    if not 0 <= cfg.MODEL.BACKBONE.FREEZE_AT <= _MOST_FROZEN:
        raise ConfigError(f"MODEL.BACKBONE.FREEZE_AT is {cfg.MODEL.BACKBONE.FREEZE_AT}, expected 0 to {_MOST_FROZEN}")
    if cfg.MODEL.ROI_MASK_HEAD.NUM_CONV < 1:
        raise ConfigError("MODEL.ROI_MASK_HEAD.NUM_CONV is 0, expected 1 or more: torchvision has 4")


def _value_at(node: CfgNode, key: str) -> Any:
    for part in key.split("."):
        node = node[part]
    return node


def _rows(key: str, values: Sequence[Any]) -> Rows:
    """Detectron2 takes a list for all levels, alone or in a list, or a list of lists, one a level."""
    rows = values if isinstance(values[0], list | tuple) else [values]
    rows = rows * LEVELS if len(rows) == 1 else rows
    if len(rows) != LEVELS or len({len(row) for row in rows}) != 1:
        raise ConfigError(
            f"MODEL.ANCHOR_GENERATOR.{key} is {values}, expected as many numbers for each of {LEVELS} levels"
        )
    return tuple(tuple(row) for row in rows)
