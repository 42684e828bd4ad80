"""Paste the M x M probabilities of N instances into an image: into N crops, never into N x H x W.

Bilinear sampling of a grid is separable: each of its columns is interpolated first, M numbers, then each row, so that
a pixel is a mixture of two numbers instead of four looked up one by one. That is right but for rounding. The few
pixels that rounding could move over the threshold are sampled once more by `grid_sample` itself, and so the masks are
those of Detectron2 to the pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.modeling.paste_exact import DoubtfulPixels
from thingstuff.modeling.paste_grid import Floats, GridAxis, grid_axis, pixel_regions
from thingstuff.structures import MaskCrops
from thingstuff.structures.arrays import expect_array, expect_finite

TOGETHER = 256  # masks that share their calls; bounds what is held beside the crops
WIDER, WIDER_PX = 1.3, 12  # masks that are computed side by side may differ so much in width: a factor, or pixels
BAND_PX = 1 << 16  # pixels that are computed at a time, so that their floats stay in the cache


def paste_masks(probs: Floats, boxes_xyxy: Floats, height: int, width: int, threshold: float = 0.5) -> MaskCrops:
    """N x M x M float32 probabilities and N x 4 float32 boxes -> N masks of an H x W image.

    The bitmaps equal those of Detectron2's `paste_masks_in_image` on the CPU, for every threshold of 0 or more. A box
    that lies beyond the image, for which Detectron2 fails, gives an empty mask. NaN and infinity are refused.
    """
    _check(probs, boxes_xyxy, threshold)
    regions = pixel_regions(boxes_xyxy, height, width)
    crops: list[NDArray[np.uint8]] = []
    for first in range(0, len(probs), TOGETHER):
        rows = slice(first, first + TOGETHER)
        crops += _paste_together(probs[rows], boxes_xyxy[rows], regions[rows], threshold)
    return MaskCrops.trusted(tuple(crops), regions.astype(np.int32), height, width)


def _check(probs: Floats, boxes_xyxy: Floats, threshold: float) -> None:
    cells = probs.shape[-1] if isinstance(probs, np.ndarray) and probs.ndim else None
    expect_array("mask probabilities", probs, np.float32, (None, cells, cells))
    expect_array("boxes", boxes_xyxy, np.float32, (len(probs), 4))
    if not (np.isfinite(probs).all() and np.isfinite(boxes_xyxy).all()):
        expect_finite("mask probabilities", probs)
        expect_finite("boxes", boxes_xyxy)
    if not threshold >= 0:
        raise DataError(f"mask threshold: expected 0 or more, got {threshold}")


def _paste_together(
    probs: Floats, boxes_xyxy: Floats, regions: NDArray[np.int64], threshold: float
) -> list[NDArray[np.uint8]]:
    order = np.argsort(regions[:, 2] - regions[:, 0], kind="stable")
    stacks = _stack(probs[order], boxes_xyxy[order], regions[order])
    pasted = _paste_stacks(stacks, threshold)
    crops = dict(zip(order.tolist(), pasted, strict=True))
    return [crops[number] for number in range(len(probs))]


@dataclass(frozen=True, eq=False)
class _Stacks:
    """N masks in ascending width, some at a time one below the other, so that they share their calls.

    The masks of a stack, a slice each in `parts`, are made as wide as its widest.
    """

    probs: Floats
    sizes: list[list[int]]  # N widths and heights in pixels
    parts: list[slice]
    x: GridAxis
    y: GridAxis


def _stack(probs: Floats, boxes_xyxy: Floats, regions: NDArray[np.int64]) -> _Stacks:
    sizes = regions[:, 2:] - regions[:, :2]
    parts = list(_similar(sizes[:, 0].tolist()))
    widths = np.concatenate([np.full(part.stop - part.start, sizes[part.stop - 1, 0]) for part in parts])
    x = grid_axis(boxes_xyxy[:, 0], boxes_xyxy[:, 2], regions[:, 0], widths)
    y = grid_axis(boxes_xyxy[:, 1], boxes_xyxy[:, 3], regions[:, 1], sizes[:, 1])
    return _Stacks(probs, sizes.tolist(), parts, x, y)


def _similar(widths: list[int]) -> Iterator[slice]:
    """Runs of ascending widths that waste little when they are made equal."""
    first = 0
    for number, width in enumerate(widths):
        if width > max(WIDER * widths[first], widths[first] + WIDER_PX):
            yield slice(first, number)
            first = number
    yield slice(first, len(widths))


def _paste_stacks(stacks: _Stacks, threshold: float) -> list[NDArray[np.uint8]]:
    margin = _largest_error(stacks.probs)
    low, high = np.array([threshold - margin, threshold + margin], np.float32)
    doubtful = DoubtfulPixels(stacks.probs, stacks.y, stacks.x, threshold)
    crops: list[NDArray[np.bool_]] = []
    for part, (columns, before, share) in zip(stacks.parts, _separated(stacks), strict=True):
        block = np.empty((before.size, columns.shape[1]), bool)
        steps = columns[1:] - columns[:-1]
        for band in _bands(*block.shape):
            values = _between(columns, steps, before[band], share[band])
            inside = np.greater_equal(values, low, out=block[band])
            surely = values >= high
            if np.count_nonzero(inside) != np.count_nonzero(surely):
                pixels = np.flatnonzero(inside != surely) + band.start * block.shape[1]
                doubtful.add(block, int(stacks.y.offsets[part.start]), pixels)
        crops += _cut(block, stacks.sizes[part])
    doubtful.settle()
    return [_owned(crop).view(np.uint8) for crop in crops]


def _separated(stacks: _Stacks) -> Iterator[tuple[Floats, NDArray[np.int64], Floats]]:
    """Of each stack of n masks n (M + 2) x W: their cells, each between two rows of zeros, at each of W pixel columns.

    And the places of its pixel rows among them: the row before and the share of the next.
    """
    count, cells, _ = stacks.probs.shape
    padded = np.zeros((count, cells + 2, cells + 2), np.float32)
    padded[:, 1:-1, 1:-1] = stacks.probs.transpose(0, 2, 1)
    padded = padded.reshape(-1, cells + 2)
    columns = _between(padded, padded[1:] - padded[:-1], *stacks.x.places(cells))
    before, share = stacks.y.places(cells)
    for part in stacks.parts:
        across, down = (slice(axis.offsets[part.start], axis.offsets[part.stop]) for axis in (stacks.x, stacks.y))
        masks, width = part.stop - part.start, stacks.sizes[part.stop - 1][0]
        own = columns[across].reshape(masks, width, cells + 2).transpose(0, 2, 1)
        yield own.reshape(masks * (cells + 2), width), before[down] - part.start * (cells + 2), share[down]


def _cut(block: NDArray[np.bool_], sizes: list[list[int]]) -> Iterator[NDArray[np.bool_]]:
    top = 0
    for width, height in sizes:
        yield block[top : top + height, :width]
        top += height


def _owned(crop: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask that is kept must not keep its stack, unless the stack is this mask."""
    return crop if crop.base is not None and crop.size == crop.base.size else crop.copy()


def _between(rows: Floats, steps: Floats, before: NDArray[np.int64], share: Floats) -> Floats:
    """Mixtures of neighbouring rows: of the one at `before` and, by `share`, of the next."""
    values = steps.take(before, axis=0, mode="clip")
    values *= share[:, None]
    values += rows.take(before, axis=0, mode="clip")
    return values


def _bands(height: int, width: int) -> Iterator[slice]:
    step = max(1, BAND_PX // max(width, 1))
    return (slice(first, first + step) for first in range(0, height if width else 0, step))


def _largest_error(probs: Floats) -> float:
    """How far a value computed here can lie from `grid_sample`'s: M + 4 millionths for probabilities.

    A place on the grid is rounded three times by M * 2**-24 or less in either program, and moves the value by at most
    twice the largest cell, on each axis: 9.6e-7 * M together. What the mixtures round stays below 4e-6.
    """
    largest = max(1.0, float(np.abs(probs).max(initial=0)))
    return largest * (int(probs.shape[-1]) + 4) * 1e-6
