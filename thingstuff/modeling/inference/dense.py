"""Convolutions and linear layers with what follows them in one call: an addition, a ReLU.

On a CPU these are oneDNN's fused operators with weights that are brought into its own layout once. PyTorch keeps them
for its compiler and does not document them, so they are tried before they are used; without them, and on other
devices, the same is computed in separate steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from thingstuff.modeling.inference import product, winograd

_Pair = tuple[int, int]
# how oneDNN lays out the weights of a convolution depends on the size of the image, which nobody knows beforehand, and
# the wrong layout makes large ones of 1 x 1 five times slower; those of a matrix product have no such trap
_MANY_WEIGHTS = 1 << 19
_TYPICAL_SIZE = (48, 64)


@dataclass(frozen=True)
class Geometry:
    """Of a convolution; `padding` as numbers, the same on both sides."""

    stride: _Pair = (1, 1)
    padding: _Pair = (0, 0)
    dilation: _Pair = (1, 1)
    groups: int = 1


class Conv:
    """Called with N x C x H x W, in any layout, it gives channels_last in `dtype`: relu(conv(x) + bias + add).

    Instead of `add`, `coarse` may be given, half as high and wide, whose pixels are repeated.
    """

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, relu: bool, dtype: torch.dtype
    ) -> None:
        self._dtype = dtype
        self._run = _best_way(weight, geometry, dtype)(weight, bias, geometry, relu, dtype)

    def __call__(
        self, x: torch.Tensor, add: torch.Tensor | None = None, coarse: torch.Tensor | None = None
    ) -> torch.Tensor:
        x = _laid_out(x, self._dtype)
        if coarse is not None and isinstance(self._run, _Pointwise) and self._run.adds_coarse(x, coarse):
            return self._run(x, _laid_out(coarse, self._dtype), True)
        if coarse is not None:
            add = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return self._run(x, None if add is None else _laid_out(add, self._dtype))


def _laid_out(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def _best_way(weight: torch.Tensor, geometry: Geometry, dtype: torch.dtype) -> type:
    if geometry == Geometry(padding=(1, 1)) and winograd.serves(weight, dtype):
        return _Winograd
    if _is_product(weight, geometry) and dtype is torch.bfloat16 and product.serves(weight):
        return _Pointwise
    if _is_large_product(weight, geometry, dtype):
        return _Product
    return _Fused if weight.device.type == "cpu" and has_fused_ops(dtype) else _Plain


class _Winograd(winograd.WinogradConv):
    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, relu: bool, dtype: torch.dtype
    ) -> None:
        super().__init__(weight, bias, relu, dtype)


class _Pointwise(product.Product):
    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, relu: bool, dtype: torch.dtype
    ) -> None:
        super().__init__(weight, bias, relu)
        self._step = geometry.stride

    def __call__(self, x: torch.Tensor, add: torch.Tensor | None, coarse: bool = False) -> torch.Tensor:
        return self.pixels(x, self._step, add, coarse)

    def adds_coarse(self, x: torch.Tensor, coarse: torch.Tensor) -> bool:
        return self._step == (1, 1) and x.shape[2:] == (2 * coarse.shape[2], 2 * coarse.shape[3])


def _is_product(weight: torch.Tensor, geometry: Geometry) -> bool:
    return weight.shape[2:] == (1, 1) and geometry.padding == (0, 0) and geometry.groups == 1


def _is_large_product(weight: torch.Tensor, geometry: Geometry, dtype: torch.dtype) -> bool:
    is_large = weight.numel() >= _MANY_WEIGHTS
    return _is_product(weight, geometry) and is_large and dtype is torch.float32 and weight.device.type == "cpu"


class _Product:
    """A 1 x 1 convolution as a matrix product of its pixels."""

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, relu: bool, dtype: torch.dtype
    ) -> None:
        self._relu, self._stride = relu, geometry.stride
        self._linear = Linear(weight.flatten(1), bias, False, dtype)

    def __call__(self, x: torch.Tensor, add: torch.Tensor | None) -> torch.Tensor:
        seen = x[:, :, :: self._stride[0], :: self._stride[1]].permute(0, 2, 3, 1)
        y = self._linear(seen.flatten(0, 2)).unflatten(0, seen.shape[:3]).permute(0, 3, 1, 2)
        return _finish(y, add, self._relu)


class _Plain:
    """In steps, as any device can."""

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, relu: bool, dtype: torch.dtype
    ) -> None:
        self._weight, self._bias = _laid_out(weight, dtype), None if bias is None else bias.to(dtype)
        self._geometry, self._relu = geometry, relu

    def __call__(self, x: torch.Tensor, add: torch.Tensor | None) -> torch.Tensor:
        g = self._geometry
        y = F.conv2d(x, self._weight, self._bias, g.stride, g.padding, g.dilation, g.groups)
        return _finish(y, add, self._relu)


class _Fused(_Plain):
    """In one call of oneDNN."""

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, relu: bool, dtype: torch.dtype
    ) -> None:
        super().__init__(weight, bias, geometry, relu, dtype)
        self._channels, g = len(weight), geometry
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            self._weight, g.padding, g.stride, g.dilation, g.groups, [1, weight.shape[1] * g.groups, *_TYPICAL_SIZE]
        )

    def __call__(self, x: torch.Tensor, add: torch.Tensor | None) -> torch.Tensor:
        if not x.numel():
            return self._nothing(x)
        g, ops = self._geometry, torch.ops.mkldnn
        place = (self._weight, self._bias, g.padding, g.stride, g.dilation, g.groups)
        if add is None:
            return ops._convolution_pointwise(x, *place, "relu" if self._relu else "none", [], "")
        if g.groups > 1:  # for which it has no addition in bf16
            return _finish(ops._convolution_pointwise(x, *place, "none", [], ""), add, self._relu)
        return ops._convolution_pointwise.binary(x, add, *place, "add", 1.0, "relu" if self._relu else None, [], None)

    def _nothing(self, x: torch.Tensor) -> torch.Tensor:
        """For no images; the sizes are those of a convolution."""
        kernel = self._weight.shape[2:]
        g = self._geometry
        sizes = [
            (length + 2 * pad - spread * (k - 1) - 1) // stride + 1
            for length, pad, spread, k, stride in zip(x.shape[2:], g.padding, g.dilation, kernel, g.stride, strict=True)
        ]
        return x.new_empty((len(x), self._channels, *sizes))


class Linear:
    """Called with N x C it gives N x D in `dtype`: relu(x W^T + bias)."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, relu: bool, dtype: torch.dtype) -> None:
        self.relu, self._dtype, self._width = relu, dtype, len(weight)
        self._product = product.Product(weight, bias, relu) if _serves_rows(weight, dtype) else None
        if self._product is not None:
            return
        self._weight, self._bias = weight.to(dtype), None if bias is None else bias.to(dtype)
        self._is_fused = weight.device.type == "cpu" and has_fused_ops(dtype)
        if self._is_fused:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight.contiguous())

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = x.to(self._dtype)
        if self._product is not None:
            return self._product.rows(x)
        if self._is_fused and x.numel():
            return torch.ops.mkldnn._linear_pointwise(
                x, self._weight, self._bias, "relu" if self.relu else "none", [], ""
            )
        if self._is_fused:
            return x.new_empty(len(x), self._width)
        return _finish(F.linear(x, self._weight, self._bias), None, self.relu)

    def dots(self, x: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """N x C rows and n x E float32 vectors -> N x D / E float32.

        E by E, the products of a row's answer with a vector; N / n rows in turn share one.
        """
        x = x.to(self._dtype)
        found = None if self._product is None else self._product.dots(x, vectors)
        if found is None:
            parts = self._width // vectors.shape[1]
            answers = self(x).float().view(len(vectors), len(x) // max(len(vectors), 1) * parts, vectors.shape[1])
            found = torch.bmm(answers, vectors[:, :, None]).view(len(x), parts)
        return found


def _serves_rows(weight: torch.Tensor, dtype: torch.dtype) -> bool:
    return dtype is torch.bfloat16 and product.serves(weight)


def _finish(y: torch.Tensor, add: torch.Tensor | None, relu: bool) -> torch.Tensor:
    if add is not None:
        y += add
    return y.relu_() if relu else y


@functools.cache
def has_fused_ops(dtype: torch.dtype) -> bool:
    """Whether the operators of this PyTorch take these arguments and give the right numbers."""
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.rand(1, 8, 6, 6, generator=generator), torch.rand(8, 8, 3, 3, generator=generator) - 0.5
    bias = torch.rand(8, generator=generator)
    with torch.inference_mode():
        try:
            return all(_is_right(kind(x, weight, bias, dtype)) for kind in (_probe_conv, _probe_linear))
        except (AttributeError, RuntimeError, TypeError, NotImplementedError):
            return False


_Answers = tuple[torch.Tensor, torch.Tensor]
_Probe = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.dtype], _Answers]


def _is_right(answers: _Answers) -> bool:
    ours, expected = (answer.float() for answer in answers)
    return torch.allclose(ours, expected, rtol=0.03, atol=0.03)


def _probe_conv(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> _Answers:
    seen = _laid_out(x, dtype)
    ours = _Fused(weight, bias, Geometry(padding=(1, 1)), True, dtype)(seen, seen)
    return ours, (F.conv2d(x, weight, bias, padding=1) + x).relu_()


def _probe_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> _Answers:
    rows, matrix = x[0].flatten(1), weight[:, :4].reshape(8, 36)
    packed = torch.ops.mkldnn._reorder_linear_weight(matrix.to(dtype).contiguous())
    ours = torch.ops.mkldnn._linear_pointwise(rows.to(dtype), packed, bias.to(dtype), "relu", [], "")
    return ours, F.linear(rows, matrix, bias).relu_()
