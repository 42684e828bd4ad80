"""Detectron2's layers, residual blocks and FPN with the same structure and fused arithmetic.

A module keeps its place, its children and its attributes and gets another class, so that whatever holds a reference to
it, or asks what it is, goes on working. Its own weights go, for they live on in the fused form.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from detectron2 import layers
from detectron2.modeling.backbone.fpn import FPN
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, BottleneckBlock
from torch import nn

from thingstuff.modeling.inference.dense import Conv, Geometry
from thingstuff.modeling.inference.fold import folded, has_relu


def fuse_blocks(model: nn.Module, dtype: torch.dtype) -> None:
    """Change every known convolution, block and FPN below `model`, which computes in `dtype` there from then on."""
    for module in list(model.modules()):
        fuse = _FUSE.get(type(module))
        if fuse is not None:
            fuse(module, dtype)
    for module in list(model.modules()):
        if type(module) in (layers.Conv2d, nn.Conv2d) and _is_plain(module):
            fuse_conv(module, dtype)


class FusedConv2d(layers.Conv2d):
    """With its norm folded, and the ReLU that follows it, in one call. `add` or `coarse` is added before the ReLU."""

    conv: Conv
    norm_left: nn.Module | None
    activation_left: Callable[[torch.Tensor], torch.Tensor] | None

    def forward(
        self, x: torch.Tensor, add: torch.Tensor | None = None, coarse: torch.Tensor | None = None
    ) -> torch.Tensor:
        y = self.conv(x, add, coarse)
        if self.norm_left is not None:
            y = self.norm_left(y)
        return y if self.activation_left is None else self.activation_left(y)


def fuse_conv(conv: nn.Conv2d, dtype: torch.dtype, relu: bool = False) -> None:
    """Of Detectron2 or of PyTorch. `relu`: the ReLU that its caller applied to the result moves into it."""
    weight, bias, norm = folded(conv)
    activation = getattr(conv, "activation", None)
    own_relu = has_relu(activation) and norm is None
    conv.__class__ = FusedConv2d
    geometry = Geometry(conv.stride, conv.padding, conv.dilation, conv.groups)
    conv.conv = Conv(weight, bias, geometry, relu or own_relu, dtype)
    conv.norm_left, conv.activation_left = norm, None if own_relu else activation
    conv.weight = conv.bias = conv.norm = conv.activation = None


def _is_plain(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _fuse_all(convs: list[layers.Conv2d | None], dtype: torch.dtype, relu: list[bool]) -> bool:
    """Fuse the convolutions of a block, where nothing lies between each and its ReLU or its addition."""
    present = [(conv, flag) for conv, flag in zip(convs, relu, strict=True) if conv is not None]
    if not all(type(c) is layers.Conv2d and _is_plain(c) and c.activation is None for c, _ in present):
        return False
    if any(folded(conv)[2] is not None for conv, _ in present):
        return False
    for conv, flag in present:
        fuse_conv(conv, dtype, flag)
    return True


class _Stem(BasicStem):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(self.conv1(x), kernel_size=3, stride=2, padding=1)


class _Basic(BasicBlock):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return self.conv2(self.conv1(x), add=shortcut)


class _Bottleneck(BottleneckBlock):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return self.conv3(self.conv2(self.conv1(x)), add=shortcut)


class _FPN(FPN):
    """The addition of the coarser level is part of each lateral convolution."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        bottom_up = self.bottom_up(x)
        merged = self.lateral_convs[0](bottom_up[self.in_features[-1]])
        results = [self.output_convs[0](merged)]
        names = list(self.in_features[:-1])[::-1]
        for name, lateral, output in zip(names, self.lateral_convs[1:], self.output_convs[1:], strict=True):
            merged = lateral(bottom_up[name], coarse=merged)
            results.insert(0, output(merged))
        if self.top_block is not None:
            name = self.top_block.in_feature
            results.extend(self.top_block(bottom_up[name] if name in bottom_up else results[self._place(name)]))
        return dict(zip(self._out_features, results, strict=True))

    def _place(self, name: str) -> int:
        return self._out_features.index(name)


def _fuse_stem(stem: BasicStem, dtype: torch.dtype) -> None:
    if _fuse_all([stem.conv1], dtype, [True]):
        stem.__class__ = _Stem


def _fuse_basic(block: BasicBlock, dtype: torch.dtype) -> None:
    if _fuse_all([block.conv1, block.conv2, block.shortcut], dtype, [True, True, False]):
        block.__class__ = _Basic


def _fuse_bottleneck(block: BottleneckBlock, dtype: torch.dtype) -> None:
    if _fuse_all([block.conv1, block.conv2, block.conv3, block.shortcut], dtype, [True, True, True, False]):
        block.__class__ = _Bottleneck


def _fuse_fpn(fpn: FPN, dtype: torch.dtype) -> None:
    laterals = list(fpn.lateral_convs)
    if fpn._fuse_type == "sum" and _fuse_all(laterals, dtype, [False] * len(laterals)):
        fpn.__class__ = _FPN


_FUSE: dict[type[nn.Module], Callable[..., None]] = {
    BasicStem: _fuse_stem,
    BasicBlock: _fuse_basic,
    BottleneckBlock: _fuse_bottleneck,
    FPN: _fuse_fpn,
}
