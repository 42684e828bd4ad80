"""Labels in the size of the image from small semantic scores, enlarged twice in one step.

A semantic head enlarges its scores to the size of the network's input, and then they are scaled to the image's size:
each pixel's scores are a mixture of nine in the small map at most, whose weights are a product of weights along y and
along x. On a CPU they are mixed and compared row by row, by native/labels.c or, without a compiler, by PyTorch.
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from thingstuff.modeling.inference.native import library

_TAPS = 3
_MOST_CLASSES = 256  # labels are bytes
_BAND_ROWS = 32


def blended_labels(
    logits: torch.Tensor, stride: int, input_size: tuple[int, int], height: int, width: int
) -> NDArray[np.uint8]:
    """C x h x w float32 on a CPU, C up to 256, `stride` times smaller than the network's input -> H x W labels.

    As `F.interpolate` by `stride`, cut to `input_size`, `F.interpolate` to H x W and argmax, but for rounding.
    """
    if len(logits) > _MOST_CLASSES:
        raise ValueError(f"expected up to {_MOST_CLASSES} classes, got {len(logits)}")
    rows = logits.detach().float().permute(1, 2, 0).contiguous()
    down = _mixture(rows.shape[0], stride, input_size[0], height)
    across = _mixture(rows.shape[1], stride, input_size[1], width)
    compiled = _compiled()
    if compiled is None:
        return _by_pytorch(rows, down, across)
    return _by_c(compiled, rows.numpy(), down, across)


_Mixture = tuple[NDArray[np.int32], NDArray[np.float32]]


def _mixture(small: int, stride: int, cut: int, length: int) -> _Mixture:
    """For each of `length` pixels the first of the small map's, and the weights of it and the next two (length x 3)."""
    place = np.clip((np.arange(length) + 0.5) * (cut / length) - 0.5, 0, None)
    low = np.minimum(place.astype(np.int64), cut - 1)
    high, share = np.minimum(low + 1, cut - 1), place - low
    first, weights = _enlarged(low, small, stride)[0].copy(), np.zeros((length, _TAPS))
    for number, amount in ((low, 1 - share), (high, share)):
        cell, next_share = _enlarged(number, small, stride)
        for shift, part in ((0, 1 - next_share), (1, next_share)):
            used = part * amount > 0
            np.add.at(weights, (np.flatnonzero(used), (cell + shift - first)[used]), (part * amount)[used])
    return first.astype(np.int32), weights.astype(np.float32)


def _enlarged(pixel: NDArray[np.int64], small: int, stride: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cell of the small map that lies before a pixel of the enlarged one, and the share of the next cell."""
    place = np.clip((pixel + 0.5) / stride - 0.5, 0, None)
    cell = np.minimum(place.astype(np.int64), small - 1)
    return cell, np.where(cell < small - 1, place - cell, 0.0)


def _by_pytorch(rows: torch.Tensor, down: _Mixture, across: _Mixture) -> NDArray[np.uint8]:
    height, width, classes = rows.shape
    (y, y_weights), (x, x_weights) = ([torch.from_numpy(part) for part in axis] for axis in (down, across))
    taps = torch.arange(_TAPS)
    columns = (x[:, None] + taps).clamp(max=width - 1)
    labels = torch.empty(len(y), len(x), dtype=torch.uint8)
    for first in range(0, len(y), _BAND_ROWS):
        band = slice(first, first + _BAND_ROWS)
        lines = (y[band, None] + taps).clamp(max=height - 1)
        pixels = (lines[:, None, :, None] * width + columns[None, :, None, :]).flatten(0, 1).flatten(1)
        weights = (y_weights[band, None, :, None] * x_weights[None, :, None, :]).flatten(0, 1).flatten(1)
        scores = F.embedding_bag(pixels, rows.view(-1, classes), mode="sum", per_sample_weights=weights)
        labels[band] = scores.max(dim=1).indices.view(-1, len(x))
    return labels.numpy()


class _Shape(ctypes.Structure):
    _fields_ = [
        ("map_width", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("width", ctypes.c_int),
        ("row_stride", ctypes.c_long),
    ]


def _by_c(compiled: ctypes.CDLL, rows: NDArray[np.float32], down: _Mixture, across: _Mixture) -> NDArray[np.uint8]:
    (y, y_weights), (x, x_weights) = down, across
    labels = np.empty((len(y), len(x)), np.uint8)
    _, map_width, classes = rows.shape
    # beyond the last column lie zeros, which have no weight
    scratch = np.zeros(compiled.labels_scratch(map_width + _TAPS, classes), np.float32)
    shape = _Shape(map_width, classes, len(x), map_width * classes)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (y, y_weights, x, x_weights)]
    places = [ctypes.c_void_p(array.ctypes.data) for array in (rows, labels, scratch)]
    compiled.labels_rows(places[0], ctypes.byref(shape), *pointers, 0, len(y), *places[1:])
    return labels


@functools.cache
def _compiled() -> ctypes.CDLL | None:
    compiled = library("labels")
    if compiled is None or compiled.labels_taps() != _TAPS:
        return None
    compiled.labels_scratch.restype = ctypes.c_size_t
    compiled.labels_rows.restype = None
    compiled.labels_rows.argtypes = [ctypes.c_void_p] * 6 + [ctypes.c_int] * 2 + [ctypes.c_void_p] * 2
    return compiled
