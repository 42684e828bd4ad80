"""A limit for the size of training images: a resize whose result would be larger is made smaller."""

from __future__ import annotations

import math

import numpy as np
from detectron2.data import transforms as T


class MaxPixels(T.Augmentation):
    """The resize that it wraps, drawn as ever, but with a result of at most `max_pixels` pixels.

    There is one interpolation either way, and where the limit is not reached the transform is that of the wrapped one.
    """

    def __init__(self, resize: T.ResizeShortestEdge, max_pixels: int) -> None:
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> T.Transform:
        height, width = image.shape[:2]
        transform = self.resize.get_transform(image)
        resizes = isinstance(transform, T.ResizeTransform)  # a shortest edge of 0 keeps the image
        wanted = (transform.new_h, transform.new_w) if resizes else (height, width)
        if math.prod(wanted) <= self.max_pixels:
            return transform
        return T.ResizeTransform(height, width, *limited(*wanted, self.max_pixels), self.resize.interp)


def limited(height: int, width: int, max_pixels: int) -> tuple[int, int]:
    """The size of the same shape, up to rounding down, that has at most `max_pixels` pixels, and 1 x 1 at least."""
    scale = math.sqrt(min(1, max_pixels / (height * width)))
    short = max(1, math.floor(min(height, width) * scale))
    # where the short side cannot become smaller the long one must
    long = max(1, min(math.floor(max(height, width) * scale), max_pixels // short))
    return (short, long) if height <= width else (long, short)
