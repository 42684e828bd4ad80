"""COCO RLE in numpy: masks <-> {"size": [height, width], "counts": string}, without pycocotools.

Strings are byte for byte those of pycocotools. Unlike there, a mask can be written from a crop and read into one, so
the cost follows the object and not the image; and a damaged record raises an error instead of reading past its end.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.rle_string import compress, decompress
from thingstuff.structures.spans import Box, Spans, bitmap_from_spans, crop_from_spans, spans_from_crop, tight_box


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
    return encode_spans(spans_from_crop(crop, x0, y0, height), height, width)


def encode_spans(spans: Spans, height: int, width: int) -> Rle:
    """Spans, none touching the next, of an H x W image -> RLE."""
    counts = np.diff(spans.reshape(-1), prepend=0, append=height * width)
    # A mask that reaches the last pixel has no last run of zeros; an image without pixels still has one run.
    counts = counts[:-1] if counts.size > 1 and counts[-1] == 0 else counts
    return {"size": [int(height), int(width)], "counts": compress(counts)}


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


def _read(rle: Mapping[str, Any]) -> tuple[Spans, int, int]:
    """The spans inside, without empty ones, and the height and width."""
    height, width = _size(rle)
    counts = _counts(rle)
    if int(counts.sum()) != height * width:
        raise DataError(f"RLE: expected runs of {height} x {width} = {height * width} pixels, got {counts.sum()}")
    edges = np.cumsum(counts)
    spans = edges[: edges.size // 2 * 2].reshape(-1, 2)
    return spans[spans[:, 0] < spans[:, 1]], height, width


def _size(rle: Mapping[str, Any]) -> tuple[int, int]:
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
        raise DataError(f"RLE: expected a mapping with size and counts, got {type(rle).__name__} {str(rle)[:40]!r}")
    try:
        height, width = (operator.index(length) for length in rle["size"])
    except (TypeError, ValueError):
        raise DataError(f"RLE: expected a size of [height, width], got {rle['size']!r}") from None
    if height < 0 or width < 0:
        raise DataError(f"RLE: expected a size of [height, width], got {rle['size']!r}")
    return height, width


def _counts(rle: Mapping[str, Any]) -> NDArray[np.int64]:
    counts = rle["counts"]
    if isinstance(counts, str | bytes):
        return decompress(counts)
    numbers = np.asarray(counts)
    if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
        raise DataError(f"RLE: expected counts as a string or a list of integers, got {str(counts)[:40]!r}")
    if numbers.min(initial=0) < 0:
        raise DataError(f"RLE: expected run lengths of 0 or more, got {numbers.min()}")
    return numbers.astype(np.int64)
