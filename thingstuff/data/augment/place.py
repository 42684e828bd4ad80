"""One image laid onto a canvas of another size: cut where it is larger, somewhere on it where it is smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.augment.sample import IGNORED, Sample
from thingstuff.structures import MaskCrops


def place(source: Sample, height: int, width: int, rng: np.random.Generator) -> Sample:
    """The source with height x width pixels, at a place that is drawn; beyond its edges the image is black.

    Its instances stay N, clipped to the canvas, those outside with empty masks. The panoptic map is left behind.
    A source that has this size already stays as it is, and nothing is drawn.
    """
    if (source.height, source.width) == (height, width):
        return replace(source, panoptic=None)
    canvas = _Canvas(height, width, _offset(height - source.height, rng), _offset(width - source.width, rng))
    masks = MaskCrops.from_boxes(_moved(source.masks, canvas), height, width)
    stuff = None if source.stuff is None else canvas.laid(source.stuff, IGNORED)
    return Sample(canvas.laid(source.image, 0), masks, source.category_ids, source.iscrowd, stuff)


def _offset(room_px: int, rng: np.random.Generator) -> int:
    """Where the source begins on one axis; negative where it is larger than the canvas."""
    if room_px == 0:
        return 0
    return int(rng.integers(0, abs(room_px), endpoint=True)) * (1 if room_px > 0 else -1)


@dataclass(frozen=True)
class _Canvas:
    height: int
    width: int
    top: int
    left: int

    def clipped(self, box_xyxy: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """A box of the source -> the part of it that lies on the canvas, in its pixels; it may be empty."""
        x0, y0, x1, y1 = box_xyxy
        x0, x1 = (min(max(x + self.left, 0), self.width) for x in (x0, x1))
        y0, y1 = (min(max(y + self.top, 0), self.height) for y in (y0, y1))
        return x0, y0, x1, y1

    def laid(self, pixels: NDArray[Any], fill: int) -> NDArray[Any]:
        height, width, *channels = pixels.shape
        x0, y0, x1, y1 = self.clipped((0, 0, width, height))
        canvas = np.full((self.height, self.width, *channels), fill, pixels.dtype)
        canvas[y0:y1, x0:x1] = pixels[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
        return canvas


def _moved(masks: MaskCrops, canvas: _Canvas) -> Iterator[tuple[NDArray[np.uint8], tuple[int, int, int, int]]]:
    for crop, box in masks:
        x0, y0, x1, y1 = canvas.clipped(box)
        left, top = box[0] + canvas.left, box[1] + canvas.top
        yield crop[y0 - top : y1 - top, x0 - left : x1 - left], (x0, y0, x1, y1)
