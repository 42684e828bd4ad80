"""RoIAlign of bf16 features into rows, without float32 copies of features or answers: native/pool_bf16.c."""

from __future__ import annotations

import ctypes
import functools

import torch

from thingstuff.modeling.inference.cpu import multiplies_bf16_pairs
from thingstuff.modeling.inference.native import library
from thingstuff.modeling.inference.native.threads import share
from thingstuff.modeling.roi_align_rows import Axis, Grid, bin_axes

_LANES = 16


def serves(maps: torch.Tensor, pooled: torch.Tensor) -> bool:
    """Whether features N x C x H x W are pooled here into rows of `pooled`."""
    is_bf16 = maps.dtype is torch.bfloat16 and pooled.dtype is torch.bfloat16
    return is_bf16 and maps.device.type == "cpu" and maps.shape[1] % _LANES == 0 and _kernel() is not None


def pool_into(pooled: torch.Tensor, places: torch.Tensor, maps: torch.Tensor, rois: torch.Tensor, grid: Grid) -> None:
    """Boxes K x 5 (image, xyxy in pixels) on N x C x H x W -> `pooled`[places], R x (h w) x C; sums are float32."""
    kernel = _kernel()
    if kernel is None:
        raise RuntimeError("the kernel is not there: ask serves() first")
    maps = maps.contiguous(memory_format=torch.channels_last)
    along_y, along_x = bin_axes(rois, grid)
    images, places = rois[:, 0].long().contiguous(), places.contiguous()
    first = [t.data_ptr() for t in (maps, images, places)]
    axes = _Axis.of(along_y, grid.bins_y), _Axis.of(along_x, grid.bins_x)
    shape = _Shape(grid.height, grid.width, maps.shape[1])
    pointers = [*first, *map(ctypes.addressof, axes), pooled.data_ptr(), ctypes.addressof(shape)]
    share(len(rois), lambda *part: kernel.pool_boxes(*pointers, *part))


class _Axis(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("first", "count", "weights")] + [
        (name, ctypes.c_int) for name in ("bins", "most")
    ]

    @classmethod
    def of(cls, axis: Axis, bins: int) -> _Axis:
        made = cls(axis.first.data_ptr(), axis.count.data_ptr(), axis.weights.data_ptr(), bins, axis.weights.shape[-1])
        made.kept = axis  # its memory is only pointed to
        return made


class _Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("height", "width", "channels")]


@functools.cache
def _kernel() -> ctypes.CDLL | None:
    """None where it cannot be compiled, or bf16 is computed elsewhere."""
    compiled = library("pool_bf16") if multiplies_bf16_pairs() else None
    if compiled is not None:
        compiled.pool_boxes.argtypes = [ctypes.c_void_p] * 7 + [ctypes.c_int] * 2
        compiled.pool_boxes.restype = None
    return compiled
