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
Masks = MaskCrops | NDArray[Any] | Sequence[Mask]
_Sides = tuple[int | None, int | None]  # height, width; None where nobody has said it


def mask_iou(a: Mask, b: Mask, *, height: int | None = None, width: int | None = None) -> float:
    """IoU of two masks of one image; 0.0 if both are empty, as in pycocotools.

    Each is an H x W bool or uint8 bitmap (any non-zero value is inside), a COCO RLE, or a list of COCO polygons, and
    the two may differ in form. Polygons say nothing about the image: they take its size from the other mask, and two
    masks of polygons need `height` and `width` in pixels. For the other forms these two are optional and checked.
    Unlike pycocotools, which gives -1, masks of different sizes are an error.
    """
    stated = height, width
    known = _known_sides([a, b], stated)
    first, second = _one("first mask", a, stated, known), _one("second mask", b, stated, known)
    return float(mask_ious(first, second)[0, 0])


def mask_ious(
    first: Masks,
    second: Masks,
    *,
    crowd: Sequence[bool] | None = None,
    height: int | None = None,
    width: int | None = None,
) -> NDArray[np.float64]:
    """N masks and M masks of one image -> N x M float64 IoUs, equal to those of `pycocotools.mask.iou`.

    Each set is a `MaskCrops`, an N x H x W bool or uint8 array, or a list of masks in any of the forms that `mask_iou`
    takes. Polygons take the image's size from any mask of either set that has one; without such a mask they need
    `height` and `width` in pixels, which are optional and checked otherwise.

    `crowd` has one value for each mask of `second`; where it is true, the value is intersection / area of the first,
    as in COCO: a detection inside a crowd region matches it fully. Two empty masks have 0.0. Only where two boxes
    overlap are pixels read. Unlike pycocotools, an empty set gives an array of N x M too, and different sizes are
    an error.
    """
    stated = height, width
    known = _known_sides([*_each(first), *_each(second)], stated)
    ones, others = _set("first masks", first, stated, known), _set("second masks", second, stated, known)
    _expect_one_size(ones, others)
    crowds = _crowd_flags(crowd, len(others))
    intersections_px = _intersections_px(ones, others)
    areas_px = ones.areas_px()[:, None]
    unions_px = areas_px + others.areas_px() - intersections_px
    ious = np.zeros(intersections_px.shape)
    np.divide(intersections_px, np.where(crowds, areas_px, unions_px), out=ious, where=intersections_px > 0)
    return ious


def _known_sides(masks: Sequence[Any], stated: _Sides) -> _Sides:
    """What is stated, and else what the first mask or set that has a size says."""
    own = next((sides for mask in masks if (sides := _own_sides(mask)) is not None), (None, None))
    height, width = (side if said is None else said for said, side in zip(stated, own, strict=True))
    return height, width


def _own_sides(mask: Any) -> _Sides | None:
    """None for polygons, and for what will be refused."""
    if isinstance(mask, MaskCrops):
        return mask.height, mask.width
    if isinstance(mask, np.ndarray):
        return mask.shape[-2:] if mask.ndim in (2, 3) else None
    match mask.get("size") if isinstance(mask, Mapping) else None:
        case [height, width] if _is_length(height) and _is_length(width):
            return height, width
    return None


def _each(masks: Any) -> Sequence[Any]:
    return masks if isinstance(masks, list | tuple) else [masks]


def _set(name: str, masks: Masks, stated: _Sides, known: _Sides) -> MaskCrops:
    """The masks of any form as crops; errors name the set, and the mask in a list."""
    if isinstance(masks, MaskCrops):
        return _as_stated(name, masks, stated)
    if isinstance(masks, np.ndarray):
        return _as_stated(name, _from_array(name, masks), stated)
    if not isinstance(masks, list | tuple):
        expected = "MaskCrops, an array (N x H x W) or a list of masks"
        raise DataError(f"{name}: expected {expected}, got {type(masks).__name__}")
    read = [_one(f"{name}[{number}]", mask, stated, known) for number, mask in enumerate(masks)]
    for number, mask in enumerate(read):
        _expect_one_size(read[0], mask, f"{name}[0] and [{number}]: ")
    height, width = (read[0].height, read[0].width) if read else (side if _is_length(side) else 0 for side in known)
    return MaskCrops.from_boxes((pair for mask in read for pair in mask), height, width)


def _from_array(name: str, bitmaps: NDArray[Any]) -> MaskCrops:
    try:
        return MaskCrops.from_bitmaps(bitmaps)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _one(name: str, mask: Mask, stated: _Sides, known: _Sides) -> MaskCrops:
    """One mask of any form as a set of one; errors name it."""
    try:
        masks = _read(mask, *known)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return _as_stated(name, masks, stated)


def _as_stated(name: str, masks: MaskCrops, stated: _Sides) -> MaskCrops:
    height, width = stated
    if height not in (None, masks.height) or width not in (None, masks.width):
        given = f"height={height}, width={width}"
        raise DataError(f"{name}: it has {masks.height} x {masks.width} pixels, but {given} was given")
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


def _expect_one_size(first: MaskCrops, second: MaskCrops, place: str = "") -> None:
    if (first.height, first.width) != (second.height, second.width):
        sizes = f"{first.height} x {first.width} and {second.height} x {second.width}"
        what = "masks of one image have one size, but these have"
        raise DataError(f"{place}{what} {sizes} (height x width): resize one side")


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
