"""The whole network as one function of two tensors."""

from __future__ import annotations

import torch
from torch import nn

from thingstuff.modeling.exportable.detector import Detector
from thingstuff.modeling.exportable.semantic import SemanticLogits

INPUT_NAMES = ("image", "image_size")


class Network(nn.Module):
    """From an image on a canvas to detections and semantic logits.

    Inputs: `image`, 3 x H x W float32, 0 to 255, in the config's channel order, at the top left of a canvas whose sides
    are multiples of the backbone's stride; `image_size`, two float32: height and width of the image without the rest of
    the canvas, whose content does not matter.

    Outputs, each where the model has it: `boxes` N x 4 float32 in pixels of the canvas and clipped to the image,
    `scores` N float32, in falling order, `classes` N int64 contiguous thing indices, `masks` N x M x M float32
    probabilities in the box, of its class; `logits`, C x h x w float32, at `logits_stride` pixels of the canvas.
    """

    def __init__(self, model: nn.Module, detector: Detector | None, semantic: SemanticLogits | None) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.detector = detector
        self.semantic = semantic
        self.register_buffer("pixel_mean", model.pixel_mean.detach().clone(), persistent=True)
        self.register_buffer("pixel_std", model.pixel_std.detach().clone(), persistent=True)
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        of_things = () if self.detector is None else self.detector.output_names
        return of_things if self.semantic is None else (*of_things, "logits")

    @property
    def has_masks(self) -> bool:
        return "masks" in self.output_names

    @property
    def side_multiple(self) -> int:
        """Pixels that the canvas's sides must be multiples of."""
        stride: int = max(self.backbone.size_divisibility, 1)
        return stride

    @property
    def logits_stride(self) -> int | None:
        return None if self.semantic is None else self.semantic.stride

    def forward(self, image: torch.Tensor, image_size: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.backbone(self._normalised(image, image_size)[None])
        found = () if self.detector is None else self.detector(features, image_size)
        return found if self.semantic is None else (*found, self.semantic(features)[0])

    def _normalised(self, image: torch.Tensor, image_size: torch.Tensor) -> torch.Tensor:
        """Detectron2 pads after it has normalised, so that the rest of the canvas is 0 in the network's eyes."""
        rows = torch.arange(image.shape[1], device=image.device)[:, None] < image_size[0]
        columns = torch.arange(image.shape[2], device=image.device)[None, :] < image_size[1]
        normalised = (image - self.pixel_mean) / self.pixel_std
        return torch.where(rows & columns, normalised, torch.zeros_like(normalised))
