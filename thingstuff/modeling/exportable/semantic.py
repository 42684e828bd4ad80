"""The semantic head, stopped before it scales its logits up where that is all it does then."""

from __future__ import annotations

import torch
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from torch import nn


class SemanticLogits(nn.Module):
    """Features -> 1 x C x h x w logits, `stride` pixels of the canvas apart.

    Panoptic FPN's head scales its logits up by its stride, bilinearly, which whoever reads them does as well, from a
    sixteenth of the numbers. Any other head is called as it is, and its stride is 1.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head
        self._small = type(head).forward is SemSegFPNHead.forward
        self.stride = int(head.common_stride) if self._small else 1

    def forward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.head.layers(features) if self._small else self.head(features, None)[0]
