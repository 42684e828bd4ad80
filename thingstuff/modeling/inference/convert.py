"""A model made ready to predict fast: its parts change how they compute, not what they are or what they answer."""

from __future__ import annotations

import functools
from typing import Any

import torch
from detectron2.layers import ROIAlign
from torch import nn

from thingstuff.modeling.inference.blocks import fuse_blocks
from thingstuff.modeling.inference.proposals import fuse_proposals
from thingstuff.modeling.inference.roi_heads import fuse_roi_heads
from thingstuff.modeling.inference.semantic import fuse_semantic_head
from thingstuff.modeling.roi_align_rows import use_rows
from thingstuff.modeling.wide_outputs import widen_outputs


def make_fast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Change a Detectron2 model on its device, in place, to predict in `dtype`; it can be neither trained nor saved.

    Batch norms are folded, convolutions fused with what follows them and computed in channels_last; of proposals,
    boxes and masks only what is asked for is computed. With float32 the answers are the same but for rounding. With
    another dtype, boxes, their decoding, RoIAlign's sums and the heads' last layers stay in float32. Parts that are not
    known here run as they are, in a narrow dtype under autocast.
    """
    model.eval().requires_grad_(False)
    widen_outputs(model)
    if next(model.parameters()).device.type == "cpu":
        use_rows(model)
    for child in model.children():
        fuse_blocks(child, dtype)
        fuse_proposals(child)
        fuse_roi_heads(child, dtype)
        fuse_semantic_head(child)
        if dtype is not torch.float32:
            _widen_pooling(child)
            _autocast(child, dtype)
    return model


class _WideROIAlign(ROIAlign):
    """Elsewhere than on a CPU: Detectron2's own would round the boxes to the features' dtype."""

    def forward(self, input: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:  # noqa: A002
        return super().forward(input.float(), rois.float()).to(input.dtype)


def _widen_pooling(part: nn.Module) -> None:
    for module in part.modules():
        if type(module) is ROIAlign:
            module.__class__ = _WideROIAlign


def _autocast(part: nn.Module, dtype: torch.dtype) -> None:
    """Let a part compute under autocast whoever calls it; it is still an instance of its class."""
    part.__class__ = _autocast_class(type(part), dtype)


@functools.cache
def _autocast_class(kind: type[nn.Module], dtype: torch.dtype) -> type[nn.Module]:
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        device = _device_type(args, kwargs)
        with torch.autocast(device, dtype):
            return kind.forward(self, *args, **kwargs)

    return type(kind.__name__, (kind,), {"forward": forward, "__doc__": kind.__doc__})


def _device_type(args: Any, kwargs: Any) -> str:
    """That of the first tensor among the arguments, however they are packed."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor):
            return value.device.type
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
        if inner:
            return _device_type(inner, {})
    return "cpu"
