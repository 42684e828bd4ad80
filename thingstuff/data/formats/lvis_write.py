"""A split's instances -> LVIS v1's JSON: polygons, frequencies, and for each image what is known to be absent."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.data.category_lists import NEGATIVE, UNFINISHED
from thingstuff.data.formats.coco_write import write_json_list
from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.instance_records import Crop, shown
from thingstuff.data.formats.nested_values import nested_refused
from thingstuff.data.formats.truth_instances import (
    ImageInstances,
    Instance,
    instances_by_image,
    polygon_numbers,
    with_masks,
)
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.store.exports.outlines import has_holes, one_outline, outlines

_MOST_RARE, _MOST_COMMON = 10, 100  # images of a category; LVIS's own limits
_NOT_OF_LVIS = ("iscrowd", "keypoints", "num_keypoints")

logger = logging.getLogger(__name__)


def write_lvis(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `annotations.json`, its path; copied images lie in `images` beside it.

    Polygons stay as they are, and masks become polygons that draw the very mask. LVIS's own fields stay; where they are
    missing, the data count as labelled exhaustively: an image lacks every category that it has no instance of, and
    frequencies are counted. Unfinished are the categories of which an image has crowds or boxes without a mask, which
    LVIS cannot hold.
    """
    whole = instances_by_image(truth)
    kept = with_masks(whole, "lvis")
    annotations = list(_annotations(kept, options.tolerance_px, folder.name))
    categories = _things(truth.categories, annotations)
    ids = dict.fromkeys(category["id"] for category in categories)
    rows = enumerate(zip(truth.images, whole, kept, strict=True))
    images = [_image(record, one, left, ids, truth.image_place(number)) for number, (record, one, left) in rows]
    head = {"images": images, "categories": list(_counted(categories, annotations))}
    path = folder / "annotations.json"
    with nested_refused(truth.name):
        write_json_list(path, head, annotations)
    if options.copy_images:
        copy_images(truth, folder / "images")
    return path


def _annotations(images: Sequence[ImageInstances], tolerance_px: float, title: str) -> Iterator[Record]:
    """With the ids that they have, if each has its own, else with new ones."""
    known = [instance.record.get("id") for image in images for instance in image.instances]
    are_ids = all(type(own) is int for own in known) and len(set(known)) == len(known)
    number = empty = 0
    for image in watched(images, f"writing {title}"):
        for instance in image.instances:
            shape = _shape(instance, image.size_hw, tolerance_px)
            number += 1
            if shape is None:
                empty += 1
                continue
            own = {key: value for key, value in instance.record.items() if key not in _NOT_OF_LVIS}
            yield own | shape | ({} if are_ids else {"id": number})
    if empty:
        logger.warning("left out: %d masks without a pixel, which lvis cannot hold", empty)


def _shape(instance: Instance, size_hw: tuple[int, int], tolerance_px: float) -> Record | None:
    """Polygons, and box and area where the record has none; None for a mask without a pixel."""
    segmentation = instance.segmentation
    is_drawn = isinstance(segmentation, list)
    if is_drawn:
        for polygon in segmentation:
            polygon_numbers(polygon, instance.place)
        if "bbox" in instance.record and "area" in instance.record:
            return {}
    crop, (x0, y0, x1, y1) = instance.mask(size_hw)
    if not crop.size:
        return None
    measured = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": int(np.count_nonzero(crop))}
    polygons = segmentation if is_drawn else _polygons(crop, (x0, y0), tolerance_px)
    return {key: value for key, value in measured.items() if key not in instance.record} | {"segmentation": polygons}


def _polygons(crop: Crop, corner_xy: tuple[int, int], tolerance_px: float) -> list[list[float]]:
    """Parts are polygons of their own; a mask with holes is one, which all of its parts and holes are joined to."""
    if has_holes(crop):
        return [one_outline(crop, *corner_xy, tolerance_px).reshape(-1).tolist()]
    return [part.reshape(-1).tolist() for part in outlines(crop, *corner_xy, tolerance_px)]


def _things(categories: Sequence[Record], annotations: Sequence[Record]) -> list[Record]:
    """Without stuff, since nobody looked for instances of it."""
    used = {note["category_id"] for note in annotations}
    return [category for category in categories if category.get("isthing", 1) or category["id"] in used]


def _image(record: Record, whole: ImageInstances, kept: ImageInstances, ids: Collection[Any], place: str) -> Record:
    """`whole` has all of the instances, `kept` those that are written; `ids` are those of the categories."""
    present = Counter(each.record["category_id"] for each in whole.instances)
    unfinished = present - Counter(each.record["category_id"] for each in kept.instances)
    negative = _stated(record, NEGATIVE, ids, place)
    stated = _stated(record, UNFINISHED, ids, place) or []
    height, width = whole.size_hw
    return record | {
        "height": height,
        "width": width,
        # Detectron2 goes by the last two parts of it alone
        "coco_url": record.get("coco_url") or f"/{whole.file_name}",
        NEGATIVE: [own for own in ids if own not in present] if negative is None else negative,
        UNFINISHED: [*stated, *(own for own in unfinished if own not in stated)],
    }


def _stated(record: Record, key: str, ids: Collection[Any], place: str) -> list[Any] | None:
    """The list without categories that are no longer there; None where there is none."""
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, list):
        raise DataError(f"{place}: expected {key} as a list of category ids, got {shown(value)}")
    return [own for own in value if isinstance(own, int | str) and own in ids]


def _counted(categories: Sequence[Record], annotations: Sequence[Record]) -> Iterator[Record]:
    """The categories, with how often each is there and how rare that is."""
    instances = Counter(note["category_id"] for note in annotations)
    images = Counter(own for _, own in {(note["image_id"], note["category_id"]) for note in annotations})
    for category in categories:
        count = images[category["id"]]
        frequency = "r" if count <= _MOST_RARE else "c" if count <= _MOST_COMMON else "f"
        yield {"frequency": frequency, "image_count": count, "instance_count": instances[category["id"]], **category}
