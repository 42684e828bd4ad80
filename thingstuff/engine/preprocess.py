"""From an image to a model's input, as Detectron2's test loader and DefaultPredictor make it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from detectron2.config import CfgNode

from thingstuff.modeling.resize import ResizeShortestEdge


@dataclass(frozen=True)
class Preprocess:
    """The shorter side to `shortest_px` with the longer at most `longest_px`; channels in the order of `channels`."""

    shortest_px: int
    longest_px: int
    channels: str

    @classmethod
    def from_config(cls, cfg: CfgNode) -> Preprocess:
        return cls(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, cfg.INPUT.FORMAT)

    def __call__(self, image_bgr: np.ndarray) -> torch.Tensor:
        """H x W x 3 uint8 BGR -> 3 x h x w float32."""
        ordered = image_bgr[:, :, ::-1] if self.channels == "RGB" else image_bgr
        resize = ResizeShortestEdge([self.shortest_px, self.shortest_px], self.longest_px)
        resized = resize.get_transform(ordered).apply_image(ordered)
        return torch.as_tensor(resized.astype("float32").transpose(2, 0, 1))
