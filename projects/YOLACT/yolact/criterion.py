"""The four losses of a batch (sections 3.3, 4 and 5 of the paper), and the semantic layer that only training needs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import Boxes
from torch import Tensor, nn

from yolact.assembly import assemble
from yolact.convs import conv
from yolact.head import Predictions
from yolact.losses import box_loss, class_loss, mask_loss, semantic_loss, semantic_target
from yolact.matching import AnchorMatcher, Matches
from yolact.truth import Truth, shrunk


@dataclass(frozen=True)
class LossWeights:
    """The paper's, for class, box, mask and semantic loss."""

    classes: float = 1.0
    boxes: float = 1.5
    masks: float = 6.125
    semantic: float = 1.0


class Criterion(nn.Module):
    """Losses by name. Those of anchors are sums over the batch, divided by its positives; the semantic one is a mean.

    Of an image at most `masks_per_image` positives learn masks, drawn at random; they stand for all.
    """

    def __init__(
        self,
        *,
        matcher: AnchorMatcher,
        box2box: Box2BoxTransform,
        semantic_channels: int,
        negatives_per_positive: int,
        masks_per_image: int,
        weights: LossWeights,
    ) -> None:
        super().__init__()
        self.matcher, self.box2box, self.weights = matcher, box2box, weights
        self.negatives_per_positive = negatives_per_positive
        self.masks_per_image = masks_per_image
        # called as Detectron2's semantic heads are: so weights of other classes are known for what they are
        layer = conv(semantic_channels, matcher.num_classes, kernel=1)
        self.sem_seg_head = nn.Sequential(OrderedDict(predictor=layer))

    def forward(
        self,
        anchors: Boxes,
        predictions: Predictions,
        prototypes: Tensor,
        largest_features: Tensor,
        truths: Sequence[Truth],
    ) -> dict[str, Tensor]:
        """`anchors` are those of each image; `largest_features` the level that the prototypes are made of."""
        semantic_logits = self.sem_seg_head(largest_features)
        with torch.autocast(prototypes.device.type, enabled=False):  # sums over thousands of pixels
            predictions, prototypes = predictions.float(), prototypes.float()
            matches = [self.matcher(anchors, t.boxes, t.classes, t.crowds) for t in truths]
            positives = max(1, sum(len(m.positives) for m in matches))
            images = range(len(truths))
            classes = [class_loss(predictions.logits[i], matches[i], self.negatives_per_positive) for i in images]
            boxes = [self._boxes(anchors, predictions.deltas[i], matches[i], truths[i]) for i in images]
            masks = [self._masks(prototypes[i], predictions.coefficients[i], matches[i], truths[i]) for i in images]
            semantic = [self._semantic(semantic_logits[i].float(), truths[i]) for i in images]
            return {
                "loss_cls": self.weights.classes * torch.stack(classes).sum() / positives,
                "loss_box_reg": self.weights.boxes * torch.stack(boxes).sum() / positives,
                "loss_mask": self.weights.masks * torch.stack(masks).sum() / positives,
                "loss_semantic": self.weights.semantic * torch.stack(semantic).mean(),
            }

    def _boxes(self, anchors: Boxes, deltas: Tensor, matches: Matches, truth: Truth) -> Tensor:
        rows = matches.positives
        targets = truth.boxes.tensor[matches.truths[rows]]
        return box_loss(deltas[rows], self.box2box.get_deltas(anchors.tensor[rows], targets))

    def _masks(self, prototypes: Tensor, coefficients: Tensor, matches: Matches, truth: Truth) -> Tensor:
        rows = matches.positives
        count = len(rows)
        if count > self.masks_per_image:
            rows = rows[torch.randperm(count, device=rows.device)[: self.masks_per_image]]
        height, width = prototypes.shape[1:]
        meant = matches.truths[rows]
        boxes = truth.boxes.tensor[meant] * (width / truth.masks.shape[2])
        masks = shrunk(truth.masks, height, width)[meant].float()
        loss = mask_loss(assemble(prototypes, coefficients[rows]), masks, boxes)
        return loss * (count / max(1, len(rows)))

    def _semantic(self, logits: Tensor, truth: Truth) -> Tensor:
        num_classes, height, width = logits.shape
        target = semantic_target(shrunk(truth.masks, height, width), truth.classes, num_classes)
        return semantic_loss(logits, target, shrunk(truth.counts[None], height, width)[0])
