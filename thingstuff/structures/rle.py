"""COCO RLE in numpy: masks <-> {"size": [height, width], "counts": string}, without pycocotools.

Strings are byte for byte those of pycocotools. Unlike there, a mask can be written from a crop and read into one, so
the cost follows the object and not the image; and a damaged record raises an error instead of reading past its end.
"""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.rle_string import compress_each, decompress
from thingstuff.structures.spans import Box, Spans, bitmap_from_spans, crop_from_spans, edges_from_crops, tight_box

BATCH_PX = 1 << 20
MOST_PX = 2**62  # of a run; more would not fit into 64 bits together with another


class Rle(TypedDict):
    """What this module writes. It also reads bytes and uncompressed lists as `counts`."""

    size: list[int]
    counts: str


def encode(bitmap: NDArray[Any]) -> Rle:
    """H x W bool or uint8 bitmap (any non-zero value is inside) -> RLE."""
    return encode_crop(bitmap, 0, 0, *bitmap.shape)


def encode_crop(crop: NDArray[Any], x0: int, y0: int, height: int, width: int) -> Rle:
    """A bool or uint8 crop with its corner at (x0, y0) of an H x W image -> RLE of the whole image."""
    _check_crop(crop, x0, y0, height, width)
    return encode_crops([crop != 0], np.array([[x0, y0]]), height, width)[0]


def encode_crops(
    crops: Sequence[NDArray[Any]], corners_xy: NDArray[np.integer[Any]], height: int, width: int
) -> list[Rle]:
    """N crops of 0 and 1, bool or uint8, and the top left corner of each (N x 2) -> N RLEs of the whole image.

    The string operations are shared, so that many small masks cost less than one by one.
    """
    for crop, (x0, y0) in zip(crops, corners_xy.tolist(), strict=True):
        _check_crop(crop, x0, y0, height, width)
    strings: list[str] = []
    for rows in _batches(crops):
        edges, numbers = edges_from_crops(crops[rows], corners_xy[rows].astype(np.int64), height)
        strings += compress_each(*_counts_between(edges, numbers, height * width))
    return [{"size": [int(height), int(width)], "counts": text} for text in strings]


def decode(rle: Mapping[str, Any]) -> NDArray[np.uint8]:
    """RLE -> H x W uint8 bitmap of 0 and 1."""
    spans, height, width = _read(rle)
    return bitmap_from_spans(spans, height, width)


def decode_crop(rle: Mapping[str, Any]) -> tuple[NDArray[np.uint8], Box]:
    """RLE -> (tight uint8 crop, its half-open box x0, y0, x1, y1); 0 x 0 and a zero box for an empty mask."""
    spans, height, _ = _read(rle)
    return crop_from_spans(spans, height)


def area(rle: Mapping[str, Any]) -> int:
    """How many pixels are inside."""
    spans, _, _ = _read(rle)
    return int((spans[:, 1] - spans[:, 0]).sum())


def bbox_xywh(rle: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """The tight box as x, y, width, height; all zero for an empty mask."""
    spans, height, _ = _read(rle)
    x0, y0, x1, y1 = tight_box(spans, height)
    return x0, y0, x1 - x0, y1 - y0


def _check_crop(crop: NDArray[Any], x0: int, y0: int, height: int, width: int) -> None:
    if crop.ndim != 2 or crop.dtype not in (np.bool_, np.uint8):
        raise DataError(f"mask: expected bool or uint8 of shape (H, W), got {crop.dtype} of shape {crop.shape}")
    x1, y1 = x0 + crop.shape[1], y0 + crop.shape[0]
    if not (x0 >= 0 and x1 <= width and y0 >= 0 and y1 <= height):
        raise DataError(f"mask: expected a crop inside {width} x {height} pixels, got {(x0, y0, x1, y1)}")


def _batches(crops: Sequence[NDArray[Any]]) -> Iterator[slice]:
    """Consecutive crops, as many as BATCH_PX allows, so that what a batch needs stays in the cache."""
    first, pixels = 0, 0
    for number, crop in enumerate(crops):
        if pixels and pixels + crop.size > BATCH_PX:
            yield slice(first, number)
            first, pixels = number, 0
        pixels += crop.size
    if first < len(crops):
        yield slice(first, len(crops))


def _counts_between(
    edges: NDArray[np.int64], numbers: NDArray[np.int64], pixels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The edges of N masks of as many pixels, `numbers` each -> their run lengths, and how many each mask has."""
    # Each mask becomes 0, its edges, `pixels`; the step from one mask to the next is no run.
    last = np.cumsum(numbers + 2) - 1
    bounds = np.zeros(edges.size + 2 * numbers.size, np.int64)
    bounds[last] = pixels
    inside = np.ones(bounds.size, bool)
    inside[last] = inside[last - numbers - 1] = False
    bounds[inside] = edges
    counts = np.diff(bounds)
    # A mask that reaches the last pixel has no last run of zeros; an image without pixels still has one run.
    closed = (counts[last - 1] == 0) & (numbers > 0)
    kept = np.ones(counts.size, bool)
    kept[last[:-1]] = False
    kept[last[closed] - 1] = False
    return counts[kept], numbers + 1 - closed


def _read(rle: Mapping[str, Any]) -> tuple[Spans, int, int]:
    """The spans inside, without empty ones, and the height and width."""
    height, width = _size(rle)
    counts = _counts(rle)
    # each of them first: a sum of 64 bits can run over, and then be that of the image
    if counts.max(initial=0) > height * width or int(counts.sum()) != height * width:
        total = sum(counts.tolist())
        raise DataError(f"RLE: expected runs of {height} x {width} = {height * width} pixels, got {total}")
    edges = np.cumsum(counts)
    spans = edges[: edges.size // 2 * 2].reshape(-1, 2)
    return spans[spans[:, 0] < spans[:, 1]], height, width


def _size(rle: Mapping[str, Any]) -> tuple[int, int]:
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
        raise DataError(
            f"RLE: expected a mapping with size and counts, got {type(rle).__name__} {reprlib.repr(rle)[:60]}"
        )
    try:
        height, width = (operator.index(length) for length in rle["size"])
    except (TypeError, ValueError):
        raise DataError(f"RLE: expected a size of [height, width], got {reprlib.repr(rle['size'])[:60]}") from None
    if height < 0 or width < 0:
        raise DataError(f"RLE: expected a size of [height, width], got {reprlib.repr(rle['size'])[:60]}")
    return height, width


def _counts(rle: Mapping[str, Any]) -> NDArray[np.int64]:
    counts = rle["counts"]
    if isinstance(counts, str | bytes):
        return decompress(counts)
    try:
        numbers = np.asarray(counts)
    except ValueError:  # lists of several lengths or depths
        raise DataError(
            f"RLE: expected counts as a string or a list of integers, got {reprlib.repr(counts)[:60]}"
        ) from None
    if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
        raise DataError(f"RLE: expected counts as a string or a list of integers, got {reprlib.repr(counts)[:60]}")
    if numbers.min(initial=0) < 0:
        raise DataError(f"RLE: expected run lengths of 0 or more, got {numbers.min()}")
    if numbers.max(initial=0) > MOST_PX:
        raise DataError(f"RLE: expected run lengths of at most {MOST_PX} pixels, got {numbers.max()}")
    return numbers.astype(np.int64)
