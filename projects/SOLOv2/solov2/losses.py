"""The losses of SOLOv2: focal loss for the categories of all cells, dice loss for the masks of the positive ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from fvcore.nn import sigmoid_focal_loss
from torch import Tensor

from solov2.layers import dynamic_conv
from solov2.levels import Level, levels_from_config
from solov2.targets import CellTargets, Truth, assign
from thingstuff.errors import ConfigError


def dice_loss(probs: Tensor, truth: Tensor) -> Tensor:
    """1 - 2 sum(p q) / (sum(p^2) + sum(q^2)) of each of P x H x W pairs (SOLO's; V-Net, 2016). Of two empty ones 1."""
    p, q = probs.flatten(1), truth.flatten(1).to(probs.dtype)
    both = p.square().sum(dim=1) + q.square().sum(dim=1)
    return 1 - 2 * (p * q).sum(dim=1) / both.clamp(min=1e-6)


@dataclass(frozen=True)
class GridLoss:
    """L = category_weight * L_category + mask_weight * L_mask, each a mean over the positive cells of the batch."""

    levels: Sequence[Level]
    center_share: float
    focal_alpha: float
    focal_gamma: float
    category_weight: float
    mask_weight: float

    @classmethod
    def from_config(cls, cfg: CfgNode) -> GridLoss:
        node = cfg.MODEL.SOLOV2
        if node.CENTER_SHARE < 0:
            raise ConfigError(f"MODEL.SOLOV2.CENTER_SHARE is {node.CENTER_SHARE}, expected 0 or more")
        return cls(
            levels_from_config(cfg),
            node.CENTER_SHARE,
            node.FOCAL_ALPHA,
            node.FOCAL_GAMMA,
            node.CATEGORY_WEIGHT,
            node.MASK_WEIGHT,
        )

    def __call__(
        self, category: Sequence[Tensor], kernels: Sequence[Tensor], features: Tensor, truths: Sequence[Truth]
    ) -> dict[str, Tensor]:
        """The outputs of `GridHead` and `MaskHead` for N images, and the truth of each."""
        stride = truths[0].masks.shape[1] // features.shape[2]
        small = [truth.small_masks(stride) for truth in truths]
        pairs = zip(truths, small, strict=True)
        targets = [assign(self.levels, self.center_share, t, masks.flatten(1).any(dim=1)) for t, masks in pairs]
        positives = max(1, sum(int(each.positive.sum()) for each in targets))
        category_loss = self._category(_by_cell(category), truths, targets)
        mask_loss = self._masks(_by_cell(kernels), features, small, targets)
        return {
            "loss_category": self.category_weight * category_loss / positives,
            "loss_mask": self.mask_weight * mask_loss / positives,
        }

    def _category(self, logits: Tensor, truths: Sequence[Truth], targets: Sequence[CellTargets]) -> Tensor:
        """The sum over all cells of all images of N x cells x C logits."""
        pairs = zip(targets, truths, strict=True)
        wanted = torch.stack([each.one_hot(truth.classes, logits.shape[2]) for each, truth in pairs])
        return sigmoid_focal_loss(logits, wanted, self.focal_alpha, self.focal_gamma, reduction="sum")

    def _masks(
        self, kernels: Tensor, features: Tensor, small: Sequence[Tensor], targets: Sequence[CellTargets]
    ) -> Tensor:
        """The sum over all positive cells. Without any it is 0, and no gradient is absent."""
        sums = []
        for own, image, masks, each in zip(kernels, features, small, targets, strict=True):
            probs = dynamic_conv(own[each.positive], image).sigmoid()
            sums.append(dice_loss(probs, masks[each.owners[each.positive]]).sum())
        return torch.stack(sums).sum()


def _by_cell(levels: Sequence[Tensor]) -> Tensor:
    """N x C x S x S of every level -> N x cells x C float32, in the order of `CellTargets`."""
    return torch.cat([level.flatten(2) for level in levels], dim=2).transpose(1, 2).float()
