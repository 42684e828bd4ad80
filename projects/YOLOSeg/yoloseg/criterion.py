"""ultralytics' own losses on Detectron2's training inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2.structures import BitMasks, Instances, PolygonMasks
from torch import Tensor, nn
from torch.nn import functional as F

from thingstuff.errors import SetupError
from yoloseg.letterbox import Place
from yoloseg.package import load_package

_NAMES = ("loss_box", "loss_mask", "loss_cls", "loss_dfl")
_MASK_STRIDE = 4  # of the prototypes


class Criterion:
    """`v8SegmentationLoss` of a network. Its four parts are means over a batch, where ultralytics adds up its images.

    They are computed in float32: boxes that are decoded in a narrower type would move by a pixel.
    """

    def __init__(self, network: nn.Module) -> None:
        self.device = next(network.parameters()).device
        self._loss = load_package().loss_class(network)

    def __call__(self, answer: Any, inputs: Sequence[Mapping[str, Any]], where: Sequence[Place]) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, enabled=False):
            parts, _ = self._loss(_widened(answer), truth_batch(inputs, where, self.device))
        if parts.dim() != 1 or len(parts) < len(_NAMES):
            raise SetupError("this ultralytics is too old to train with: pip install -U 'thingstuff[yolo]'")
        return dict(zip(_NAMES, parts / len(inputs), strict=False))  # newer ones have a fifth, of other networks


def truth_batch(inputs: Sequence[Mapping[str, Any]], where: Sequence[Place], device: torch.device) -> dict[str, Tensor]:
    """The batch as ultralytics' losses take it, of T objects in B images.

    `batch_idx` T, `cls` T x 1, `bboxes` T x 4 (centre, width and height in shares of the padded image), `masks`
    T x h x w, a fourth of the padded image. Each object keeps all its pixels (`overlap_mask` off in ultralytics, where
    it is on by default and a smaller object takes those of a larger one).
    """
    truths = [_truth(one["instances"].to(device), place) for one, place in zip(inputs, where, strict=True)]
    counts = torch.tensor([len(classes) for classes, _, _ in truths], device=device)
    classes, boxes, masks = (torch.cat(parts) for parts in zip(*truths, strict=True))
    images = torch.arange(len(inputs), device=device).repeat_interleave(counts)
    return {"batch_idx": images.float(), "cls": classes.float()[:, None], "bboxes": boxes, "masks": masks}


def _truth(instances: Instances, place: Place) -> tuple[Tensor, Tensor, Tensor]:
    height, width = place.padded_size
    x0, y0, x1, y1 = instances.gt_boxes.tensor.unbind(dim=1)
    x, y = (x0 + x1) / 2 + place.left, (y0 + y1) / 2 + place.top
    boxes = torch.stack([x / width, y / height, (x1 - x0) / width, (y1 - y0) / height], dim=1)
    return instances.gt_classes, boxes, _small_masks(instances, place)


def _small_masks(instances: Instances, place: Place) -> Tensor:
    """T x h x w float32, 1 where at least half of a cell is covered."""
    height, width = (side // _MASK_STRIDE for side in place.padded_size)
    if not len(instances):
        return torch.zeros((0, height, width), device=instances.gt_boxes.device)
    masks = F.pad(_bitmaps(instances).float(), place.sides)
    return (F.avg_pool2d(masks[:, None], _MASK_STRIDE)[:, 0] >= 0.5).float()


def _bitmaps(instances: Instances) -> Tensor:
    masks = instances.gt_masks
    if isinstance(masks, PolygonMasks):
        masks = BitMasks.from_polygon_masks(masks, *instances.image_size).to(instances.gt_boxes.device)
    return masks.tensor


def _widened(answer: Any) -> Any:
    if isinstance(answer, Tensor):
        return answer.float()
    if isinstance(answer, dict):
        return {name: _widened(part) for name, part in answer.items()}
    return type(answer)(_widened(part) for part in answer)
