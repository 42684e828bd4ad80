"""Images of several sizes in one batch by ultralytics' rule: centred, on grey, to whole multiples of the stride."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

GREY = 114.0  # of 255, in each channel
_ROUND_DOWN = 0.1  # half a pixel goes to the right and to the bottom


@dataclass(frozen=True)
class Place:
    """Where an image lies in its batch, in pixels: `size` and `padded_size` are height and width."""

    top: int
    left: int
    size: tuple[int, int]
    padded_size: tuple[int, int]

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """What is added left, right, above and below, as PyTorch's `pad` takes it."""
        (height, width), (all_height, all_width) = self.size, self.padded_size
        return self.left, all_width - width - self.left, self.top, all_height - height - self.top


def places(sizes: Sequence[tuple[int, int]], stride: int) -> list[Place]:
    """Heights and widths -> one place each in a batch as large as the largest needs.

    A single image, or several of one size, are placed as ultralytics places them. It pads images of several sizes to
    squares of its image size; here they get no more than they need.
    """
    height, width = (math.ceil(max(sides) / stride) * stride for sides in zip(*sizes, strict=True))
    return [Place(_before(height - h), _before(width - w), (h, w), (height, width)) for h, w in sizes]


def _before(padding: int) -> int:
    return round(padding / 2 - _ROUND_DOWN)


def batch(images: Sequence[Tensor], where: Sequence[Place], grey: Tensor) -> Tensor:
    """C x h x w images -> B x C x H x W; `grey` is C x 1 x 1, what stands around them."""
    filled = grey.expand(len(images), -1, *where[0].padded_size).clone()
    for row, image, place in zip(filled, images, where, strict=True):
        height, width = place.size
        row[:, place.top : place.top + height, place.left : place.left + width] = image
    return filled
