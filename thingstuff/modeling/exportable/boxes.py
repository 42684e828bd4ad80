"""Boxes as N x 4 tensors of x0, y0, x1, y1, as Detectron2's `Boxes` handles them."""

from __future__ import annotations

import torch


def clipped(boxes: torch.Tensor, image_size: torch.Tensor) -> torch.Tensor:
    """... x 4 boxes within an image of `image_size` (height, width)."""
    height, width = image_size[0], image_size[1]
    limits = torch.stack([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limits)


def exists(boxes: torch.Tensor, min_side: float) -> torch.Tensor:
    """N x 4 -> N bool: both sides are longer than `min_side`."""
    return (boxes[:, 2] - boxes[:, 0] > min_side) & (boxes[:, 3] - boxes[:, 1] > min_side)
