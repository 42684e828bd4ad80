"""SOLOv2 as a meta-architecture of Detectron2: an FPN backbone, the grid branches and the mask features.

X. Wang, R. Zhang, T. Kong, L. Li, C. Shen: SOLOv2: Dynamic and Fast Instance Segmentation, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone
from detectron2.structures import ImageList
from torch import Tensor, nn

from solov2.decoder import Decoder, Sizes
from solov2.grid_head import GridHead
from solov2.losses import GridLoss
from solov2.mask_head import MaskHead
from solov2.targets import Truth
from thingstuff.errors import ConfigError, DataError

Inputs = Sequence[Mapping[str, Any]]


@META_ARCH_REGISTRY.register()
class SOLOv2(nn.Module):
    """Instances without boxes: a cell of a grid says what is in it, and its kernel which pixels are."""

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        head: GridHead,
        mask_head: MaskHead,
        mask_in_features: Sequence[str],
        num_classes: int,
        loss: GridLoss,
        decoder: Decoder,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
    ) -> None:
        """`mask_in_features` go into `mask_head`, the finest first. Pixels are normalised in the order of channels."""
        super().__init__()
        self.backbone, self.head, self.mask_head = backbone, head, mask_head
        self.mask_in_features = tuple(mask_in_features)
        self.num_classes = num_classes
        self.loss, self.decoder = loss, decoder
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), persistent=False)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        if not cfg.MODEL.MASK_ON:
            raise ConfigError("SOLOv2 has nothing but masks: set MODEL.MASK_ON True")
        backbone = build_backbone(cfg)
        shapes = backbone.output_shape()
        return {
            "backbone": backbone,
            "head": GridHead(cfg, shapes),
            "mask_head": MaskHead(cfg, shapes),
            "mask_in_features": cfg.MODEL.SOLOV2.MASK_IN_FEATURES,
            "num_classes": cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "loss": GridLoss.from_config(cfg),
            "decoder": Decoder.from_config(cfg),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, batched_inputs: Inputs) -> dict[str, Tensor] | list[dict[str, Any]]:
        """Detectron2's inputs -> in training the losses, else `{"instances": Instances}` for each image."""
        images = self._images(batched_inputs)
        padded = (images.tensor.shape[-2], images.tensor.shape[-1])
        features = self.backbone(images.tensor)
        category, kernels = self.head([features[level.feature] for level in self.head.levels], padded)
        mask_features = self.mask_head([features[name] for name in self.mask_in_features])
        if self.training:
            truths = [self._truth(one, padded) for one in batched_inputs]
            return self.loss(category, kernels, mask_features, truths)
        pairs = zip(batched_inputs, images.image_sizes, strict=True)
        sizes = [Sizes(padded, tuple(size), _output_size(one, size)) for one, size in pairs]
        found = self.decoder(category, kernels, mask_features, sizes)
        return [{"instances": instances} for instances in found]

    def _images(self, batched_inputs: Inputs) -> ImageList:
        images = [(one["image"].to(self.device) - self.pixel_mean) / self.pixel_std for one in batched_inputs]
        return ImageList.from_tensors(
            images, self.backbone.size_divisibility, padding_constraints=self.backbone.padding_constraints
        )

    def _truth(self, one: Mapping[str, Any], padded: tuple[int, int]) -> Truth:
        if "instances" not in one:
            raise DataError("SOLOv2 learns from instances, and an image of the training set comes without")
        return Truth.of(one["instances"].to(self.device), padded, self.num_classes)


def _output_size(one: Mapping[str, Any], image_size: Sequence[int]) -> tuple[int, int]:
    height, width = image_size
    return int(one.get("height", height)), int(one.get("width", width))
