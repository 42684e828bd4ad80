"""The prediction head: class, box and mask coefficients of every anchor (figure 4 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.modeling.meta_arch.dense_detector import permute_to_N_HWA_K
from torch import Tensor, nn
from torch.nn import functional as F

from yolact.convs import conv


@dataclass(frozen=True)
class Predictions:
    """Of N images with A anchors, those of all levels one after the other, each level as Detectron2 orders them.

    `logits` N x A x (classes + 1), the background last; `deltas` N x A x 4, against the anchor; `coefficients`
    N x A x k in -1...1.
    """

    logits: Tensor
    deltas: Tensor
    coefficients: Tensor

    def float(self) -> Predictions:
        return Predictions(self.logits.float(), self.deltas.float(), self.coefficients.float())


class PredictionHead(nn.Module):
    """One set of weights for all levels: a shared convolution, and one for each kind of answer."""

    def __init__(
        self, in_channels: int, convs_dim: int, anchors_per_cell: int, num_classes: int, num_prototypes: int
    ) -> None:
        super().__init__()
        self.num_classes, self.num_prototypes = num_classes, num_prototypes
        self.shared = conv(in_channels, convs_dim)
        self.cls_score = conv(convs_dim, anchors_per_cell * (num_classes + 1))
        self.bbox_pred = conv(convs_dim, anchors_per_cell * 4)
        self.coefficient_pred = conv(convs_dim, anchors_per_cell * num_prototypes)

    def forward(self, features: Sequence[Tensor]) -> Predictions:
        shared = [F.relu(self.shared(level)) for level in features]
        return Predictions(
            _joined([self.cls_score(level) for level in shared], self.num_classes + 1),
            _joined([self.bbox_pred(level) for level in shared], 4),
            torch.tanh(_joined([self.coefficient_pred(level) for level in shared], self.num_prototypes)),
        )


def _joined(levels: Sequence[Tensor], length: int) -> Tensor:
    """N x (anchors * length) x H x W of each level -> N x A x length."""
    return torch.cat([permute_to_N_HWA_K(level.contiguous(), length) for level in levels], dim=1)
