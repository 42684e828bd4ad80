"""From the outputs of the branches to instances: candidates, their masks, Matrix NMS, and masks in the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from detectron2.structures import BitMasks, Boxes, Instances
from torch import Tensor
from torch.nn import functional as F

from solov2.layers import dynamic_conv, resized
from solov2.matrix_nms import KERNELS, matrix_nms, points_nms
from thingstuff.errors import ConfigError

_TOGETHER = 16  # masks that are blown up at a time: as floats they need four times the memory of their bitmaps


@dataclass(frozen=True)
class Found:
    """What is seen in an image: n x h x w float32 mask probabilities on the mask features, n scores and classes."""

    probs: Tensor
    scores: Tensor
    classes: Tensor

    def __getitem__(self, rows: Tensor) -> Found:
        return Found(self.probs[rows], self.scores[rows], self.classes[rows])


@dataclass(frozen=True)
class Sizes:
    """Heights and widths: of the padded batch, of the image in it, and of the answer."""

    padded: tuple[int, int]
    image: tuple[int, int]
    output: tuple[int, int]


@dataclass(frozen=True)
class Decoder:
    """SOLOv2's inference. The thresholds and counts are those of the papers, in the order in which they are applied."""

    category_thresh: float
    mask_thresh: float
    score_thresh: float
    pre_nms_topk: int
    nms_kernel: str
    nms_sigma: float
    max_detections: int

    def __post_init__(self) -> None:
        if self.nms_kernel not in KERNELS:
            raise ConfigError(f"MODEL.SOLOV2.NMS_KERNEL is {self.nms_kernel!r}, expected one of {', '.join(KERNELS)}")
        for key, value in (("CATEGORY_THRESH", self.category_thresh), ("MASK_THRESH", self.mask_thresh)):
            if not 0 <= value < 1:
                raise ConfigError(f"MODEL.SOLOV2.{key} is {value}, expected a number from 0 to less than 1")
        if self.pre_nms_topk < 1:
            raise ConfigError(f"MODEL.SOLOV2.PRE_NMS_TOPK is {self.pre_nms_topk}, expected 1 or more")

    @classmethod
    def from_config(cls, cfg: CfgNode) -> Decoder:
        node = cfg.MODEL.SOLOV2
        return cls(
            category_thresh=node.CATEGORY_THRESH,
            mask_thresh=node.MASK_THRESH,
            score_thresh=cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST,
            pre_nms_topk=node.PRE_NMS_TOPK,
            nms_kernel=node.NMS_KERNEL,
            nms_sigma=node.NMS_SIGMA,
            max_detections=cfg.TEST.DETECTIONS_PER_IMAGE,
        )

    def __call__(
        self, category: Sequence[Tensor], kernels: Sequence[Tensor], features: Tensor, sizes: Sequence[Sizes]
    ) -> list[Instances]:
        """The outputs of `GridHead` and `MaskHead` for N images -> instances in pixels of each answer."""
        found = []
        for number, one in enumerate(sizes):
            own = [level[number].float() for level in category], [level[number] for level in kernels]
            found.append(self.instances(self.find(*own, features[number]), one))
        return found

    def find(self, category: Sequence[Tensor], kernels: Sequence[Tensor], features: Tensor) -> Found:
        """Of one image: C x S x S logits and E x S x S kernels of every level, E x h x w features; best scores first.

        The score of a mask is that of its class times the mean of its probabilities above the threshold.
        """
        probs = torch.cat([points_nms(level.sigmoid()).flatten(1) for level in category], dim=1)  # C x cells
        scores, classes, cells = self._candidates(probs)
        weights = torch.cat([level.flatten(1) for level in kernels], dim=1)[:, cells].T
        found = Found(dynamic_conv(weights, features).sigmoid(), scores, classes)
        masks = found.probs > self.mask_thresh
        maskness = (found.probs * masks).sum(dim=(1, 2)) / masks.sum(dim=(1, 2)).clamp(min=1)  # 0 of an empty mask
        return self._suppressed(Found(found.probs, scores * maskness, classes))

    def _candidates(self, probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best scores of C x cells, with their classes and cells."""
        classes, cells = (probs > self.category_thresh).nonzero(as_tuple=True)
        scores = probs[classes, cells]
        best = scores.argsort(descending=True, stable=True)[: self.pre_nms_topk]
        return scores[best], classes[best], cells[best]

    def _suppressed(self, found: Found) -> Found:
        found = found[found.scores.argsort(descending=True, stable=True)]
        masks = found.probs > self.mask_thresh
        scores = matrix_nms(masks, found.classes, found.scores, self.nms_kernel, self.nms_sigma)
        found = Found(found.probs, scores, found.classes)[scores > self.score_thresh]
        return found[found.scores.argsort(descending=True, stable=True)[: self.max_detections]]

    def instances(self, found: Found, sizes: Sizes) -> Instances:
        """With N x H x W bool masks and their tight boxes, as Detectron2's models answer; without empty masks."""
        masks = found.probs.new_zeros((len(found.probs), *sizes.output), dtype=torch.bool)
        for first in range(0, len(masks), _TOGETHER):
            rows = slice(first, first + _TOGETHER)
            masks[rows] = _full_size(found.probs[rows], sizes) > self.mask_thresh
        kept = masks.flatten(1).any(dim=1)
        answer = Instances(sizes.output)
        answer.pred_masks = masks[kept]
        answer.pred_boxes = _tight_boxes(answer.pred_masks)
        answer.scores = found.scores[kept]
        answer.pred_classes = found.classes[kept]
        return answer


def _full_size(probs: Tensor, sizes: Sizes) -> Tensor:
    """n x h x w of the padded image -> n x H x W of the answer."""
    height, width = sizes.image
    image = resized(probs[None], sizes.padded)[:, :, :height, :width]
    return F.interpolate(image, size=sizes.output, mode="bilinear", align_corners=False)[0]


def _tight_boxes(masks: Tensor) -> Boxes:
    boxes = BitMasks(masks).get_bounding_boxes()
    return Boxes(boxes.tensor.to(masks.device))
