"""COCO panoptic truth made of instances and stuff maps: a PNG an image, and a JSON that describes its segments."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.bounded_masks import bounded_mask
from thingstuff.data.panoptic.names import image_size, png_names, whole_folder
from thingstuff.data.panoptic.paint import Layers, Painted, Policy, paint
from thingstuff.data.stuff_maps import to_stuff_map
from thingstuff.data.truth import PanopticFiles, Record, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.store.exports.json_stream import write_with_list
from thingstuff.structures import Categories, MaskCrops
from thingstuff.structures.spans import Box

_POLICIES = ("fail", "area", "order")
_IMAGE_KEYS = ("id", "file_name", "height", "width")


@dataclass(frozen=True)
class BuiltPanoptic(PanopticFiles):
    """What was written. `shared_px` pixels went from one instance to another; `hidden` annotations kept none.

    The latter are named by their places; they have no segment. Of `all_px` pixels, `void_px` belong to no segment.
    """

    shared_px: int = 0
    void_px: int = 0
    all_px: int = 0
    hidden: tuple[str, ...] = ()


def build_panoptic(truth: SplitTruth, folder: Path, policy: Policy = "fail") -> BuiltPanoptic:
    """Write the PNGs into `folder`, named and nested as the images, and `FOLDER.json` beside it: both or nothing.

    `policy` says whose a pixel of two instances is: "fail" refuses it, with "area" it is the smaller's, with "order"
    the later record's, which also settles equal areas. Stuff is where no instance is; what nobody labelled is void.
    Crowds become `iscrowd` segments below all of that, but above the stuff of maps that have no label for things.
    Segments are numbered from 1 in an image: instances in the order of their records, then the stuff categories.
    """
    if policy not in _POLICIES:
        raise DataError(f"there is no policy {policy!r} for overlaps: choose one of {', '.join(_POLICIES)}")
    parts = _Parts.of(truth)
    records, hidden, shared_px, void_px, all_px = [], [], 0, 0, 0
    json_path = folder.with_name(f"{folder.name}.json")
    if json_path.exists():
        raise DataError(f"{json_path} is there already: name another folder")
    with whole_folder(folder) as fresh:
        for number, png_name in enumerate(watched(png_names(truth), "panoptic maps")):
            painted = _painted(parts, number, policy)
            infos = painted.map.write_coco(fresh / png_name)
            image_id = truth.images[number]["id"]
            records.append({"image_id": image_id, "file_name": png_name, "segments_info": infos})
            shared_px += painted.shared_px
            void_px += int(np.count_nonzero(painted.map.ids == 0))
            all_px += painted.map.ids.size
            hidden += [truth.annotation_place(parts.rows_of[image_id][row]) for row in painted.hidden]
    images = [{key: image[key] for key in _IMAGE_KEYS} for image in truth.images]
    head = {"images": images, "categories": parts.categories.to_coco()}
    try:
        write_with_list(json_path, head, "annotations", records)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return BuiltPanoptic(
        json_path, folder, records, shared_px=shared_px, void_px=void_px, all_px=all_px, hidden=tuple(hidden)
    )


@dataclass(frozen=True)
class _Parts:
    """A truth whose ids are known to fit. `rows_of` are the numbers of an image's annotations, by image id."""

    truth: SplitTruth
    categories: Categories
    rows_of: Mapping[int | str, Sequence[int]]

    @classmethod
    def of(cls, truth: SplitTruth) -> _Parts:
        if truth.annotations is None and truth.stuff is None:
            raise DataError(f"{truth.name} has neither instances nor stuff, of which panoptic truth could be built")
        # what two files say alike counts once; one id or one name with two meanings is refused
        records = [record for n, record in enumerate(truth.categories) if record not in truth.categories[:n]]
        try:
            categories = Categories.from_coco(records)
        except DataError as error:
            raise DataError(f"{truth.name}: {error}") from error
        return cls(truth, categories, _rows_of(truth, categories))


def _rows_of(truth: SplitTruth, categories: Categories) -> dict[int | str, list[int]]:
    rows: dict[int | str, list[int]] = {}
    for number, image in enumerate(truth.images):
        image_id = image.get("id")
        if not isinstance(image_id, int | str) or image_id in rows:
            raise DataError(f"{truth.image_place(number)}: expected an id of its own, got {image_id!r:.60}")
        rows[image_id] = []
    thing_ids = [category.id for category in categories.things]
    for number, note in enumerate(truth.annotations or ()):
        image_id, category_id = note.get("image_id"), note.get("category_id")
        if not isinstance(image_id, int | str) or image_id not in rows:
            raise DataError(f"{truth.annotation_place(number)}: there is no image with the id {image_id!r:.60}")
        if category_id not in thing_ids:
            raise DataError(f"{truth.annotation_place(number)}: no thing category has the id {category_id!r:.60}")
        rows[image_id].append(number)
    return rows


# ---- one image ---------------------------------------------------------------------------------------------------


def _painted(parts: _Parts, number: int, policy: Policy) -> Painted:
    place = parts.truth.image_place(number)
    layers = _layers(parts, number, place)
    try:
        return paint(layers, parts.categories, policy)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error


def _layers(parts: _Parts, number: int, place: str) -> Layers:
    truth, image = parts.truth, parts.truth.images[number]
    height, width = image_size(image, place)
    rows = parts.rows_of[image["id"]]
    notes, places = [(truth.annotations or [])[row] for row in rows], [truth.annotation_place(row) for row in rows]
    crops = [_mask(note, name, height, width) for note, name in zip(notes, places, strict=True)]
    return Layers(
        MaskCrops.from_boxes(crops, height, width),
        [note["category_id"] for note in notes],
        np.array([bool(note.get("iscrowd")) for note in notes], bool),
        places,
        None if truth.stuff is None else _stuff_map(parts, truth.stuff, image, place),
        truth.stuff is not None and _knows_things(truth.stuff, parts.categories),
    )


def _mask(note: Record, place: str, height: int, width: int) -> tuple[NDArray[np.uint8], Box]:
    if not note.get("segmentation"):
        raise DataError(f"{place}: it has no mask, and a box alone owns no pixels: remove it, or give it one")
    try:
        return bounded_mask(note["segmentation"], height, width)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error


def _stuff_map(parts: _Parts, stuff: StuffFiles, image: Record, place: str) -> NDArray[np.uint16]:
    """H x W uint16 stuff map."""
    labels = stuff.read(image["id"])
    if labels.shape != (image["height"], image["width"]):
        expected, found = f"{image['height']} x {image['width']}", " x ".join(map(str, labels.shape))
        raise DataError(f"{place}: expected a label map of {expected} pixels (height x width), got {found}")
    try:
        return to_stuff_map(labels, stuff, parts.categories)
    except DataError as error:
        raise DataError(f"{place}: its label map: {error}") from error


def _knows_things(stuff: StuffFiles, categories: Categories) -> bool:
    stuff_ids = {category.id for category in categories.stuff}
    return any(category_id not in stuff_ids for category_id in stuff.label_ids.values())
