"""torchvision's region proposals and heads behind the interfaces of Detectron2's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from detectron2.structures import BitMasks, Boxes, ImageList, Instances, PolygonMasks
from torch import nn
from torchvision.models.detection.image_list import ImageList as TorchvisionImageList
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference
from torchvision.models.detection.rpn import RegionProposalNetwork

Losses = dict[str, torch.Tensor]

# a run's curves have the names of Detectron2's
_LOSS_NAMES = {
    "loss_objectness": "loss_rpn_cls",
    "loss_rpn_box_reg": "loss_rpn_loc",
    "loss_classifier": "loss_cls",
    "loss_box_reg": "loss_box_reg",
    "loss_mask": "loss_mask",
}


class Proposals(nn.Module):
    def __init__(self, rpn: RegionProposalNetwork) -> None:
        super().__init__()
        self.rpn = rpn

    def forward(
        self, images: ImageList, features: dict[str, torch.Tensor], gt_instances: Sequence[Instances] | None = None
    ) -> tuple[list[Instances], Losses]:
        targets = None if gt_instances is None else [{"boxes": one.gt_boxes.tensor} for one in gt_instances]
        batch = TorchvisionImageList(images.tensor, images.image_sizes)
        found, losses = self.rpn(batch, features, targets)
        pairs = zip(images.image_sizes, found, strict=True)
        return [Instances(size, proposal_boxes=Boxes(boxes)) for size, boxes in pairs], _renamed(losses)


class Heads(nn.Module):
    """Classes are contiguous from 0 on this side, and from 1 on torchvision's, where 0 is the background."""

    def __init__(self, heads: RoIHeads) -> None:
        super().__init__()
        self.heads = heads

    def forward(
        self,
        images: ImageList,
        features: dict[str, torch.Tensor],
        proposals: Sequence[Instances],
        gt_instances: Sequence[Instances] | None = None,
    ) -> tuple[list[Instances], Losses]:
        """In inference N detections an image, the best first, with `pred_masks` N x 1 x M x M probabilities."""
        boxes = [one.proposal_boxes.tensor for one in proposals]
        targets = None if gt_instances is None else [_target(one) for one in gt_instances]
        found, losses = self.heads(features, boxes, images.image_sizes, targets)
        if self.training:
            return list(proposals), _renamed(losses)
        return [_instances(*pair) for pair in zip(images.image_sizes, found, strict=True)], {}

    def forward_with_given_boxes(
        self, features: dict[str, torch.Tensor], instances: Sequence[Instances]
    ) -> list[Instances]:
        """The masks of boxes and classes that are known, as test-time augmentation asks for them."""
        boxes = [one.pred_boxes.tensor for one in instances]
        pooled = self.heads.mask_roi_pool(features, boxes, [one.image_size for one in instances])
        logits = self.heads.mask_predictor(self.heads.mask_head(pooled))
        probs = maskrcnn_inference(logits, [one.pred_classes + 1 for one in instances])
        return [_with_masks(*pair) for pair in zip(instances, probs, strict=True)]


def _instances(size: tuple[int, int], found: Mapping[str, torch.Tensor]) -> Instances:
    return Instances(
        size,
        pred_boxes=Boxes(found["boxes"]),
        scores=found["scores"],
        pred_classes=found["labels"] - 1,
        pred_masks=found["masks"],
    )


def _with_masks(instances: Instances, probs: torch.Tensor) -> Instances:
    made = Instances(instances.image_size, **instances.get_fields())
    made.pred_masks = probs
    return made


def _target(truth: Instances) -> dict[str, torch.Tensor]:
    return {
        "boxes": truth.gt_boxes.tensor,
        "labels": truth.gt_classes + 1,
        "masks": _bitmaps(truth).to(truth.gt_classes.device),
    }


def _bitmaps(truth: Instances) -> torch.Tensor:
    """N x H x W bool, whatever INPUT.MASK_FORMAT is. The mapper leaves the masks out of an image without objects."""
    if not truth.has("gt_masks"):
        return torch.zeros((0, *truth.image_size), dtype=torch.bool)
    masks = truth.gt_masks
    if isinstance(masks, PolygonMasks):
        masks = BitMasks.from_polygon_masks(masks.polygons, *truth.image_size)
    return masks.tensor


def _renamed(losses: Losses) -> Losses:
    return {_LOSS_NAMES[name]: value for name, value in losses.items()}
