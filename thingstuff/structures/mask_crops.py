"""Mask crops: N instance masks as N small arrays plus boxes, never as one N x H x W array."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.arrays import expect_array, row_numbers
from thingstuff.structures.polygons import Polygon, polygons_crop
from thingstuff.structures.rle import Rle, decode_crop, encode_crops
from thingstuff.structures.spans import EMPTY_BOX, Box

Crop = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class MaskCrops:
    """N instance masks of one image.

    `crops[i]` is uint8 of 0 and 1, shape (y1 - y0, x1 - x0); `boxes_xyxy` is N x 4 int32, half-open, inside the
    image. A crop may have no pixels, and may be larger than its mask: `tight()` trims.
    """

    crops: tuple[Crop, ...]
    boxes_xyxy: NDArray[np.int32]
    height: int
    width: int

    def __post_init__(self) -> None:
        expect_array("mask boxes", self.boxes_xyxy, np.int32, (len(self.crops), 4))
        x0, y0, x1, y1 = self.boxes_xyxy.T
        outside = (x0 < 0) | (x0 > x1) | (x1 > self.width) | (y0 < 0) | (y0 > y1) | (y1 > self.height)
        if outside.any():
            row = int(outside.argmax())
            box = self.boxes_xyxy[row].tolist()
            raise DataError(f"mask box {row}: expected x0, y0, x1, y1 inside {self.width} x {self.height}, got {box}")
        for number, (crop, box) in enumerate(self):
            _check_crop(number, crop, box)

    @classmethod
    def trusted(cls, crops: tuple[Crop, ...], boxes_xyxy: NDArray[np.int32], height: int, width: int) -> MaskCrops:
        """The same without any check, each of which reads every crop: for code that made the crops itself."""
        masks = object.__new__(cls)
        for name, value in (("crops", crops), ("boxes_xyxy", boxes_xyxy), ("height", height), ("width", width)):
            object.__setattr__(masks, name, value)
        return masks

    @classmethod
    def from_boxes(cls, pairs: Iterable[tuple[Crop, Box]], height: int, width: int) -> MaskCrops:
        """From pairs (uint8 crop, half-open box), what iterating over a MaskCrops gives."""
        crops, boxes = [], []
        for crop, box in pairs:
            crops.append(crop)
            boxes.append(box)
        return cls(tuple(crops), np.array(boxes, np.int32).reshape(-1, 4), height, width)

    @classmethod
    def from_bitmaps(cls, bitmaps: NDArray[Any]) -> MaskCrops:
        """N x H x W bool or uint8 (any non-zero value is inside) -> tight crops."""
        if bitmaps.ndim != 3 or bitmaps.dtype not in (np.bool_, np.uint8):
            raise DataError(f"bitmaps: expected bool or uint8, N x H x W, got {bitmaps.dtype} of shape {bitmaps.shape}")
        count, height, width = bitmaps.shape
        trimmed = [_trim(bitmap) for bitmap in bitmaps.view(np.uint8)]
        boxes = np.array([box for _, box in trimmed], np.int32).reshape(count, 4)
        return cls.trusted(tuple(crop for crop, _ in trimmed), boxes, height, width)

    @classmethod
    def from_rles(cls, rles: Sequence[Mapping[str, Any]], height: int, width: int) -> MaskCrops:
        """N COCO RLEs of an H x W image -> tight crops, read without an H x W array."""
        return cls.from_boxes(_read_each(_rle_crop, rles, height, width), height, width)

    @classmethod
    def from_polygons(cls, instances: Sequence[Sequence[Polygon]], height: int, width: int) -> MaskCrops:
        """N instances, each a list of COCO polygons [x, y, ...] -> tight crops, rasterised as pycocotools does."""
        return cls.from_boxes(_read_each(polygons_crop, instances, height, width), height, width)

    @classmethod
    def from_coco(cls, segmentations: Sequence[Any], height: int, width: int) -> MaskCrops:
        """N COCO `segmentation` values, each an RLE or a list of polygons -> tight crops."""
        return cls.from_boxes(_read_each(_segmentation_crop, segmentations, height, width), height, width)

    def to_rles(self) -> list[Rle]:
        """N COCO RLEs of the whole image."""
        return encode_crops(self.crops, self.boxes_xyxy[:, :2], self.height, self.width)

    def to_bitmaps(self) -> NDArray[np.bool_]:
        """N x H x W bool. For small N and debugging: it costs what the crops save."""
        bitmaps = np.zeros((len(self), self.height, self.width), bool)
        for bitmap, (crop, (x0, y0, x1, y1)) in zip(bitmaps, self, strict=True):
            bitmap[y0:y1, x0:x1] = crop
        return bitmaps

    def bitmap(self, number: int) -> NDArray[np.bool_]:
        """H x W bool bitmap of one mask."""
        return np.asarray(self[[number]].to_bitmaps()[0], np.bool_)

    def areas_px(self) -> NDArray[np.int64]:
        """N int64 numbers of pixels inside."""
        return np.array([np.count_nonzero(crop) for crop in self.crops], np.int64)

    def bboxes_xywh(self) -> NDArray[np.int64]:
        """N x 4 int64 tight boxes x, y, width, height; zeros for an empty mask."""
        boxes = self.tight().boxes_xyxy.astype(np.int64)
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)

    def tight(self) -> MaskCrops:
        """The same masks in the smallest boxes; an empty mask gets a 0 x 0 crop at the origin."""
        return MaskCrops.from_boxes((_trim(crop, x0, y0) for crop, (x0, y0, _, _) in self), self.height, self.width)

    def __len__(self) -> int:
        return len(self.crops)

    def __iter__(self) -> Iterator[tuple[Crop, Box]]:
        boxes: list[Box] = [(x0, y0, x1, y1) for x0, y0, x1, y1 in self.boxes_xyxy.tolist()]
        return iter(zip(self.crops, boxes, strict=True))

    def __getitem__(self, rows: Any) -> MaskCrops:
        """The masks that a slice, an integer array or a boolean array picks."""
        numbers = row_numbers(rows, len(self))
        crops = tuple(self.crops[number] for number in numbers)
        return MaskCrops(crops, self.boxes_xyxy[numbers], self.height, self.width)


def _check_crop(number: int, crop: Crop, box: Box) -> None:
    x0, y0, x1, y1 = box
    expect_array(f"mask crop {number}, box {list(box)}", crop, np.uint8, (y1 - y0, x1 - x0))
    if crop.max(initial=0) > 1:
        raise DataError(f"mask crop {number}: expected values 0 and 1, got {crop.max()}")


def _read_each(
    read: Callable[[Any, int, int], tuple[Crop, Box]], values: Iterable[Any], height: int, width: int
) -> Iterator[tuple[Crop, Box]]:
    for number, value in enumerate(values):
        try:
            yield read(value, height, width)
        except DataError as error:
            raise DataError(f"mask {number}: {error}") from error


def _segmentation_crop(value: Any, height: int, width: int) -> tuple[Crop, Box]:
    return (_rle_crop if isinstance(value, Mapping) else polygons_crop)(value, height, width)


def _rle_crop(rle: Mapping[str, Any], height: int, width: int) -> tuple[Crop, Box]:
    stated = rle.get("size")
    if isinstance(stated, list | tuple) and list(stated) != [height, width]:
        raise DataError(f"expected an RLE of size {[height, width]}, got {reprlib.repr(stated)[:60]}")
    return decode_crop(rle)


def _trim(crop: NDArray[np.uint8], x0: int = 0, y0: int = 0) -> tuple[Crop, Box]:
    """A crop with its corner at (x0, y0) -> the smallest crop around its non-zero pixels, as 0 and 1, and its box."""
    import cv2  # reduces rows twice as fast as numpy, but no array without pixels

    rows = np.flatnonzero(cv2.reduce(crop, 1, cv2.REDUCE_MAX)) if crop.size else np.zeros(0, np.int64)
    if rows.size == 0:
        return np.zeros((0, 0), np.uint8), EMPTY_BOX
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(crop[top:bottom].view(bool).any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    trimmed = (crop[top:bottom, left:right] != 0).view(np.uint8)
    return trimmed, (x0 + left, y0 + top, x0 + right, y0 + bottom)
