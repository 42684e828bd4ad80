"""1 x 1 convolutions and linear layers in bf16 with what follows them in one call: native/product_bf16.c."""

from __future__ import annotations

import ctypes
import functools

import torch
import torch.nn.functional as F

from thingstuff.modeling.inference.cpu import multiplies_bf16_pairs
from thingstuff.modeling.inference.native import library
from thingstuff.modeling.inference.native.threads import share

_LANES = 16


def serves(weight: torch.Tensor) -> bool:
    """Whether products with `weight` (out x in, or out x in x 1 x 1) are computed faster here than by PyTorch."""
    if weight.device.type != "cpu" or weight.numel() != weight.shape[0] * weight.shape[1]:
        return False
    return weight.shape[0] % _LANES == 0 and weight.shape[1] % 2 == 0 and _kernel() is not None


class Product:
    """Sums and what is added to them are float32, and rounded to bf16 at the end."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, relu: bool) -> None:
        kernel = _kernel()
        if kernel is None:
            raise RuntimeError("the kernel is not there: ask serves() first")
        self._kernel, self._relu = kernel, relu
        self._out, self._in = weight.shape[:2]
        self._panels = _panels(weight.flatten(1), kernel.columns)
        bias = torch.zeros(self._out) if bias is None else bias.float()
        self._bias = F.pad(bias, (0, -self._out % kernel.columns)).contiguous()

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """N x C bf16 -> N x D bf16: relu(x W^T + bias)."""
        y = x.new_empty(len(x), self._out)
        self._run(x.contiguous(), None, y, _Shape(1, len(x), 1, self._in, self._out, self._relu, 1, 1, 0))
        return y

    def dots(self, x: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor | None:
        """N x C bf16 and n x E float32 -> N x D / E float32: E by E, a row's answer times the vector of its N / n rows.

        The answers themselves are never written. None where E is not a multiple of the kernel's columns.
        """
        each = vectors.shape[1]
        self._refuse_other_channels(x)
        if each % self._kernel.columns or self._out % each or len(x) % max(len(vectors), 1):
            return None
        y = torch.empty(len(x), self._out // each, dtype=torch.float32)
        if y.numel():
            tensors = (x.contiguous(), self._panels, self._bias, vectors.contiguous(), y)
            self._kernel.dots(tensors, (len(x), self._in, self._out, each, len(x) // len(vectors), self._relu))
        return y

    def pixels(
        self, x: torch.Tensor, step: tuple[int, int] = (1, 1), add: torch.Tensor | None = None, coarse: bool = False
    ) -> torch.Tensor:
        """N x C x H x W bf16, channels_last -> N x D x h x w: relu(conv(x) + bias + add), with a stride of `step`.

        `coarse`: `add` is N x D x h/2 x w/2 and each of its pixels is added to 2 x 2 of the answer's.
        """
        images, _, height, width = x.shape
        size = (images, self._out, (height - 1) // step[0] + 1, (width - 1) // step[1] + 1)
        y = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
        wanted = (*size[:2], size[2] // 2, size[3] // 2) if coarse else size
        if add is not None and add.shape != wanted:
            raise ValueError(f"what is added is {tuple(add.shape)}, expected {wanted}")
        self._run(x, add, y, _Shape(images, height, width, self._in, self._out, self._relu, *step, coarse))
        return y

    def _refuse_other_channels(self, x: torch.Tensor) -> None:
        if x.shape[1] != self._in:
            raise ValueError(f"{x.shape[1]} input channels, expected {self._in}")

    def _run(self, x: torch.Tensor, add: torch.Tensor | None, y: torch.Tensor, shape: _Shape) -> None:
        self._refuse_other_channels(x)
        if y.numel():
            self._kernel.run((x, self._panels, self._bias, add, y), shape, y.numel() // self._out)


def _panels(weight: torch.Tensor, columns: int) -> torch.Tensor:
    """D x C -> D / columns x C / 2 x columns x 2 in bf16."""
    padded = F.pad(weight, (0, 0, 0, -len(weight) % columns))
    panels = padded.unflatten(0, (-1, columns)).unflatten(2, (-1, 2))
    return panels.permute(0, 2, 1, 3).bfloat16().contiguous()


class _Shape(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int)
        for name in (
            *("images", "height", "width", "in_channels", "out_channels"),
            *("relu", "step_y", "step_x", "coarse"),
        )
    ]


class _Kernel:
    def __init__(self, compiled: ctypes.CDLL) -> None:
        compiled.product_scratch.restype = ctypes.c_size_t
        compiled.product_blocks.argtypes = [ctypes.c_void_p] * 6 + [ctypes.c_int] * 2 + [ctypes.c_void_p]
        compiled.product_blocks.restype = None
        compiled.product_dots.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_int] * 8
        compiled.product_dots.restype = None
        self._compiled = compiled
        self.columns = compiled.product_columns()
        self._rows, self._step = compiled.product_rows(), compiled.product_step()

    def run(self, tensors: tuple[torch.Tensor | None, ...], shape: _Shape, rows: int) -> None:
        pointers = [None if t is None else t.data_ptr() for t in tensors]

        def part(first: int, end: int) -> None:
            size = self._compiled.product_scratch(shape.in_channels, shape.out_channels)
            scratch = torch.empty(size, dtype=torch.float32)
            self._compiled.product_blocks(*pointers, ctypes.addressof(shape), first, end, scratch.data_ptr())

        share(-(-rows // self._rows), part)

    def dots(self, tensors: tuple[torch.Tensor, ...], sizes: tuple[int, ...]) -> None:
        pointers = [t.data_ptr() for t in tensors]
        share(-(-sizes[0] // self._step), lambda *part: self._compiled.product_dots(*pointers, *sizes, *part))


@functools.cache
def _kernel() -> _Kernel | None:
    """None where it cannot be compiled, computes something else, or is not the fastest way."""
    compiled = library("product_bf16") if multiplies_bf16_pairs() else None
    return _Kernel(compiled) if compiled is not None and _is_right(_Kernel(compiled)) else None


def _is_right(kernel: _Kernel) -> bool:
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.rand(size, generator=generator).bfloat16() for size in ((7, 6), (_LANES, 6)))
    y, bias = torch.empty(7, _LANES, dtype=torch.bfloat16), torch.zeros(kernel.columns)
    shape = _Shape(1, 7, 1, 6, _LANES, 0, 1, 1, 0)
    kernel.run((x, _panels(weight, kernel.columns), bias, None, y), shape, 7)
    return torch.allclose(y.float(), x.float() @ weight.float().T, rtol=0.02, atol=0.02)
