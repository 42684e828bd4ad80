"""The levels of the pyramid as SOLO uses them: each has a grid, and objects of some sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec

from thingstuff.errors import ConfigError


@dataclass(frozen=True)
class Level:
    """`feature` is resized to `stride`, then to `grid` x `grid` cells.

    It learns the objects whose scale, the square root of their box's area, is from `min_scale_px` to `max_scale_px`.
    """

    feature: str
    stride: int
    grid: int
    min_scale_px: float
    max_scale_px: float

    def __post_init__(self) -> None:
        if self.stride < 1 or self.grid < 1:
            raise ConfigError(
                f"MODEL.SOLOV2: level {self.feature} has stride {self.stride} and grid {self.grid}: each is 1 or more"
            )
        if not 0 <= self.min_scale_px < self.max_scale_px:
            raise ConfigError(
                f"MODEL.SOLOV2.SCALE_RANGES: level {self.feature} has {self.min_scale_px} to {self.max_scale_px}, "
                "expected a smaller and a larger number of pixels"
            )


def levels_from_config(cfg: CfgNode) -> tuple[Level, ...]:
    """The levels of `MODEL.SOLOV2`, from the finest to the coarsest as the config lists them."""
    node = cfg.MODEL.SOLOV2
    counts = {key: len(node[key]) for key in ("IN_FEATURES", "STRIDES", "GRIDS", "SCALE_RANGES")}
    if len(set(counts.values())) != 1 or not node.IN_FEATURES:
        found = ", ".join(f"{count} {key}" for key, count in counts.items())
        raise ConfigError(f"MODEL.SOLOV2 has {found}: expected one entry of each for every level")
    if any(len(pair) != 2 for pair in node.SCALE_RANGES):
        raise ConfigError(f"MODEL.SOLOV2.SCALE_RANGES is {node.SCALE_RANGES}, expected pairs such as [1, 96]")
    rows = zip(node.IN_FEATURES, node.STRIDES, node.GRIDS, node.SCALE_RANGES, strict=True)
    return tuple(Level(feature, stride, grid, *scales) for feature, stride, grid, scales in rows)


def require_features(names: list[str], key: str, shapes: Mapping[str, ShapeSpec]) -> list[ShapeSpec]:
    """The shapes of the features that `MODEL.SOLOV2.KEY` names; ConfigError for one that the backbone does not give."""
    for name in names:
        if name not in shapes:
            raise ConfigError(f"MODEL.SOLOV2.{key}: the backbone has no feature {name}, it has {', '.join(shapes)}")
    return [shapes[name] for name in names]
