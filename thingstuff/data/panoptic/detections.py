"""Panoptic truth as panopticapi's detections: one JSON with an RLE annotation for every segment, of stuff too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.data.formats.bounded_masks import bounded_mask
from thingstuff.data.panoptic.conversion import PanopticSource, head_of, write_panoptic
from thingstuff.data.panoptic.names import image_size
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.store.exports.json_stream import write_with_list
from thingstuff.structures import Categories, PanopticMap
from thingstuff.structures.rle import encode_crops


def convert_to_detection(json_path: Path, folder: Path | None, out_folder: Path) -> Path:
    """`panoptic_detection.json` in `out_folder`, written whole or not at all: one annotation a segment, from 0 on.

    Area and box are measured in the PNGs. Categories lose `isthing`, as there. `folder` is that of the PNGs, by default
    the JSON's path without suffix.
    """
    source = PanopticSource.open(json_path, folder)
    out_json = out_folder / "panoptic_detection.json"
    records = [{k: v for k, v in category.items() if k != "isthing"} for category in source.content["categories"]]
    try:
        write_with_list(out_json, head_of(source.content) | {"categories": records}, "annotations", _segments(source))
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{json_path}: holds a number that JSON has not: {error}") from error
    return out_json


def convert_from_detection(json_path: Path, out_json: Path, categories_json: Path | None = None) -> Path:
    """The way back: `out_json`, and PNGs in the new folder of its name without suffix; gives the JSON.

    Two segments that share a pixel are refused, as by panopticapi. Segments are numbered from 1 in each image, in the
    order of the file. Which categories are stuff is said by `categories_json`, a list of them or a COCO file; without
    it, and without `isthing` in the file itself, all are things.
    """
    rows: dict[Any, list[int]] = {}

    def read_map(image: Record, name: str, content: Mapping[str, Any], categories: Categories) -> PanopticMap:
        if not rows:
            rows.update(_rows_by_image(content["annotations"], json_path))
        records = [(f"annotations[{n}]", content["annotations"][n]) for n in rows.get(image["id"], ())]
        return _painted(records, *image_size(image, "its record"), categories)

    return write_panoptic(json_path, out_json, categories_json, read_map, ("images", "annotations"))


def _segments(source: PanopticSource) -> Iterator[Record]:
    number = 0
    for record, panoptic in source.maps("masks of segments"):
        boxes = [segment.bbox for segment in panoptic.segments]
        crops = [
            panoptic.ids[y : y + height, x : x + width] == segment.id
            for segment, (x, y, width, height) in zip(panoptic.segments, boxes, strict=True)
        ]
        corners_xy = np.array([box[:2] for box in boxes], np.int64).reshape(-1, 2)
        masks = encode_crops(crops, corners_xy, *panoptic.ids.shape)
        for info, segment, mask in zip(record["segments_info"], panoptic.segments, masks, strict=True):
            measured = {"area": segment.area, "bbox": list(segment.bbox), "iscrowd": int(segment.iscrowd)}
            yield {"segmentation": mask, **info, **measured, "image_id": record["image_id"], "id": number}
            number += 1


def _rows_by_image(annotations: list[Record], json_path: Path) -> dict[Any, list[int]]:
    rows: dict[Any, list[int]] = {}
    for number, note in enumerate(annotations):
        if not isinstance(note.get("image_id"), int | str):
            raise DataError(f"{json_path}: annotations[{number}]: expected an image_id that is a number or a text")
        rows.setdefault(note["image_id"], []).append(number)
    return rows


def _painted(records: list[tuple[str, Record]], height: int, width: int, categories: Categories) -> PanopticMap:
    ids = np.zeros((height, width), np.uint32)
    for number, (place, note) in enumerate(records, 1):
        if type(note.get("category_id")) is not int:
            raise DataError(f"{place}: expected an integer category_id, got {str(note.get('category_id'))[:60]!r}")
        try:
            crop, (x0, y0, x1, y1) = bounded_mask(note.get("segmentation"), height, width)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
        region = ids[y0:y1, x0:x1]
        if np.any(region[crop > 0]):
            other = records[int(region[crop > 0].max()) - 1][0]
            raise DataError(f"{place} shares pixels with {other}: segments must not overlap")
        region[crop > 0] = number
    return PanopticMap.from_labels(
        ids,
        {number: note["category_id"] for number, (_, note) in enumerate(records, 1)},
        categories,
        crowd_ids=[number for number, (_, note) in enumerate(records, 1) if note.get("iscrowd")],
    )
