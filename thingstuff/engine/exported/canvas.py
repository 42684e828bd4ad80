"""From an image to the canvas of an exported network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from detectron2.data import transforms as T
from numpy.typing import NDArray

from thingstuff.engine.exported.card import Card
from thingstuff.engine.preprocess import Preprocess


@dataclass(frozen=True, eq=False)
class OnCanvas:
    """`pixels`: 3 x h x w float32, the resized image without the rest of its H x W canvas, of `canvas_size`.

    `shrunk`: the image is smaller than its config says, since the canvas would not hold it.
    """

    pixels: NDArray[np.float32]
    canvas_size: tuple[int, int]
    shrunk: bool

    @property
    def size(self) -> tuple[int, int]:
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    def canvas(self) -> NDArray[np.float32]:
        canvas = np.zeros((3, *self.canvas_size), np.float32)
        canvas[:, : self.size[0], : self.size[1]] = self.pixels
        return canvas


def put_on_canvas(image_bgr: np.ndarray, card: Card) -> OnCanvas:
    """H x W x 3 uint8 BGR -> the image in the size that the config gives it, or as large as the canvas holds it.

    The aspect ratio stays. A canvas of no fixed size is the image's, with its sides rounded up.
    """
    wanted = _wanted(image_bgr.shape[0], image_bgr.shape[1], card.preprocess)
    size = _within(wanted, _limits(card))
    ordered = image_bgr[:, :, ::-1] if card.preprocess.channels == "RGB" else image_bgr
    resized = T.ResizeTransform(*image_bgr.shape[:2], *size).apply_image(ordered)
    pixels = resized.astype(np.float32).transpose(2, 0, 1)
    return OnCanvas(pixels, _canvas_size(size, card), size != wanted)


def _wanted(height: int, width: int, preprocess: Preprocess) -> tuple[int, int]:
    """The size that the config gives an image; a shorter side of 0 means its own."""
    if not preprocess.shortest_px:
        return height, width
    rows, columns = T.ResizeShortestEdge.get_output_shape(height, width, preprocess.shortest_px, preprocess.longest_px)
    return rows, columns


def padded(side_px: int, multiple: int) -> int:
    """The side rounded up to a multiple."""
    return -(-side_px // multiple) * multiple


def _limits(card: Card) -> tuple[int, int]:
    if card.height is None or card.width is None:
        return card.longest_canvas_px, card.longest_canvas_px
    return card.height, card.width


def _within(size: tuple[int, int], limits: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, limits[0] / size[0], limits[1] / size[1])
    if scale == 1:
        return size
    height, width = (max(1, min(limit, int(side * scale + 0.5))) for side, limit in zip(size, limits, strict=True))
    return height, width


def _canvas_size(size: tuple[int, int], card: Card) -> tuple[int, int]:
    if card.height is not None and card.width is not None:
        return card.height, card.width
    height, width = (max(padded(side, card.side_multiple), card.shortest_canvas_px) for side in size)
    return height, width
