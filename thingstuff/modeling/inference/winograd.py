"""3 x 3 convolutions on a CPU with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3), in fp32 and in bf16.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016). The arithmetic is native/winograd.c and
native/winograd_bf16.c. In fp32 results differ from the direct convolution's by rounding, about ten times as much as two
direct convolutions do; in bf16, whose transforms are fp32, they are two to four times as far from the exact sums as the
direct convolution's.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from thingstuff.modeling.inference.cpu import multiplies_bf16_pairs
from thingstuff.modeling.inference.native import library
from thingstuff.modeling.inference.native.threads import share

_FEWEST_CHANNELS = 32  # with fewer the transforms cost what the multiplications save
_ROOT = 2**0.5


@dataclass(frozen=True)
class _Arithmetic:
    """A source, its numbers, what a filter's three weights along an axis become in it, and how far it may be off."""

    source: str
    dtype: torch.dtype
    filter: tuple[tuple[float, float, float], ...]
    tolerance: float


_FP32 = _Arithmetic(
    "winograd",
    torch.float32,
    (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    1e-3,
)
_BF16 = _Arithmetic(
    "winograd_bf16",
    torch.bfloat16,
    (
        (1, 0, 0),
        (-2 / 3, -_ROOT / 3, -1 / 3),
        (-2 / 3, _ROOT / 3, -1 / 3),
        (1 / 6, _ROOT / 6, 1 / 3),
        (1 / 6, -_ROOT / 6, 1 / 3),
        (0, 0, 1),
    ),
    0.1,
)


def serves(weight: torch.Tensor, dtype: torch.dtype = torch.float32) -> bool:
    """Whether a convolution of stride 1, padding 1 and these weights (out x in x 3 x 3) is computed faster here."""
    if weight.shape[2:] != (3, 3) or weight.device.type != "cpu" or min(weight.shape[:2]) < _FEWEST_CHANNELS:
        return False
    kernel = _kernel(dtype)
    return kernel is not None and not any(channels % kernel.lanes for channels in weight.shape[:2])


class WinogradConv:
    """Called with N x C x H x W in `dtype`, channels_last, it gives D channels likewise: relu(conv(x) + bias + add)."""

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, relu: bool, dtype: torch.dtype = torch.float32
    ) -> None:
        kernel = _kernel(dtype)
        if kernel is None:
            raise RuntimeError("the kernel is not there: ask serves() first")
        self._kernel, self._relu, self._channels = kernel, relu, len(weight)
        self._panels = kernel.panels(weight)
        bias = torch.zeros(len(weight)) if bias is None else bias.float()
        self._bias = F.pad(bias, (0, -len(bias) % kernel.columns)).contiguous()

    def __call__(self, x: torch.Tensor, add: torch.Tensor | None = None) -> torch.Tensor:
        images, channels, height, width = x.shape
        size = (images, self._channels, height, width)
        y = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
        if add is not None and add.shape != y.shape:
            raise ValueError(f"what is added is {tuple(add.shape)}, expected {size}")
        if x.numel():
            shape = _Shape(images, height, width, channels, self._channels, self._relu)
            self._kernel.run(x, self._panels, self._bias, add, y, shape)
        return y


class _Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("images", "height", "width", "in_channels", "out_channels", "relu")]

    @property
    def tiles(self) -> int:
        return self.images * -(-self.height // 4) * -(-self.width // 4)


class _Kernel:
    """The compiled functions of one arithmetic."""

    def __init__(self, compiled: ctypes.CDLL, arithmetic: _Arithmetic) -> None:
        compiled.winograd_scratch.restype = ctypes.c_size_t
        compiled.winograd_blocks.argtypes = [ctypes.c_void_p] * 6 + [ctypes.c_int] * 2 + [ctypes.c_void_p]
        compiled.winograd_blocks.restype = None
        self._compiled, self.arithmetic = compiled, arithmetic
        self.lanes, self.columns = compiled.winograd_lanes(), compiled.winograd_columns()
        self._tiles = compiled.winograd_tiles()

    def panels(self, weight: torch.Tensor) -> torch.Tensor:
        """Transformed weights as the kernel reads them: output channels / columns x 36 x in x columns.

        In bf16 the weights of two input channels lie beside each other: in / 2 x columns x 2.
        """
        along = torch.tensor(self.arithmetic.filter, dtype=torch.float64)
        transformed = torch.einsum("ia,jb,ocab->ijco", along, along, weight.double()).flatten(0, 1)
        padded = F.pad(transformed, (0, -len(weight) % self.columns))
        panels = padded.unflatten(2, (-1, self.columns)).permute(2, 0, 1, 3)
        if self.arithmetic.dtype is torch.bfloat16:
            panels = panels.unflatten(2, (-1, 2)).transpose(3, 4)
        return panels.to(self.arithmetic.dtype).contiguous()

    def run(
        self,
        x: torch.Tensor,
        panels: torch.Tensor,
        bias: torch.Tensor,
        add: torch.Tensor | None,
        y: torch.Tensor,
        shape: _Shape,
    ) -> None:
        pointers = [None if t is None else t.data_ptr() for t in (x, panels, bias, add, y)]

        def part(first: int, end: int) -> None:
            scratch = torch.empty(self._compiled.winograd_scratch(shape.in_channels), dtype=torch.float32)
            self._compiled.winograd_blocks(*pointers, ctypes.addressof(shape), first, end, scratch.data_ptr())

        share(-(-shape.tiles // self._tiles), part)


@functools.cache
def _kernel(dtype: torch.dtype) -> _Kernel | None:
    """None where it cannot be compiled, computes what no convolution would, or is not the fastest way."""
    if dtype not in (torch.float32, torch.bfloat16) or (dtype is torch.bfloat16 and not multiplies_bf16_pairs()):
        return None
    arithmetic = _BF16 if dtype is torch.bfloat16 else _FP32
    compiled = library(arithmetic.source)
    if compiled is None:
        return None
    kernel = _Kernel(compiled, arithmetic)
    return kernel if _is_right(kernel) else None


def _is_right(kernel: _Kernel) -> bool:
    generator = torch.Generator().manual_seed(0)
    channels, size = kernel.lanes, (2, kernel.lanes, 7, 9)
    x = torch.rand(size, generator=generator).contiguous(memory_format=torch.channels_last).to(kernel.arithmetic.dtype)
    weight = torch.rand(channels, channels, 3, 3, generator=generator) - 0.5
    y = torch.empty_like(x)
    bias = torch.zeros(kernel.columns)
    kernel.run(x, kernel.panels(weight), bias, None, y, _Shape(2, 7, 9, channels, channels, 0))
    tolerance = kernel.arithmetic.tolerance
    return torch.allclose(y.float(), F.conv2d(x.float(), weight, padding=1), rtol=tolerance, atol=tolerance)
