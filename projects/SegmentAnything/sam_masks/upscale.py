"""Mask logits of the network -> masks of the image, a few at a time, since each is as large as the image."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sam_masks.frame import Frame
from thingstuff.structures import MaskCrops

MOST_FLOATS = 1 << 24  # at full size and at once: 64 MiB


def upscaled(logits: Tensor, frame: Frame) -> Iterator[Tensor]:
    """N x h x w -> chunks K x H x W in their order, where K goes down as images get larger."""
    many = max(1, MOST_FLOATS // frame.largest_px)
    for chunk in logits.split(many) if len(logits) else ():
        yield frame.unplace(chunk)


def masks_above(logits: Tensor, frame: Frame, threshold: float) -> MaskCrops:
    """N x h x w -> N masks where the upscaled logit is above `threshold`.

    Pixel for pixel those of transformers' `post_process_masks`, which holds all N at full size.
    """
    pieces = [crops_of(chunk > threshold) for chunk in upscaled(logits, frame)]
    return joined(pieces, frame)


def crops_of(bitmaps: Tensor) -> MaskCrops:
    """K x H x W bool, on any device."""
    return MaskCrops.from_bitmaps(bitmaps.to(torch.uint8).cpu().numpy())


def joined(pieces: list[MaskCrops], frame: Frame) -> MaskCrops:
    return MaskCrops.from_boxes((pair for piece in pieces for pair in piece), frame.height, frame.width)
