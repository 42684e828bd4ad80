"""What the two branches are made of: coordinates as channels, convolutions with norms, dynamic convolutions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from detectron2.layers import Conv2d, get_norm
from fvcore.nn.weight_init import c2_msra_fill
from torch import Tensor, nn
from torch.nn import functional as F

from thingstuff.errors import ConfigError

COORDINATES = 2  # channels that `with_coordinates` adds
_GROUPS = 32  # of Detectron2's GN
_NORMS = ("", "GN", "BN", "SyncBN", "FrozenBN", "LN")


def with_coordinates(features: Tensor) -> Tensor:
    """N x C x H x W -> N x (C + 2) x H x W: each place's x and y, from -1 at the first to 1 at the last (CoordConv).

    R. Liu et al., An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution, NeurIPS 2018.
    """
    count, _, height, width = features.shape
    x = torch.linspace(-1, 1, width, device=features.device, dtype=features.dtype)
    y = torch.linspace(-1, 1, height, device=features.device, dtype=features.dtype)
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
    return torch.cat([features, grid.expand(count, -1, -1, -1)], dim=1)


def conv_block(in_channels: int, out_channels: int, norm: str, kernel_size: int = 3) -> Conv2d:
    """A convolution that keeps the size, its norm, and a ReLU."""
    _refuse_odd_norm(norm, out_channels)
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        padding=kernel_size // 2,
        bias=not norm,
        norm=get_norm(norm, out_channels),
        activation=F.relu,
    )
    c2_msra_fill(conv)
    return conv


def tower(in_channels: int, channels: int, convs: int, norm: str) -> nn.Sequential:
    """`convs` blocks of 3 x 3 one after the other."""
    widths = [in_channels, *[channels] * convs]
    return nn.Sequential(*(conv_block(*pair, norm) for pair in itertools.pairwise(widths)))


def resized(features: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, with the corners of the outer pixels aligned."""
    return F.interpolate(features, size=tuple(size), mode="bilinear", align_corners=False)


def dynamic_conv(kernels: Tensor, features: Tensor) -> Tensor:
    """P kernels of E weights on the E x H x W features of an image -> P x H x W: 1 x 1 convolutions.

    Computed in float32 under autocast, too: the rounding of mask logits would be that of the loss.
    """
    with torch.autocast(features.device.type, enabled=False):
        flat = kernels.float() @ features.float().flatten(1)
    return flat.unflatten(1, features.shape[1:])


def _refuse_odd_norm(norm: str, channels: int) -> None:
    if norm not in _NORMS:
        raise ConfigError(f"MODEL.SOLOV2.NORM is {norm!r}, expected one of {', '.join(map(repr, _NORMS))}")
    if norm == "GN" and channels % _GROUPS:
        raise ConfigError(
            f"MODEL.SOLOV2.NORM GN has {_GROUPS} groups, which do not divide {channels} channels: change CONV_DIM, "
            "MASK_CONV_DIM or MASK_DIM, or the norm"
        )
