"""Detectron2's semantic head, which can be asked to leave its scores as small as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead
from torch import nn


def fuse_semantic_head(head: nn.Module) -> None:
    """Change a `SemSegFPNHead`; any other stays as it is. Its convolutions are fused elsewhere."""
    if type(head) is SemSegFPNHead:
        head.__class__ = _SmallHead


class _SmallHead(SemSegFPNHead):
    """In inference."""

    enlarges = True

    def forward(
        self, features: dict[str, torch.Tensor], targets: None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        scores = self.layers(features)
        return enlarged(scores, self.common_stride) if self.enlarges else scores, {}


def enlarged(scores: torch.Tensor, stride: int) -> torch.Tensor:
    """The head's last step: N x C x h x w -> N x C x (h stride) x (w stride)."""
    return F.interpolate(scores, scale_factor=float(stride), mode="bilinear", align_corners=False)


@contextmanager
def small_scores(model: nn.Module) -> Iterator[int]:
    """By how much the semantic scores of `model` are smaller than they would be, in the block; 1 if it cannot."""
    head = getattr(model, "sem_seg_head", None)
    if not isinstance(head, _SmallHead):
        yield 1
        return
    head.enlarges = False
    try:
        yield head.common_stride
    finally:
        head.enlarges = True
