"""Detectron2's resizing to a shortest side, for images of any shape."""

from __future__ import annotations

import numpy as np
from detectron2.data import transforms as T


class ResizeShortestEdge(T.ResizeShortestEdge):
    """The same but for images so thin that their short side would be rounded to nothing: they keep one pixel of it."""

    def get_transform(self, image: np.ndarray) -> T.Transform:
        transform = super().get_transform(image)
        if isinstance(transform, T.ResizeTransform) and 0 in (transform.new_h, transform.new_w):
            height, width = max(transform.new_h, 1), max(transform.new_w, 1)
            return T.ResizeTransform(transform.h, transform.w, height, width, transform.interp)
        return transform
