"""Network: transformers' `SamModel` or `Sam2Model`, reduced to what a prompt needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sam_masks.frame import Frame, rgb_tensor
from sam_masks.prompts import Prompts


@dataclass(frozen=True, eq=False)
class Encoded:
    """An image that went through the encoder: `features` are the network's own business."""

    frame: Frame
    features: Any


class Network(Protocol):
    """What a segmenter asks of a network; tests have one that answers what they wrote down."""

    def encode(self, image_bgr: np.ndarray) -> Encoded: ...

    def decode(self, encoded: Encoded, prompts: Prompts, *, multimask: bool) -> tuple[Tensor, Tensor]: ...


class SamNetwork:
    """SAM or SAM 2 (2.1 too, which is the same class with other weights)."""

    def __init__(self, model: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """`mean` and `std` are of colours up to 1, as in the file of a preprocessor."""
        self._model = model
        self._is_first = model.config.model_type == "sam"
        self._mean, self._std = (torch.tensor(numbers, device=model.device) * 255 for numbers in (mean, std))
        # boxes and points in what transformers' processors hand on, so that not even the last bit differs
        self._dtype = torch.float64 if self._is_first else torch.float32

    @property
    def side(self) -> int:
        """Of the square that goes into the encoder, in pixels."""
        side = self._model.config.prompt_encoder_config.image_size
        return int(side if isinstance(side, int) else side[0])

    @torch.inference_mode()
    def encode(self, image_bgr: np.ndarray) -> Encoded:
        """H x W x 3 uint8 BGR, once an image, whatever it is asked afterwards."""
        frame = Frame(*image_bgr.shape[:2], self.side, self._is_first)
        pixels = frame.pixels(rgb_tensor(image_bgr, self._model.device), self._mean, self._std)
        return Encoded(frame, self._model.get_image_embeddings(pixels))

    @torch.inference_mode()
    def decode(self, encoded: Encoded, prompts: Prompts, *, multimask: bool) -> tuple[Tensor, Tensor]:
        """N prompts -> N x M x h x w mask logits and N x M predicted IoUs, with M = 3 or 1."""
        asked = {name: part[None].to(self._model.device) for name, part in self._inputs(encoded.frame, prompts)}
        answer = self._model(image_embeddings=encoded.features, multimask_output=multimask, **asked)
        return answer.pred_masks[0], answer.iou_scores[0]

    def _inputs(self, frame: Frame, prompts: Prompts) -> list[tuple[str, Tensor]]:
        if prompts.boxes_xyxy is not None:
            corners = torch.from_numpy(prompts.boxes_xyxy.astype(np.float32)).to(self._dtype).reshape(-1, 2, 2)
            return [("input_boxes", frame.place(corners).reshape(-1, 4))]
        points = torch.from_numpy(np.asarray(prompts.points_xy)).to(self._dtype)
        return [("input_points", frame.place(points)), ("input_labels", torch.from_numpy(np.asarray(prompts.labels)))]
