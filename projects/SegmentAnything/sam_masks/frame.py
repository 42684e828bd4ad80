"""Frame: where an image lies in the square that the network sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as transforms


@dataclass(frozen=True)
class Frame:
    """An image of `height` x `width` pixels in a square of `side` pixels, of which it fills `inner_hw` from the corner.

    SAM keeps the image's proportions and pads below or on the right. SAM 2 squeezes the image into the whole square.
    """

    height: int
    width: int
    side: int
    keeps_proportions: bool

    @property
    def inner_hw(self) -> tuple[int, int]:
        if not self.keeps_proportions:
            return self.side, self.side
        scale = self.side / max(self.height, self.width)
        # transformers gives a very thin image no row at all
        return max(1, int(self.height * scale + 0.5)), max(1, int(self.width * scale + 0.5))

    def place(self, points_xy: Tensor) -> Tensor:
        """... x 2 coordinates in the image -> in the square, of the same dtype."""
        inner_height, inner_width = self.inner_hw
        placed = points_xy.clone()
        placed[..., 0] *= inner_width / self.width
        placed[..., 1] *= inner_height / self.height
        return placed

    def pixels(self, image_rgb: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """3 x H x W uint8 -> 1 x 3 x side x side float32, less `mean` and over `std`, both up to 255; padding is 0."""
        resized = transforms.resize(image_rgb, list(self.inner_hw), antialias=True).float()
        normalised = (resized - mean[:, None, None]) / std[:, None, None]
        inner_height, inner_width = self.inner_hw
        return F.pad(normalised, (0, self.side - inner_width, 0, self.side - inner_height))[None]

    def unplace(self, logits: Tensor) -> Tensor:
        """K x h x w mask logits of the square -> K x H x W of the image, by bilinear interpolation."""
        if not self.keeps_proportions:
            return _resized(logits, (self.height, self.width))
        inner_height, inner_width = self.inner_hw
        square = _resized(logits, (self.side, self.side))
        return _resized(square[:, :inner_height, :inner_width], (self.height, self.width))

    @property
    def largest_px(self) -> int:
        """The most pixels of one mask that `unplace` holds at a time."""
        return max(self.side**2, self.height * self.width)


def _resized(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return F.interpolate(logits[:, None], size_hw, mode="bilinear", align_corners=False)[:, 0]


def rgb_tensor(image_bgr: np.ndarray, device: torch.device | str) -> Tensor:
    """H x W x 3 uint8 BGR -> 3 x H x W uint8 RGB."""
    return torch.from_numpy(image_bgr[:, :, ::-1].transpose(2, 0, 1).copy()).to(device)
