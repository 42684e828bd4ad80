"""Panoptic truth as panopticapi's two channels: one PNG an image, R the category id, G the instance, and no JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.panoptic.conversion import PanopticSource, write_panoptic
from thingstuff.data.panoptic.names import whole_folder
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.structures import Categories, PanopticMap, read_png, write_png
from thingstuff.structures.runs import positions_of

CROWD = 255  # the instance of a crowd group
_HIGHEST_CATEGORY = 255


def convert_to_2ch(json_path: Path, folder: Path | None, out_folder: Path) -> Path:
    """One PNG an image into `out_folder`, new or empty, written whole or not at all; gives that folder.

    Instances are counted from 0 in each image and category, in the order of `segments_info`; a crowd group is 255,
    stuff is 0, void is 0 in both channels. So the ids of segments are lost, and several crowd groups of a category
    become one. Refused is what does not fit: a category id of 0 or above 255, and more than 255 instances.
    `folder` is that of the PNGs, by default the JSON's path without suffix.
    """
    source = PanopticSource.open(json_path, folder)
    with whole_folder(out_folder) as fresh:
        for record, panoptic in source.maps("two-channel maps"):
            try:
                channels = _to_channels(panoptic)
            except DataError as error:
                raise DataError(f"{json_path}: image {record['image_id']!r}: {error}") from error
            write_png(fresh / record["file_name"], channels)
    return out_folder


def convert_from_2ch(folder: Path, images_json: Path, out_json: Path, categories_json: Path | None = None) -> Path:
    """The way back: `out_json`, and PNGs in the new folder of its name without suffix; gives the JSON.

    `images_json` lists the images; their maps have the same names with .png. Categories are its own, or those of
    `categories_json`, a list of them or a COCO file. Segments are numbered from 1 in each image, by category and
    instance. Unlike panopticapi, which drops it, a category that is not listed is refused.
    """

    def read_map(image: Record, name: str, content: Mapping[str, Any], categories: Categories) -> PanopticMap:
        channels = read_png(folder / name, "RGB")
        try:
            return _from_channels(channels, categories)
        except DataError as error:
            raise DataError(f"{folder / name}: {error}") from error

    return write_panoptic(images_json, out_json, categories_json, read_map, ("images",))


def _to_channels(panoptic: PanopticMap) -> NDArray[np.uint8]:
    """H x W x 3 uint8."""
    counted: Counter[int] = Counter()
    colors = []
    for segment in panoptic.segments:
        if not 0 < segment.category_id <= _HIGHEST_CATEGORY:
            raise DataError(f"the category id {segment.category_id} does not fit: expected 1 to {_HIGHEST_CATEGORY}")
        is_counted = segment.isthing and not segment.iscrowd
        instance = counted[segment.category_id] if is_counted else CROWD if segment.iscrowd else 0
        if is_counted and instance == CROWD:
            raise DataError(
                f"there are more than {CROWD} instances of category {segment.category_id}, which do not fit"
            )
        counted[segment.category_id] += is_counted
        colors.append((segment.category_id, instance, 0))
    positions = positions_of(panoptic.ids, np.array([s.id for s in panoptic.segments], np.int64))
    return np.array([*colors, (0, 0, 0)], np.uint8)[positions]  # no segment, position -1, is the last entry


def _from_channels(channels: NDArray[np.uint8], categories: Categories) -> PanopticMap:
    if np.any(channels[..., 2]):
        raise DataError("the third channel is not empty: this is no two-channel map")
    both = channels[..., 0].astype(np.uint32) << 8 | channels[..., 1]
    found = [value for value in np.unique(both).tolist() if value]
    ids = (positions_of(both, np.array(found, np.int64)) + 1).astype(np.uint32)
    category_ids = {number: value >> 8 for number, value in enumerate(found, 1)}
    is_crowd = [value & 255 == CROWD and categories.by_id(value >> 8).isthing for value in found]
    crowds = [number for number, crowd in enumerate(is_crowd, 1) if crowd]
    return PanopticMap.from_labels(ids, category_ids, categories, crowd_ids=crowds)
