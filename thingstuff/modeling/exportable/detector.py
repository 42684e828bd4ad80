"""An R-CNN on tensors: Detectron2's `StandardROIHeads` in inference, for one image."""

from __future__ import annotations

import torch
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import StandardROIHeads
from torch import nn
from torch.nn import functional as F

from thingstuff.modeling.exportable.boxes import clipped
from thingstuff.modeling.exportable.nms import surviving
from thingstuff.modeling.exportable.pool import Pool
from thingstuff.modeling.exportable.proposals import Proposals


class Detector(nn.Module):
    """Features and the image's size -> `boxes`, `scores`, `classes` and, with a mask head, `masks`."""

    def __init__(self, rpn: RPN, heads: StandardROIHeads) -> None:
        super().__init__()
        self.proposals = Proposals(rpn)
        self.box_pool = Pool(heads.box_pooler, heads.box_in_features)
        self.box_head, self.predictor = heads.box_head, heads.box_predictor
        self.score_thresh = float(self.predictor.test_score_thresh)
        self.nms_thresh = float(self.predictor.test_nms_thresh)
        self.most = int(self.predictor.test_topk_per_image)
        self.mask_head = heads.mask_head if heads.mask_on else None
        self.mask_pool = Pool(heads.mask_pooler, heads.mask_in_features) if heads.mask_on else None

    @property
    def output_names(self) -> tuple[str, ...]:
        return ("boxes", "scores", "classes") if self.mask_head is None else ("boxes", "scores", "classes", "masks")

    def forward(self, features: dict[str, torch.Tensor], image_size: torch.Tensor) -> tuple[torch.Tensor, ...]:
        proposals, present = self.proposals(features, image_size)
        logits, deltas = self.predictor(self.box_head(self.box_pool(features, proposals)))
        boxes = self.predictor.box2box_transform.apply_deltas(deltas, proposals)
        found = self._chosen(boxes, self._probabilities(logits), present, image_size)
        return found if self.mask_head is None else (*found, self._masks(features, found[0], found[2]))

    def _probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.sigmoid() if self.predictor.use_sigmoid_ce else F.softmax(logits, dim=-1)

    def _chosen(
        self, boxes: torch.Tensor, probabilities: torch.Tensor, present: torch.Tensor, image_size: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """R x 4K (or R x 4) boxes and R x (K + 1) probabilities -> the best boxes of each class."""
        valid = present & boxes.isfinite().all(1) & probabilities.isfinite().all(1)
        per_class = clipped(boxes.reshape(boxes.shape[0], -1, 4), image_size)
        scores = probabilities[:, :-1]
        pairs = ((scores > self.score_thresh) & valid[:, None]).nonzero()
        rows, classes = pairs[:, 0], pairs[:, 1]
        chosen = per_class[rows, 0 if per_class.shape[1] == 1 else classes]
        scores = scores[rows, classes]
        survivors = self._survivors(chosen, scores, classes)
        return chosen[survivors], scores[survivors], classes[survivors]

    def _survivors(self, boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Each class for itself, since every class has its place far from the others, as in torchvision."""
        highest = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).max()
        apart = boxes + (classes.to(boxes.dtype) * (highest + 1))[:, None]
        survivors = surviving(apart, scores, self.nms_thresh)
        return survivors[: self.most] if self.most >= 0 else survivors

    def _masks(self, features: dict[str, torch.Tensor], boxes: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        assert self.mask_head is not None
        assert self.mask_pool is not None
        logits = self.mask_head.layers(self.mask_pool(features, boxes))
        if logits.shape[1] == 1:  # the same for all classes
            return logits[:, 0].sigmoid()
        return logits[torch.arange(logits.shape[0], device=logits.device), classes].sigmoid()
