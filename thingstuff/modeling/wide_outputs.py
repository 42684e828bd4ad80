"""The last layers of a model's heads in float32 under mixed precision: their rounding would be that of the losses."""

from __future__ import annotations

from typing import Any

import torch
from detectron2 import layers
from torch import nn

# how Detectron2 calls the layers that give scores, offsets and masks
_OUTPUTS = {"cls_score", "bbox_pred", "ctrness", "objectness_logits", "anchor_deltas", "predictor", "score_lowres"}


def widen_outputs(model: nn.Module) -> None:
    """Let every output layer compute in float32 under autocast. Without autocast nothing changes, and names stay."""
    for name, module in model.named_modules():
        wide = _WIDE.get(type(module))
        if wide is not None and name.rpartition(".")[2] in _OUTPUTS:
            module.__class__ = wide


class _Wide:
    def forward(self, features: torch.Tensor, *others: Any) -> torch.Tensor:
        device = features.device.type
        if not torch.is_autocast_enabled(device):
            return super().forward(features, *others)  # type: ignore[misc]
        with torch.autocast(device, enabled=False):
            return super().forward(features.float(), *others)  # type: ignore[misc]


class _Linear(_Wide, nn.Linear):
    pass


class _Conv2d(_Wide, nn.Conv2d):
    pass


class _Detectron2Conv2d(_Wide, layers.Conv2d):
    pass


class _ConvTranspose2d(_Wide, nn.ConvTranspose2d):
    pass


_WIDE: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: _Linear,
    nn.Conv2d: _Conv2d,
    layers.Conv2d: _Detectron2Conv2d,
    nn.ConvTranspose2d: _ConvTranspose2d,
}
