"""What of a config YOLACT cannot be built from, in one line."""

from __future__ import annotations

from collections.abc import Mapping

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec

from thingstuff.errors import ConfigError

_AT_LEAST_ONE = ("NUM_PROTOTYPES", "CONVS_DIM", "NEGATIVES_PER_POSITIVE", "MASKS_PER_IMAGE", "TOPK_CANDIDATES_TEST")


def require_valid(cfg: CfgNode, levels: Mapping[str, ShapeSpec]) -> None:
    """ConfigError for a value that would fail, or learn nonsense, later; `levels` are those of the backbone."""
    node = cfg.MODEL.YOLACT
    if not cfg.MODEL.MASK_ON:
        raise ConfigError("YOLACT learns masks: set MODEL.MASK_ON True")
    for key in _AT_LEAST_ONE:
        if node[key] < 1:
            raise ConfigError(f"MODEL.YOLACT.{key} is {node[key]}, expected 1 or more")
    if cfg.MODEL.ROI_HEADS.NUM_CLASSES < 1:
        raise ConfigError(f"MODEL.ROI_HEADS.NUM_CLASSES is {cfg.MODEL.ROI_HEADS.NUM_CLASSES}, expected 1 or more")
    _require_thresholds(list(node.IOU_THRESHOLDS))
    if len(node.BOX_REG_WEIGHTS) != 4 or min(node.BOX_REG_WEIGHTS) <= 0:
        raise ConfigError(f"MODEL.YOLACT.BOX_REG_WEIGHTS is {node.BOX_REG_WEIGHTS}, expected 4 numbers above 0")
    _require_levels(list(node.IN_FEATURES), levels)
    _require_anchors(cfg, len(node.IN_FEATURES))


def _require_thresholds(thresholds: list[float]) -> None:
    if len(thresholds) != 2 or not 0 < thresholds[0] <= thresholds[1] <= 1:
        raise ConfigError(
            f"MODEL.YOLACT.IOU_THRESHOLDS is {thresholds}, expected two IoUs: background below the first, an object "
            "from the second on"
        )


def _require_levels(names: list[str], levels: Mapping[str, ShapeSpec]) -> None:
    unknown = [name for name in names if name not in levels]
    if unknown or not names:
        wrong = unknown[0] if unknown else "empty"
        raise ConfigError(f"MODEL.YOLACT.IN_FEATURES: {wrong}, the backbone has {', '.join(levels)}")
    strides = [levels[name].stride for name in names]
    if strides != sorted(strides):
        raise ConfigError(f"MODEL.YOLACT.IN_FEATURES is {names}, expected the largest level first")
    if len({levels[name].channels for name in names}) > 1:
        raise ConfigError("MODEL.YOLACT.IN_FEATURES: one head serves all levels, which must have the same channels")


def _require_anchors(cfg: CfgNode, levels: int) -> None:
    """One head serves all levels: each has as many anchors as the others."""
    node = cfg.MODEL.ANCHOR_GENERATOR
    for key in ("SIZES", "ASPECT_RATIOS"):
        counts = {len(of_level) for of_level in node[key]}
        if len(counts) != 1 or len(node[key]) not in (1, levels):
            raise ConfigError(
                f"MODEL.ANCHOR_GENERATOR.{key} is {node[key]}, expected as many for each of the {levels} levels"
            )
