"""Anchors for a data set: sizes and aspect ratios that overlap its boxes best on the grids of the model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.structures import BoxMode

from thingstuff.errors import ConfigError

LEAST_GAIN = 0.01  # of the mean best IoU; for less the recipe's anchors stay, which trained weights know
SMALLEST_PX = 4.0
_MOST_BOXES = 100_000
_SEARCH_BOXES = 10_000
_MOST_RATIOS = 3
_APART = 1.05  # neighbouring sizes, and ratios, differ by this factor at least
_STEPS = (2**0.5, 2**0.25, 2**0.125, 2**0.0625)
_MOST_ROUNDS = 10
_LEAST_MOVE = 0.0003  # of the mean best IoU: what hardly matters stays as the recipe has it

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Anchors:
    """`sizes` in pixels of the resized image, a row a level; `aspect_ratios` (height / width), one row or one a level.

    `mean_iou` is the mean over boxes of the IoU with the anchor that fits best, `recipe_mean_iou` the same with the
    anchors of the recipe.
    """

    sizes: Rows
    aspect_ratios: Rows
    mean_iou: float
    recipe_mean_iou: float
    boxes: int

    @property
    def is_of_recipe(self) -> bool:
        return self.mean_iou == self.recipe_mean_iou


def anchors_from_data(records: Sequence[Mapping[str, Any]], cfg: CfgNode) -> Anchors:
    """Anchors for the boxes of Detectron2's dictionaries, at their size after the resizing of training.

    The numbers of levels, of sizes a level and of ratios are the recipe's, so that trained weights fit; where a level
    has several sizes, as RetinaNet's three an octave, they keep their proportions. Unlike with clusters of boxes alone,
    the overlap counts where the anchors stand: a level of stride 64 meets few small boxes. Of many boxes a sample is
    used, the same each time. Crowds, boxes without area or with other than finite numbers, rotated ones, and those of
    images whose size the record does not say do not count.
    """
    start = _recipe_shape(cfg)
    boxes = _resized_boxes(records, cfg)
    found = _search(boxes.sample(_SEARCH_BOXES), start, highest_px=2 * float(boxes.images_wh.max()))
    before, after = (float(best_ious(boxes, shape).mean()) for shape in (start, found))
    if after < before + LEAST_GAIN:
        found, after = start, before
    return Anchors(found.sizes, found.aspect_ratios, after, before, len(boxes.centers))


def apply_anchors(cfg: CfgNode, anchors: Anchors) -> str:
    """Put them into the config, in place, and return the line for the log.

    FROM_DATA is turned off with it, so that a config that was saved holds these anchors and no others.
    """
    node = cfg.MODEL.ANCHOR_GENERATOR
    node.FROM_DATA = False
    before, count = f"{anchors.recipe_mean_iou:.3f}", anchors.boxes
    if anchors.is_of_recipe:
        return f"anchors stay the recipe's: the best for a box overlaps it by {before} on average of {count}"
    node.SIZES = [list(row) for row in anchors.sizes]
    node.ASPECT_RATIOS = [list(row) for row in anchors.aspect_ratios]
    return (
        f"anchors from {count} boxes: sizes {_words(anchors.sizes)}, ratios {_words(anchors.aspect_ratios)}; "
        f"the best for a box overlaps it by {anchors.mean_iou:.3f} on average, the recipe's by {before}"
    )


def _words(rows: Rows) -> str:
    return " | ".join(" ".join(f"{value:g}" for value in row) for row in rows)


# ---- the model's side --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AnchorShape:
    """What the config says of anchors: `strides_px` a level, sizes a level, ratios, and the grids' offset."""

    strides_px: tuple[int, ...]
    sizes: Rows
    aspect_ratios: Rows
    offset: float

    def of_levels(self) -> Iterator[tuple[int, np.ndarray]]:
        """Stride and anchors (A x 2 float32: width, height) of each level."""
        ratios = self.aspect_ratios * (len(self.sizes) if len(self.aspect_ratios) == 1 else 1)
        for stride, sizes, own in zip(self.strides_px, self.sizes, ratios, strict=True):
            wh = [(size / math.sqrt(ratio), size * math.sqrt(ratio)) for size in sizes for ratio in own]
            yield stride, np.array(wh, np.float32)


def _recipe_shape(cfg: CfgNode) -> AnchorShape:
    node, model = cfg.MODEL.ANCHOR_GENERATOR, cfg.MODEL
    is_rpn = model.META_ARCHITECTURE != "RetinaNet" and model.PROPOSAL_GENERATOR.NAME == "RPN"
    has_anchors = model.META_ARCHITECTURE in ("GeneralizedRCNN", "PanopticFPN", "ProposalNetwork") and is_rpn
    if not (has_anchors or model.META_ARCHITECTURE == "RetinaNet") or node.NAME != "DefaultAnchorGenerator":
        raise ConfigError("MODEL.ANCHOR_GENERATOR.FROM_DATA needs a model with an RPN, or a RetinaNet: set it to False")
    features = model.RPN.IN_FEATURES if is_rpn else model.RETINANET.IN_FEATURES
    sizes = _rows(node.SIZES)
    return AnchorShape(
        strides_px=tuple(_stride(name, cfg) for name in features),
        sizes=sizes * len(features) if len(sizes) == 1 else sizes,
        aspect_ratios=_rows(node.ASPECT_RATIOS),
        offset=float(node.OFFSET),
    )


def _rows(values: Sequence[Any]) -> Rows:
    """Detectron2 takes a list for all levels, alone or in a list, or a list of lists, one a level."""
    rows = values if isinstance(values[0], list | tuple) else [values]
    return tuple(tuple(float(value) for value in row) for row in rows)


def _stride(feature: str, cfg: CfgNode) -> int:
    number = re.search(r"\d+$", feature)
    if number is None:
        raise ConfigError(f"MODEL.ANCHOR_GENERATOR.FROM_DATA cannot tell the stride of {feature}: set it to False")
    is_dilated = feature == "res5" and cfg.MODEL.RESNETS.RES5_DILATION == 2
    return 2 ** (int(number.group()) - is_dilated)


# ---- the boxes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ResizedBoxes:
    """N boxes as the model meets them, in pixels, N x 2 float32 each: x then y, width then height."""

    centers: np.ndarray
    wh: np.ndarray
    images_wh: np.ndarray

    def sample(self, most: int) -> ResizedBoxes:
        """At most `most` of them, spread evenly over all."""
        chosen = np.linspace(0, len(self.wh) - 1, min(most, len(self.wh))).astype(int)
        return ResizedBoxes(self.centers[chosen], self.wh[chosen], self.images_wh[chosen])


def _resized_boxes(records: Sequence[Mapping[str, Any]], cfg: CfgNode) -> ResizedBoxes:
    rng = np.random.default_rng(0)
    rows: list[tuple[float, ...]] = []
    for index in rng.permutation(len(records)):
        if len(rows) >= _MOST_BOXES:
            break
        width, height = records[index].get("width") or 0, records[index].get("height") or 0
        if width > 0 and height > 0:
            scale = _scale(width, height, cfg, rng)
            rows += [(*box, width, height, scale) for box in _boxes_xyxy(records[index])]
    table = np.array(rows[:_MOST_BOXES], np.float64).reshape(-1, 7)
    table = table[np.isfinite(table).all(axis=1)]
    images_wh, scale = table[:, 4:6], table[:, 6:]
    low, high = (np.clip(corner, 0, images_wh) for corner in (table[:, :2], table[:, 2:4]))
    has_area = (high > low).all(axis=1)
    if not has_area.any():
        raise ConfigError("MODEL.ANCHOR_GENERATOR.FROM_DATA: the training set has no boxes: set it to False")
    columns = ((low + high) / 2 * scale, (high - low) * scale, images_wh * scale)
    return ResizedBoxes(*(values[has_area].astype(np.float32) for values in columns))


def _boxes_xyxy(record: Mapping[str, Any]) -> Iterator[tuple[float, float, float, float]]:
    for note in record.get("annotations", ()):
        mode, box = note.get("bbox_mode"), note.get("bbox")
        if box is None or len(box) != 4 or note.get("iscrowd", 0):
            continue
        x, y, a, b = box
        if mode == BoxMode.XYWH_ABS:
            yield x, y, x + a, y + b
        elif mode == BoxMode.XYXY_ABS:
            yield x, y, a, b


def _scale(width: int, height: int, cfg: CfgNode, rng: np.random.Generator) -> float:
    """By how much training enlarges an image: the mean of the sizes to choose from, and a draw of the jitter."""
    inputs, scale = cfg.INPUT, 1.0
    if inputs.JITTER.ENABLED:
        drawn = rng.uniform(inputs.JITTER.MIN_SCALE, inputs.JITTER.MAX_SCALE)
        scale = drawn * inputs.JITTER.SIZE / max(width, height)
    elif max(inputs.MIN_SIZE_TRAIN) > 0:
        shortest = sum(inputs.MIN_SIZE_TRAIN) / len(inputs.MIN_SIZE_TRAIN) / min(width, height)
        scale = min(shortest, inputs.MAX_SIZE_TRAIN / max(width, height))
    pixels = width * height * scale**2
    return scale * math.sqrt(inputs.MAX_PIXELS / pixels) if 0 < inputs.MAX_PIXELS < pixels else scale


# ---- how well they meet ------------------------------------------------------------------------------------------


def best_ious(boxes: ResizedBoxes, shape: AnchorShape) -> np.ndarray:
    """N float32: each box's IoU with the best of the anchors that stand on the grids of its image."""
    best = np.zeros(len(boxes.wh), np.float32)
    for stride, anchors_wh in shape.of_levels():
        away = _away_from_grid(boxes, stride, shape.offset)
        for anchor_wh in anchors_wh:
            shared = np.minimum(np.minimum(boxes.wh, anchor_wh), (boxes.wh + anchor_wh) / 2 - away).clip(0)
            both = shared[:, 0] * shared[:, 1]
            np.maximum(best, both / (boxes.wh.prod(axis=1) + anchor_wh.prod() - both), out=best)
    return best


def _away_from_grid(boxes: ResizedBoxes, stride: int, offset: float) -> np.ndarray:
    """N x 2: how far the nearest anchor's centre is, along each axis."""
    last = np.ceil(boxes.images_wh / stride) - 1
    nearest = np.clip(np.round(boxes.centers / stride - offset), 0, last)
    return np.abs(boxes.centers - (nearest + offset) * stride)


# ---- the search --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ladder:
    """What may vary of a recipe's anchors: the first size of each level, or every size of a single level; the ratios.

    Ratios that differ by level, or are many, are somebody's choice and stay: `ratios` is empty.
    """

    recipe: AnchorShape
    firsts_px: tuple[float, ...]
    ratios: tuple[float, ...]

    @classmethod
    def of(cls, recipe: AnchorShape) -> _Ladder:
        firsts = tuple(row[0] for row in recipe.sizes) if len(recipe.sizes) > 1 else recipe.sizes[0]
        rows = set(recipe.aspect_ratios)
        ratios = next(iter(rows)) if len(rows) == 1 else ()
        return cls(recipe, firsts, ratios if len(ratios) <= _MOST_RATIOS else ())

    def scaled(self, factor: float) -> _Ladder:
        return replace(self, firsts_px=tuple(first * factor for first in self.firsts_px))

    def moved(self, knob: int, factor: float) -> _Ladder:
        """With one number changed: the sizes come first, then the ratios."""
        values, cut = [*self.firsts_px, *self.ratios], len(self.firsts_px)
        values[knob] *= factor
        return replace(self, firsts_px=tuple(values[:cut]), ratios=tuple(values[cut:]))

    def is_within(self, highest_px: float) -> bool:
        sizes = [size for row in self._rows(self.firsts_px) for size in row]
        rising = all(b >= a * _APART for values in (self.firsts_px, self.ratios) for a, b in pairwise(values))
        return rising and min(sizes) >= SMALLEST_PX and max(sizes) <= highest_px

    def shape(self) -> AnchorShape:
        """In numbers that can be read: tenths of a pixel, hundredths of a ratio."""
        sizes = tuple(tuple(round(size, 1) for size in row) for row in self._rows(self.firsts_px))
        ratios = (tuple(round(ratio, 2) for ratio in self.ratios),) if self.ratios else self.recipe.aspect_ratios
        return replace(self.recipe, sizes=sizes, aspect_ratios=ratios)

    def _rows(self, firsts_px: tuple[float, ...]) -> Rows:
        if len(self.recipe.sizes) == 1:
            return (firsts_px,)
        pairs = zip(firsts_px, self.recipe.sizes, strict=True)
        return tuple(tuple(first * size / row[0] for size in row) for first, row in pairs)


def _search(boxes: ResizedBoxes, recipe: AnchorShape, highest_px: float) -> AnchorShape:
    """The best that a climb reaches, from the recipe's sizes made smaller or larger as a whole."""
    own = _Ladder.of(recipe)
    starts = [own.scaled(2 ** (power / 2)) for power in range(-8, 9)]
    starts = [ladder for ladder in starts if ladder.is_within(highest_px)]
    starts.sort(key=lambda ladder: -_score(boxes, ladder))
    climbed = [_climb(boxes, ladder, highest_px) for ladder in starts[:2]]
    return max(climbed, key=lambda ladder: _score(boxes, ladder)).shape() if climbed else recipe


def _score(boxes: ResizedBoxes, ladder: _Ladder) -> float:
    return float(best_ious(boxes, ladder.shape()).mean())


def _climb(boxes: ResizedBoxes, ladder: _Ladder, highest_px: float) -> _Ladder:
    """Numbers are moved one at a time as long as that helps, in ever finer steps."""
    best, score = ladder, _score(boxes, ladder)
    for step in _STEPS:
        for _ in range(_MOST_ROUNDS):
            before = score
            for knob, factor in product(range(len(best.firsts_px + best.ratios)), (step, 1 / step)):
                tried = best.moved(knob, factor)
                if tried.is_within(highest_px) and (reached := _score(boxes, tried)) > score + _LEAST_MOVE:
                    best, score = tried, reached
            if score == before:
                break
    return best
