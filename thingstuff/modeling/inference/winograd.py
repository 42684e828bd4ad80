"""3 x 3 convolutions in fp32 on a CPU with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016). The arithmetic is native/winograd.c; results
differ from the direct convolution's by rounding, about ten times as much as two direct convolutions do.
"""

from __future__ import annotations

import ctypes
import functools
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F

from thingstuff.modeling.inference.native import library

_FEWEST_CHANNELS = 32  # with fewer the transforms cost what the multiplications save
# what a filter's three weights along an axis become
_FILTER = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]


def serves(weight: torch.Tensor) -> bool:
    """Whether a convolution of stride 1, padding 1 and these weights (out x in x 3 x 3) is computed faster here."""
    if weight.shape[2:] != (3, 3) or weight.device.type != "cpu" or min(weight.shape[:2]) < _FEWEST_CHANNELS:
        return False
    kernel = _kernel()
    return kernel is not None and not any(channels % kernel.lanes for channels in weight.shape[:2])


class WinogradConv:
    """Called with N x C x H x W float32, channels_last, it gives the same of D channels: relu(conv(x) + bias + add)."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, relu: bool) -> None:
        kernel = _kernel()
        if kernel is None:
            raise RuntimeError("the kernel is not there: ask serves() first")
        self._kernel, self._relu, self._channels = kernel, relu, len(weight)
        self._panels = _panels(weight, kernel.columns)
        bias = torch.zeros(len(weight)) if bias is None else bias.float()
        self._bias = F.pad(bias, (0, -len(bias) % kernel.columns)).contiguous()

    def __call__(self, x: torch.Tensor, add: torch.Tensor | None = None) -> torch.Tensor:
        images, channels, height, width = x.shape
        size = (images, self._channels, height, width)
        y = torch.empty(size, dtype=torch.float32, memory_format=torch.channels_last)
        if x.numel():
            shape = _Shape(images, height, width, channels, self._channels, self._relu)
            self._kernel.run(x, self._panels, self._bias, add, y, shape)
        return y


def _panels(weight: torch.Tensor, columns: int) -> torch.Tensor:
    """Transformed weights as the kernel reads them: output channels / columns x 36 x in x columns."""
    along = torch.tensor(_FILTER, dtype=torch.float64)
    transformed = torch.einsum("ia,jb,ocab->ijco", along, along, weight.double()).flatten(0, 1)
    padded = F.pad(transformed, (0, -len(weight) % columns))
    return padded.unflatten(2, (-1, columns)).permute(2, 0, 1, 3).float().contiguous()


class _Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("images", "height", "width", "in_channels", "out_channels", "relu")]

    @property
    def tiles(self) -> int:
        return self.images * -(-self.height // 4) * -(-self.width // 4)


class _Kernel:
    """The compiled functions; blocks of tiles are shared among as many threads as PyTorch may use."""

    def __init__(self, compiled: ctypes.CDLL) -> None:
        compiled.winograd_scratch.restype = ctypes.c_size_t
        compiled.winograd_blocks.argtypes = [ctypes.c_void_p] * 6 + [ctypes.c_int] * 2 + [ctypes.c_void_p]
        compiled.winograd_blocks.restype = None
        self._compiled = compiled
        self.lanes, self.columns = compiled.winograd_lanes(), compiled.winograd_columns()
        self._tiles = compiled.winograd_tiles()

    def run(
        self,
        x: torch.Tensor,
        panels: torch.Tensor,
        bias: torch.Tensor,
        add: torch.Tensor | None,
        y: torch.Tensor,
        shape: _Shape,
    ) -> None:
        blocks = -(-shape.tiles // self._tiles)
        threads = min(torch.get_num_threads(), blocks)
        bounds = [blocks * part // threads for part in range(threads + 1)]
        pointers = [None if t is None else t.data_ptr() for t in (x, panels, bias, add, y)]

        def part(first: int, end: int) -> None:
            scratch = torch.empty(self._compiled.winograd_scratch(shape.in_channels), dtype=torch.float32)
            self._compiled.winograd_blocks(*pointers, ctypes.addressof(shape), first, end, scratch.data_ptr())

        if threads == 1:
            part(0, blocks)
        else:
            list(_pool(threads).map(part, bounds[:-1], bounds[1:]))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="winograd")


@functools.cache
def _kernel() -> _Kernel | None:
    """None where it cannot be compiled, or computes what no convolution would."""
    compiled = library("winograd")
    if compiled is None:
        return None
    kernel = _Kernel(compiled)
    return kernel if _is_right(kernel) else None


def _is_right(kernel: _Kernel) -> bool:
    generator = torch.Generator().manual_seed(0)
    channels, size = kernel.lanes, (2, kernel.lanes, 7, 9)
    x = torch.rand(size, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(channels, channels, 3, 3, generator=generator) - 0.5
    y = torch.empty_like(x)
    bias = torch.zeros(kernel.columns)
    kernel.run(x, _panels(weight, kernel.columns), bias, None, y, _Shape(2, 7, 9, channels, channels, 0))
    return torch.allclose(y, F.conv2d(x, weight, padding=1), rtol=1e-3, atol=1e-3)
