"""ultralytics' segmentation models as a meta-architecture of Detectron2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from yoloseg.criterion import Criterion
from yoloseg.letterbox import GREY, Place, batch, places
from yoloseg.masks import Crops, crop_masks
from yoloseg.network import build_network
from yoloseg.options import require_valid
from yoloseg.raw import RawPredictions
from yoloseg.selection import Selection
from yoloseg.weights import adapted

Inputs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Pixels:
    """What images come in: their channels, "RGB" or "BGR", and the mean and deviation of each, up to 255."""

    channels: str
    mean: Sequence[float]
    std: Sequence[float]


@META_ARCH_REGISTRY.register()
class YOLOSeg(nn.Module):
    """Takes and gives what Detectron2's models do: losses in training, and else `{"instances": ...}` of each image."""

    @configurable
    def __init__(self, *, network: nn.Module, pixels: Pixels, selection: Selection, reinit_heads: bool = False) -> None:
        """With `reinit_heads` weights may be for other classes."""
        super().__init__()
        self.network, self.selection, self.reinit_heads = network, selection, reinit_heads
        self.input_format = pixels.channels
        self.register_buffer("pixel_mean", torch.tensor(pixels.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixels.std).view(-1, 1, 1), persistent=False)
        self._criterion: Criterion | None = None

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        require_valid(cfg)
        node, heads = cfg.MODEL.YOLOSEG, cfg.MODEL.ROI_HEADS
        return {
            "network": build_network(
                node.NAME,
                heads.NUM_CLASSES,
                box_weight=node.BOX_WEIGHT,
                cls_weight=node.CLS_WEIGHT,
                dfl_weight=node.DFL_WEIGHT,
            ),
            "pixels": Pixels(cfg.INPUT.FORMAT, cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD),
            "selection": Selection(
                score_thresh=heads.SCORE_THRESH_TEST,
                iou_thresh=heads.NMS_THRESH_TEST,
                max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
                multi_label=node.MULTI_LABEL_TEST,
            ),
            "reinit_heads": cfg.MODEL.REINIT_HEADS,
        }

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, batched_inputs: Inputs) -> Any:
        if self.training:
            images, where = self._letterboxed(batched_inputs)
            return self._losses(self.network(images), batched_inputs, where)
        return [
            {"instances": _with_masks(found, crops.to_bitmaps(self.device))}
            for found, crops in self._predicted(batched_inputs)
        ]

    def answers_in_crops(self, batched_inputs: Inputs) -> list[dict[str, Instances]]:
        """As `forward` in inference, with `pred_masks` as the toolkit's MaskCrops: without N x H x W."""
        return [
            {"instances": _with_masks(found, crops.to_mask_crops())} for found, crops in self._predicted(batched_inputs)
        ]

    def adapted_weights(self, file: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the checkpointer asks for before it compares a file with this model."""
        return adapted(file, state, self.state_dict(), self.reinit_heads)

    def _letterboxed(self, batched_inputs: Inputs) -> tuple[Tensor, list[Place]]:
        """B x 3 x H x W of RGB images, normalised, and where each lies in it."""
        images = [self._normalized(one["image"].to(self.device)) for one in batched_inputs]
        stride = int(self.network.model[-1].stride.max())
        where = places([tuple(image.shape[-2:]) for image in images], stride)
        return batch(images, where, self._normalized(torch.full_like(self.pixel_mean, GREY))), where

    def _normalized(self, image: Tensor) -> Tensor:
        normal = (image - self.pixel_mean) / self.pixel_std
        return normal.flip(0) if self.input_format == "BGR" else normal

    def _losses(self, answer: Any, batched_inputs: Inputs, where: Sequence[Place]) -> dict[str, Tensor]:
        if self._criterion is None or self._criterion.device != self.device:
            self._criterion = Criterion(self.network)
        return self._criterion(answer, batched_inputs, where)

    def _predicted(self, batched_inputs: Inputs) -> list[tuple[Instances, Crops]]:
        images, where = self._letterboxed(batched_inputs)
        raw = RawPredictions.of(self.network(images)[1], self.network.model[-1])
        return [
            self._predicted_one(raw, number, place, _output_size(one))
            for number, (place, one) in enumerate(zip(where, batched_inputs, strict=True))
        ]

    def _predicted_one(
        self, raw: RawPredictions, number: int, place: Place, output_size: tuple[int, int]
    ) -> tuple[Instances, Crops]:
        """In the pixels of the output; what has no pixel is left out, as ultralytics does."""
        boxes = raw.boxes_xyxy(number)
        rows, classes, scores = self.selection(boxes, raw.scores[number].sigmoid().T)
        in_output = _in_output(boxes[rows], place, output_size)
        crops = crop_masks(
            raw.prototypes[number], raw.coefficients[number].T[rows], in_output.tensor, place, output_size
        )
        kept = crops.nonempty(self.device)
        found = Instances(output_size, pred_boxes=in_output[kept], scores=scores[kept], pred_classes=classes[kept])
        return found, crops.chosen(kept.nonzero()[:, 0].tolist())


def _in_output(boxes_xyxy: Tensor, place: Place, output_size: tuple[int, int]) -> Boxes:
    (height, width), (out_height, out_width) = place.size, output_size
    moved = boxes_xyxy - boxes_xyxy.new_tensor([place.left, place.top] * 2)
    boxes = Boxes(moved / moved.new_tensor([width / out_width, height / out_height] * 2))
    boxes.clip(output_size)
    return boxes


def _output_size(one: Mapping[str, Any]) -> tuple[int, int]:
    height, width = one["image"].shape[-2:]
    return int(one.get("height", height)), int(one.get("width", width))


def _with_masks(found: Instances, masks: Any) -> Instances:
    found.pred_masks = masks
    return found
