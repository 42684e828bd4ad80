"""Panoptic maps: every pixel belongs to one segment, a thing or a stuff region, or to none (0, void)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.arrays import expect_array, refuse_duplicates
from thingstuff.structures.categories import Categories
from thingstuff.structures.detections import Detections
from thingstuff.structures.mask_crops import MaskCrops
from thingstuff.structures.png import read_png, write_png
from thingstuff.structures.runs import label_extents, positions_of
from thingstuff.structures.stuff_map import VOID

VOID_ID = 0  # of a segment; a stuff map has its own
MAX_RGB_ID = 256**3 - 1


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a panoptic map. `category_id` is the data set's; `bbox` is the tight box x, y, width, height."""

    id: int
    category_id: int
    isthing: bool
    area: int
    bbox: tuple[int, int, int, int]
    score: float | None = None
    iscrowd: bool = False


@dataclass(frozen=True, eq=False)
class PanopticMap:
    """H x W uint32 segment ids (0 = void) and the segments, each with at least one pixel."""

    ids: NDArray[np.uint32]
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        expect_array("panoptic map", self.ids, np.uint32, (None, None))
        refuse_duplicates((s.id for s in self.segments), "two segments share the id {}: give each its own")
        measured = _measure(self.ids)
        _check_ids(measured, (s.id for s in self.segments))
        for segment in self.segments:
            stated, found = (segment.area, tuple(segment.bbox)), measured[segment.id]
            if stated != found:
                raise DataError(f"segment {segment.id}: expected area and bbox {found} of its pixels, got {stated}")

    @classmethod
    def trusted(cls, ids: NDArray[np.uint32], segments: tuple[Segment, ...]) -> PanopticMap:
        """The same without any check, which would cost as much as a merge: for code that made both together."""
        panoptic = object.__new__(cls)
        object.__setattr__(panoptic, "ids", ids)
        object.__setattr__(panoptic, "segments", segments)
        return panoptic

    @classmethod
    def from_labels(
        cls,
        ids: NDArray[np.uint32],
        category_ids: Mapping[int, int],
        categories: Categories,
        *,
        scores: Mapping[int, float] | None = None,
        crowd_ids: Collection[int] = (),
    ) -> PanopticMap:
        """H x W uint32 segment ids and {segment id: data set category id} -> map with areas and boxes measured.

        Segments come in the order of `category_ids`. `scores` and `crowd_ids` are by segment id.
        """
        expect_array("panoptic map", ids, np.uint32, (None, None))
        measured = _measure(ids)
        _check_ids(measured, category_ids)
        segments = [
            Segment(
                number,
                category_id,
                categories.by_id(category_id).isthing,
                *measured[number],
                score=None if scores is None else scores.get(number),
                iscrowd=number in crowd_ids,
            )
            for number, category_id in category_ids.items()
        ]
        return cls.trusted(ids, tuple(segments))

    @classmethod
    def read_coco(
        cls, png_path: Path | str, segments_info: Sequence[Mapping[str, Any]], categories: Categories
    ) -> PanopticMap:
        """One image of a COCO panoptic data set: its PNG, and `segments_info` of its JSON annotation.

        Areas and boxes are measured in the PNG; the JSON's are not read, since predictions often lack them.
        """
        ids = rgb_to_ids(read_png(png_path, "RGB"))
        try:
            _check_info(segments_info)
            return cls.from_labels(
                ids,
                {info["id"]: info["category_id"] for info in segments_info},
                categories,
                scores={info["id"]: info["score"] for info in segments_info if "score" in info},
                crowd_ids={info["id"] for info in segments_info if info.get("iscrowd")},
            )
        except DataError as error:
            raise DataError(f"{png_path}: {error}") from error

    def write_coco(self, png_path: Path | str) -> list[dict[str, Any]]:
        """Write the PNG, whole or not at all, and return `segments_info` for the JSON annotation."""
        write_png(png_path, ids_to_rgb(self.ids))
        return [_to_info(segment) for segment in self.segments]

    def segment_mask(self, segment_id: int) -> NDArray[np.bool_]:
        """H x W bool mask of one segment."""
        if all(segment.id != segment_id for segment in self.segments):
            raise DataError(f"the panoptic map has no segment {segment_id}")
        return np.asarray(self.ids == segment_id, np.bool_)

    def stuff_map(self, categories: Categories) -> NDArray[np.uint16]:
        """H x W uint16 stuff map: things become NOT_STUFF, void stays void."""
        labels = categories.stuff_map(np.array([s.category_id for s in self.segments], np.int64))
        positions = positions_of(self.ids, np.array([s.id for s in self.segments], np.int64))
        # Position -1, no segment, picks the last entry.
        return np.append(labels, np.uint16(VOID))[positions]

    def to_detections(self) -> Detections:
        """The things, crowds left out, as detections with tight crops; a segment without a score gets 1."""
        things = [s for s in self.segments if s.isthing and not s.iscrowd]
        masks = MaskCrops.from_boxes((self._crop(segment) for segment in things), *self.ids.shape)
        return Detections(
            masks,
            masks.boxes_xyxy.astype(np.float32),
            np.array([1.0 if s.score is None else s.score for s in things], np.float32),
            np.array([s.category_id for s in things], np.int64),
        )

    def _crop(self, segment: Segment) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
        x, y, width, height = segment.bbox
        crop = self.ids[y : y + height, x : x + width] == segment.id
        return crop.view(np.uint8), (x, y, x + width, y + height)


def ids_to_rgb(ids: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """H x W uint32 segment ids below 256**3 -> H x W x 3 uint8, COCO's encoding id = R + 256 G + 256**2 B."""
    expect_array("panoptic map", ids, np.uint32, (None, None))
    if ids.max(initial=0) > MAX_RGB_ID:
        raise DataError(f"panoptic map: expected ids up to {MAX_RGB_ID} for a COCO PNG, got {ids.max()}")
    little_endian = np.ascontiguousarray(ids, "<u4")
    return np.ascontiguousarray(little_endian.view(np.uint8).reshape(*ids.shape, 4)[..., :3])


def rgb_to_ids(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """H x W x 3 uint8 (RGB order) -> H x W uint32 segment ids, the inverse of `ids_to_rgb`."""
    import cv2

    expect_array("panoptic RGB", rgb, np.uint8, (None, None, 3))
    if rgb.size == 0:
        return np.zeros(rgb.shape[:2], np.uint32)
    four_bytes = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2RGBA).view("<u4")[..., 0]
    return np.asarray(four_bytes & MAX_RGB_ID, np.uint32)  # without the alpha byte


def _measure(ids: NDArray[np.uint32]) -> dict[int, tuple[int, tuple[int, int, int, int]]]:
    """{segment id: (area in pixels, box xywh)} of every id used but void."""
    values, areas, boxes = (column.tolist() for column in label_extents(ids))
    found = {value: (area, tuple(box)) for value, area, box in zip(values, areas, boxes, strict=True)}
    found.pop(VOID_ID, None)
    return found


def _check_ids(measured: Collection[int], stated: Any) -> None:
    described = set(stated)
    undescribed, unused = sorted(set(measured) - described), sorted(described - set(measured))
    if VOID_ID in described:
        raise DataError(f"segment {VOID_ID}: expected no segment of this id, which means void")
    if undescribed:
        raise DataError(f"the map has pixels of segment {undescribed[0]}, which no segment describes")
    if unused:
        raise DataError(f"segment {unused[0]}: expected one pixel or more in the map, got none")


def _check_info(segments_info: Sequence[Mapping[str, Any]]) -> None:
    for number, info in enumerate(segments_info):
        if not {"id", "category_id"} <= info.keys():
            raise DataError(f"segments_info[{number}]: expected the keys id and category_id, got {sorted(info)}")
        if not isinstance(info["id"], int):
            raise DataError(f"segments_info[{number}]: expected an integer id, got {info['id']!r}")
    refuse_duplicates((info["id"] for info in segments_info), "two segments share the id {}: give each its own")


def _to_info(segment: Segment) -> dict[str, Any]:
    info = {
        "id": segment.id,
        "category_id": segment.category_id,
        "area": segment.area,
        "bbox": list(segment.bbox),
        "iscrowd": int(segment.iscrowd),
    }
    return info if segment.score is None else info | {"score": segment.score}
