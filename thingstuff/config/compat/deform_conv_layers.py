"""`DeformConv` and `ModulatedDeformConv` of Detectron2's signature, parameter names and shapes, through torchvision.

They take checkpoints of Detectron2's own. The CUDA code of both projects has one origin: the offsets of a kernel's
points are (dy, dx) pairs, group by group, and a point outside the image counts as 0.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.utils import _pair
from torchvision.ops import deform_conv2d


def deform_conv(
    input,  # noqa: A002  Detectron2's argument name
    offset,
    weight,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    deformable_groups=1,
    im2col_step=64,
):
    """Deformable convolution v1. The shapes tell the numbers of groups; `im2col_step` steered only the CUDA code."""
    return deform_conv2d(input, offset, weight, None, _pair(stride), _pair(padding), _pair(dilation))


def modulated_deform_conv(
    input,  # noqa: A002  Detectron2's argument name
    offset,
    mask,
    weight,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    deformable_groups=1,
):
    """Deformable convolution v2: each point of the kernel is also weighted by `mask`."""
    return deform_conv2d(input, offset, weight, bias, _pair(stride), _pair(padding), _pair(dilation), mask)


class _DeformConvBase(nn.Module):
    """Parameters, output shape, norm and activation, which both versions share."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding,
        dilation,
        groups,
        deformable_groups,
        bias,
        norm,
        activation,
    ):
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{in_channels} input and {out_channels} output channels do not divide into {groups} groups"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.deformable_groups = groups, deformable_groups
        self.norm, self.activation = norm, activation
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def _finish(self, x):
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)

    def _empty_output(self, x):
        """What an empty batch gives: the right shape, and zero gradients so that distributed training keeps in step."""
        geometry = zip(
            x.shape[-2:],
            self.kernel_size,
            *(_pair(value) for value in (self.stride, self.padding, self.dilation)),
            strict=True,
        )
        size = [
            (length + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for length, kernel, stride, pad, dilation in geometry
        ]
        untouched = x.sum() + sum(parameter.sum() for parameter in self.parameters(recurse=False))
        return x.new_zeros(len(x), self.out_channels, *size) + 0 * untouched

    def extra_repr(self):
        shown = (
            "in_channels",
            "out_channels",
            "kernel_size",
            "stride",
            "padding",
            "dilation",
            "groups",
            "deformable_groups",
        )
        return ", ".join([*(f"{name}={getattr(self, name)}" for name in shown), f"bias={self.bias is not None}"])


class DeformConv(_DeformConvBase):
    """Deformable convolution, https://arxiv.org/abs/1703.06211; never with a bias, as in Detectron2."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        deformable_groups=1,
        bias=False,
        norm=None,
        activation=None,
    ):
        if bias:
            raise ValueError("DeformConv has no bias: use ModulatedDeformConv")
        geometry = (_pair(value) for value in (stride, padding, dilation))
        super().__init__(
            in_channels, out_channels, kernel_size, *geometry, groups, deformable_groups, bias, norm, activation
        )

    def forward(self, x, offset):
        """N x C x H x W and offsets N x (2 deformable_groups kernel_points) x H' x W' -> N x out_channels x H' x W'."""
        if x.numel() == 0:
            return self._empty_output(x)
        return self._finish(deform_conv(x, offset, self.weight, self.stride, self.padding, self.dilation))


class ModulatedDeformConv(_DeformConvBase):
    """Deformable convolution v2, https://arxiv.org/abs/1811.11168."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        deformable_groups=1,
        bias=True,
        norm=None,
        activation=None,
    ):
        geometry = (stride, padding, dilation)
        super().__init__(
            in_channels, out_channels, kernel_size, *geometry, groups, deformable_groups, bias, norm, activation
        )
        self.with_bias = bias

    def forward(self, x, offset, mask):
        """As `DeformConv.forward`, with weights N x (deformable_groups kernel_points) x H' x W' for the points."""
        if x.numel() == 0:
            return self._empty_output(x)
        x = modulated_deform_conv(x, offset, mask, self.weight, self.bias, self.stride, self.padding, self.dilation)
        return self._finish(x)
