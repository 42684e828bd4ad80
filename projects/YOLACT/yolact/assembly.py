"""Masks of instances out of prototypes: the linear combination of section 3.3 of the paper, and its crop."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_PIXELS_AT_ONCE = 1 << 24  # of float32 masks in the size of the image
_LEAST_TOUCH_PX = 1e-3  # less is the rounding of a box that ends between two pixels


def assemble(prototypes: Tensor, coefficients: Tensor) -> Tensor:
    """k x h x w and N x k -> N x h x w logits; their sigmoid is the paper's M = sigmoid(P C^T)."""
    return torch.einsum("khw,nk->nhw", prototypes, coefficients)


def inside_boxes(boxes_xyxy: Tensor, height: int, width: int) -> Tensor:
    """N x height x width bool: the pixels that a box touches, so that even a small one has a pixel."""
    low, high = (boxes_xyxy[:, :2] + _LEAST_TOUCH_PX).floor(), (boxes_xyxy[:, 2:] - _LEAST_TOUCH_PX).ceil()
    x = torch.arange(width, device=boxes_xyxy.device)
    y = torch.arange(height, device=boxes_xyxy.device)
    in_columns = (x >= low[:, :1]) & (x < high[:, :1])
    in_rows = (y >= low[:, 1:]) & (y < high[:, 1:])
    return in_rows[:, :, None] & in_columns[:, None, :]


def masks_in_image(
    logits: Tensor,
    boxes_xyxy: Tensor,
    *,
    padded_size: tuple[int, int],
    image_size: tuple[int, int],
    output_size: tuple[int, int],
    threshold: float,
) -> Tensor:
    """N x h x w logits of a padded image -> N bool masks of `output_size`, cropped by boxes in its pixels.

    The masks are cropped after they are enlarged, so that the edges of a box are sharp.
    """
    masks = torch.zeros((len(logits), *output_size), dtype=torch.bool, device=logits.device)
    step = max(1, _PIXELS_AT_ONCE // max(padded_size[0] * padded_size[1], output_size[0] * output_size[1]))
    for start in range(0, len(logits), step):
        part = slice(start, start + step)
        shares = _enlarged(logits[part].sigmoid(), padded_size, image_size, output_size)
        masks[part] = (shares > threshold) & inside_boxes(boxes_xyxy[part], *output_size)
    return masks


def _enlarged(
    shares: Tensor, padded_size: tuple[int, int], image_size: tuple[int, int], output_size: tuple[int, int]
) -> Tensor:
    height, width = image_size
    shares = _resized(shares, padded_size)[:, :height, :width]
    return shares if output_size == image_size else _resized(shares, output_size)


def _resized(shares: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(shares[None], size=size, mode="bilinear", align_corners=False)[0]
