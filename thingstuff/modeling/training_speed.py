"""A model made ready for fast training: the layout of its images in memory, and what of it is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from thingstuff.errors import ConfigError
from thingstuff.modeling.roi_align_rows import use_rows
from thingstuff.modeling.wide_outputs import widen_outputs


def prepare_model(model: nn.Module, *, channels_last: bool, compile_backbone: bool) -> None:
    """Change how a Detectron2 model computes, not what: results differ by rounding, names in checkpoints stay.

    Under autocast the heads' output layers compute in float32. On a CPU, RoIAlign is computed by rows under autocast
    and with `channels_last`. With neither, and without
    `compile_backbone`, every number is the same as before. Call it before the model is wrapped for several GPUs, and
    let it predict within `plain_layout`.
    """
    if (channels_last or compile_backbone) and not isinstance(getattr(model, "backbone", None), nn.Module):
        key = "MODEL.CHANNELS_LAST" if channels_last else "MODEL.COMPILE_BACKBONE"
        raise ConfigError(f"{key} is for models with a backbone, and {type(model).__name__} has none: turn it off")
    use_rows(model)
    widen_outputs(model)
    if channels_last:
        model.to(memory_format=torch.channels_last)
        model.backbone.register_forward_pre_hook(_to_channels_last)
    if compile_backbone:
        model.backbone.compile(dynamic=True)  # in place: a wrapper would rename the parameters


@contextmanager
def plain_layout(model: nn.Module) -> Iterator[None]:
    """A prepared model predicts what its saved weights predict anywhere, to the last bit, until the block ends."""
    if not any(_is_channels_last(parameter) for parameter in model.parameters()):
        yield
        return
    model.to(memory_format=torch.contiguous_format)
    try:
        yield
    finally:
        model.to(memory_format=torch.channels_last)


def _is_channels_last(value: torch.Tensor) -> bool:
    return value.dim() == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)


def _to_channels_last(backbone: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if not backbone.training:
        return arguments
    images, *others = arguments
    return images.contiguous(memory_format=torch.channels_last), *others
