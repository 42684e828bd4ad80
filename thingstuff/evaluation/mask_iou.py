"""Intersection over union of masks: of two in any COCO form, or of two sets of one image, compared crop by crop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import cv2
import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.mask_crops import MaskCrops
from thingstuff.structures.polygons import Polygon, polygons_crop
from thingstuff.structures.rle import decode_crop

Mask = NDArray[Any] | Mapping[str, Any] | Sequence[Polygon]


def mask_iou(a: Mask, b: Mask, *, height: int | None = None, width: int | None = None) -> float:
    """IoU of two masks of one image; 0.0 if both are empty, as in pycocotools.

    Each is an H x W bool or uint8 bitmap (any non-zero value is inside), a COCO RLE, or a list of COCO polygons, and
    the two may differ in form. Polygons say nothing about the image, so they need `height` and `width` in pixels;
    for the other forms the two are optional and checked. Unlike pycocotools, which gives -1, masks of different
    sizes are an error.
    """
    return float(mask_ious(_one("first", a, height, width), _one("second", b, height, width))[0, 0])


def mask_ious(first: MaskCrops, second: MaskCrops, *, crowd: Sequence[bool] | None = None) -> NDArray[np.float64]:
    """N masks and M masks of one image -> N x M float64 IoUs, equal to those of `pycocotools.mask.iou`.

    `crowd` has one value for each mask of `second`; where it is true, the value is intersection / area of the first,
    as in COCO: a detection inside a crowd region matches it fully. Two empty masks have 0.0. Only where two boxes
    overlap are pixels read. Unlike pycocotools, an empty set gives an array of N x M too, and different sizes are
    an error.
    """
    _expect_one_size(first, second)
    crowds = _crowd_flags(crowd, len(second))
    intersections_px = _intersections_px(first, second)
    areas_px = first.areas_px()[:, None]
    unions_px = areas_px + second.areas_px() - intersections_px
    ious = np.zeros(intersections_px.shape)
    np.divide(intersections_px, np.where(crowds, areas_px, unions_px), out=ious, where=intersections_px > 0)
    return ious


def _one(name: str, mask: Mask, height: int | None, width: int | None) -> MaskCrops:
    """One mask of any form as a set of one; errors name it."""
    try:
        masks = _read(mask, height, width)
    except DataError as error:
        raise DataError(f"{name} mask: {error}") from error
    if height not in (None, masks.height) or width not in (None, masks.width):
        stated = f"height={height}, width={width}"
        raise DataError(f"{name} mask: it has {masks.height} x {masks.width} pixels, but {stated} was given")
    return masks


def _read(mask: Mask, height: int | None, width: int | None) -> MaskCrops:
    if isinstance(mask, np.ndarray):
        return _from_bitmap(mask)
    if isinstance(mask, Mapping):
        crop_and_box = decode_crop(mask)  # which checks the size as well
        return MaskCrops.from_boxes([crop_and_box], *(int(length) for length in mask["size"]))
    if not isinstance(mask, list | tuple):
        raise DataError(f"expected a bitmap (numpy array), a COCO RLE or a list of polygons, got {type(mask).__name__}")
    if not (_is_length(height) and _is_length(width)):
        got = f"height={height!r}, width={width!r}"
        raise DataError(f"polygons do not say how large the image is: give both sides in whole pixels, got {got}")
    return MaskCrops.from_boxes([polygons_crop(mask, height, width)], height, width)


def _from_bitmap(bitmap: NDArray[Any]) -> MaskCrops:
    if bitmap.ndim != 2 or bitmap.dtype not in (np.bool_, np.uint8):
        raise DataError(f"expected a bool or uint8 bitmap, H x W, got {bitmap.dtype} of shape {bitmap.shape}")
    return MaskCrops.from_bitmaps(bitmap[None])


def _is_length(side_px: object) -> TypeGuard[int]:
    return isinstance(side_px, int | np.integer) and bool(side_px >= 0)


def _expect_one_size(first: MaskCrops, second: MaskCrops) -> None:
    if (first.height, first.width) != (second.height, second.width):
        sizes = f"{first.height} x {first.width} and {second.height} x {second.width}"
        raise DataError(f"masks of one image have one size, but these have {sizes} (height x width): resize one side")


def _crowd_flags(crowd: Sequence[bool] | None, count: int) -> NDArray[np.bool_]:
    """`count` flags, from booleans or COCO's 0 and 1."""
    flags = np.zeros(count, bool) if crowd is None else np.asarray(crowd)
    if flags.shape != (count,):
        raise DataError(f"crowd: expected one flag for each of the {count} second masks, got shape {flags.shape}")
    if not np.isin(flags, (0, 1)).all():
        raise DataError(f"crowd: expected true and false, or 1 and 0, got {flags.tolist()}")
    return flags.astype(bool)


def _intersections_px(first: MaskCrops, second: MaskCrops) -> NDArray[np.int64]:
    """N x M int64 numbers of common pixels."""
    common_px = np.zeros((len(first), len(second)), np.int64)
    rows, columns, overlaps_xyxy = _overlapping_boxes(first.boxes_xyxy, second.boxes_xyxy)
    from_first = _within(overlaps_xyxy, first.boxes_xyxy[rows])
    from_second = _within(overlaps_xyxy, second.boxes_xyxy[columns])
    pairs = zip(rows.tolist(), columns.tolist(), from_first, from_second, strict=True)
    common_px[rows, columns] = [
        cv2.countNonZero(cv2.bitwise_and(first.crops[row][here], second.crops[column][there]))
        for row, column, here, there in pairs
    ]
    return common_px


def _overlapping_boxes(
    first_xyxy: NDArray[np.int32], second_xyxy: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """N and M boxes -> the K pairs that share pixels: K rows of the first, K of the second, K x 4 common boxes."""
    # Side by side rather than as N x M x 2 corners: numpy is slow along an axis of 2.
    lefts, tops = (np.maximum.outer(first_xyxy[:, side], second_xyxy[:, side]) for side in (0, 1))
    rights, bottoms = (np.minimum.outer(first_xyxy[:, side], second_xyxy[:, side]) for side in (2, 3))
    rows, columns = np.nonzero((lefts < rights) & (tops < bottoms))
    return rows, columns, np.stack([side[rows, columns] for side in (lefts, tops, rights, bottoms)], axis=1)


def _within(parts_xyxy: NDArray[np.int32], boxes_xyxy: NDArray[np.int32]) -> Iterator[tuple[slice, slice]]:
    """K boxes of the image, each inside its box -> what they pick of the crops that fill those boxes."""
    for x0, y0, x1, y1 in (parts_xyxy - np.tile(boxes_xyxy[:, :2], 2)).tolist():
        yield slice(y0, y1), slice(x0, x1)
