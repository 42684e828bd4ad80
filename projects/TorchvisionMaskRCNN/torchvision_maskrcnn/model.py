"""torchvision's Mask R-CNN (He et al., ICCV 2017) as a meta-architecture of Detectron2."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.structures import ImageList
from torchvision.models.detection import MaskRCNN

from thingstuff.errors import ConfigError
from torchvision_maskrcnn.network import build_network
from torchvision_maskrcnn.parts import Heads, Proposals
from torchvision_maskrcnn.settings import Structure, torchvision_arguments
from torchvision_maskrcnn.weights import fetched, fit_classes, published_url, rename, wants_no_eps

DEFAULT = "DEFAULT"


@dataclass(frozen=True)
class Pixels:
    """What images come in: their channels, "RGB" or "BGR", and the mean and deviation of each, up to 255."""

    channels: str
    mean: Sequence[float]
    std: Sequence[float]


@META_ARCH_REGISTRY.register()
class TorchvisionMaskRCNN(GeneralizedRCNN):
    """The parts of a `torchvision.models.detection.MaskRCNN` as those of Detectron2's R-CNN.

    So it is called, stopped before its masks are pasted, and augmented like any of Detectron2's; its answers are
    torchvision's to the last bit, but for pasting. It loads torchvision's files and its own.
    """

    @configurable
    def __init__(
        self,
        *,
        network: MaskRCNN,
        pixels: Pixels,
        weights_url: str = "",
        reinit_heads: bool = False,
        vis_period: int = 0,
    ) -> None:
        """`weights_url` are weights to begin with; with `reinit_heads` they may be for other classes."""
        super().__init__(
            backbone=network.backbone,
            proposal_generator=Proposals(network.rpn),
            roi_heads=Heads(network.roi_heads),
            pixel_mean=pixels.mean,
            pixel_std=pixels.std,
            input_format=pixels.channels,
            vis_period=vis_period,
        )
        self.transform = network.transform
        self._num_classes = network.roi_heads.box_predictor.cls_score.out_features - 1
        self._reinit_heads = reinit_heads
        if weights_url:
            self.load_state_dict(fetched(weights_url), strict=not reinit_heads)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """`MODEL.TORCHVISION.WEIGHTS` counts while `MODEL.WEIGHTS` is empty."""
        structure = Structure.from_config(cfg)
        url = "" if cfg.MODEL.WEIGHTS else _first_weights(cfg)
        if wants_no_eps(url or cfg.MODEL.WEIGHTS) and structure.norm == "FrozenBN" and structure.norm_eps != 0:
            raise ConfigError(
                "the published weights of maskrcnn_resnet50_fpn were trained with norms that add nothing to the "
                "variance: set MODEL.TORCHVISION.NORM_EPS 0.0"
            )
        return {
            "network": build_network(structure, torchvision_arguments(cfg)),
            "pixels": Pixels(cfg.INPUT.FORMAT, cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD),
            "weights_url": url,
            "reinit_heads": cfg.MODEL.REINIT_HEADS,
            "vis_period": cfg.VIS_PERIOD,
        }

    def preprocess_image(self, batched_inputs: Sequence[Mapping[str, Any]]) -> ImageList:
        """Normalised and padded by torchvision, and never resized: its transform would do that in inference."""
        images = [self._normalized(one["image"].to(self.device)) for one in batched_inputs]
        sizes = [tuple(image.shape[-2:]) for image in images]
        return ImageList(self.transform.batch_images(images, self.transform.size_divisible), sizes)

    def _normalized(self, image: torch.Tensor) -> torch.Tensor:
        rgb = image.flip(0) if self.input_format == "BGR" else image
        return self.transform.normalize(rgb.float() / 255)

    def _load_from_state_dict(self, state_dict: MutableMapping[str, torch.Tensor], prefix: str, *args: Any) -> None:
        """torchvision's files too, which have other names and, for COCO, rows for 90 ids instead of 80 classes."""
        rename(state_dict, prefix)
        fit_classes(state_dict, prefix, self._num_classes, self._reinit_heads)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _first_weights(cfg: CfgNode) -> str:
    wanted = cfg.MODEL.TORCHVISION.WEIGHTS
    if wanted not in ("", DEFAULT):
        raise ConfigError(f"MODEL.TORCHVISION.WEIGHTS is {wanted!r}, expected DEFAULT: a file is MODEL.WEIGHTS")
    return published_url(cfg.MODEL.TORCHVISION.NAME) if wanted else ""
