"""Boxes as prompts: cut off at the image's edges, and which of them are left."""

from __future__ import annotations

import numpy as np


def inside(boxes_xyxy: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """N x 4 boxes -> the same cut off at the edges of the image, and N bool: whether anything is left of each."""
    limits = np.array([width, height, width, height], boxes_xyxy.dtype)
    clipped = boxes_xyxy.clip(0, limits)
    return clipped, (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
