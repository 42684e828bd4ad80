"""The augmentations of one image alone that a config asks for: Detectron2's, with jitter or a limit of pixels."""

from __future__ import annotations

import logging
import math

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import transforms as T

from thingstuff.data.augment.max_pixels import MaxPixels
from thingstuff.errors import ConfigError

_log = logging.getLogger(__name__)


def with_jitter_and_limit(stock: list[T.Augmentation], cfg: CfgNode, padding_label: int) -> list[T.Augmentation]:
    """Detectron2's augmentations of a config with `INPUT.JITTER`, which replaces resize and crop, and `MAX_PIXELS`.

    `padding_label` is what label maps get beyond the edge of an image. Without these two keys it is the list itself.
    """
    if cfg.INPUT.JITTER.ENABLED:
        return [*_jitter(cfg, padding_label), *(a for a in stock if isinstance(a, T.RandomFlip))]
    if cfg.INPUT.MAX_PIXELS <= 0:
        return stock
    return [MaxPixels(a, cfg.INPUT.MAX_PIXELS) if isinstance(a, T.ResizeShortestEdge) else a for a in stock]


class JitterScale(T.ResizeScale):
    """Detectron2's, but a very long image keeps one pixel of its short side where that would be rounded to none."""

    def get_transform(self, image: np.ndarray) -> T.Transform:
        t = super().get_transform(image)
        return T.ResizeTransform(t.h, t.w, max(t.new_h, 1), max(t.new_w, 1), t.interp)


def _jitter(cfg: CfgNode, padding_label: int) -> list[T.Augmentation]:
    """Large-scale jitter as in Ghiasi et al., "Simple Copy-Paste", 2021, and in Detectron2's LSJ recipes."""
    node = cfg.INPUT.JITTER
    if node.SIZE < 1:
        raise ConfigError(f"INPUT.JITTER.SIZE is {node.SIZE}, expected a number of pixels")
    if not 0 < node.MIN_SCALE <= node.MAX_SCALE < math.inf:
        raise ConfigError(
            f"INPUT.JITTER has MIN_SCALE {node.MIN_SCALE} and MAX_SCALE {node.MAX_SCALE}, "
            "expected two numbers above 0, the smaller one first"
        )
    side = _side_px(node.SIZE, cfg.INPUT.MAX_PIXELS)
    scale = JitterScale(node.MIN_SCALE, node.MAX_SCALE, side, side)
    return [scale, T.FixedSizeCrop((side, side), seg_pad_value=padding_label)]


def _side_px(wanted_px: int, max_pixels: int) -> int:
    if max_pixels <= 0 or wanted_px**2 <= max_pixels:
        return wanted_px
    side = math.isqrt(max_pixels)
    _log.info("INPUT.JITTER.SIZE: %d instead of %d pixels, for INPUT.MAX_PIXELS %d", side, wanted_px, max_pixels)
    return side
