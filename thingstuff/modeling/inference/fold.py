"""A convolution with its batch norm folded into weight and bias, as it is in inference."""

from __future__ import annotations

import torch
from detectron2.layers import FrozenBatchNorm2d
from torch import nn

_FOLDABLE = (FrozenBatchNorm2d, nn.modules.batchnorm._BatchNorm)


def folded(conv: nn.Conv2d) -> tuple[torch.Tensor, torch.Tensor | None, nn.Module | None]:
    """Weight (out x in x h x w), bias (out, None where there is none), and the norm that remains to be applied.

    Batch norms with running statistics are folded, in float64, so that the result differs from `conv` by the rounding
    of its own arithmetic only. Any other norm, such as GroupNorm, depends on the image and remains.
    """
    weight, bias = conv.weight.detach(), None if conv.bias is None else conv.bias.detach()
    norm = getattr(conv, "norm", None)
    if not is_foldable(norm):
        return weight, bias, norm
    scale, shift = _scale_and_shift(norm)
    shift = shift if bias is None else shift + bias.double() * scale
    return (weight.double() * scale[:, None, None, None]).to(weight.dtype), shift.to(weight.dtype), None


def is_foldable(norm: nn.Module | None) -> bool:
    return isinstance(norm, _FOLDABLE) and norm.running_mean is not None


def has_relu(activation: object) -> bool:
    """Whether an activation is a ReLU, whichever way it was written."""
    return isinstance(activation, nn.ReLU) or activation in (torch.relu, nn.functional.relu)


def _scale_and_shift(norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    scale = (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return scale, shift
