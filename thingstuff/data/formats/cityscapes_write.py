"""A split's instances and stuff -> Cityscapes' instanceIds, one 16-bit PNG an image."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.cityscapes_files import IMAGES, LABEL_END, LABELS, image_bases
from thingstuff.data.formats.cityscapes_labels import DIVISOR
from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.semantic_labels import LABELS_FILE, SemanticLabels
from thingstuff.data.formats.semantic_write import renumbered
from thingstuff.data.formats.truth_instances import ImageInstances, Instance, instances_by_image, with_masks
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.structures import Categories, write_png

_VOID = 0
_HIGHEST = 65535
_MOST_THINGS = 65

logger = logging.getLogger(__name__)


def write_cityscapes(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `gtFine/<name of the image>_gtFine_instanceIds.png`; the folder `gtFine`. Images: `leftImg8bit` beside it.

    Above the stuff lie crowds, above these instances, the later ones on top: how many pixels that costs is logged.
    Crowds of one category become one region. Labels are the category ids if things have 1 to 65 and stuff 1 to 999;
    else they are numbered anew, and logged so. `labels.json` among the PNGs says what they mean.
    """
    if truth.annotations is None and truth.stuff is not None:
        truth = replace(truth, annotations=[])
    images = with_masks(instances_by_image(truth), "cityscapes", keep_crowds=True)
    label_of = _labels(truth, images)
    stuff_of = {c["id"]: label_of[c["id"]] for c in truth.categories if not c.get("isthing", 1)}
    bases = image_bases([image.file_name for image in images])
    lost = Counter[str]()
    for record, image in zip(truth.images, watched(images, f"writing {folder.name}"), strict=True):
        painted = _paint(image, _stuff(truth, record, image, stuff_of), label_of)
        write_png(folder / LABELS / f"{bases[image.file_name]}{LABEL_END}", painted.ids)
        lost.update(painted.lost)
    _write_labels(truth, label_of, folder / LABELS / LABELS_FILE)
    _log(lost)
    if options.copy_images:
        copy_images(truth, folder / IMAGES)
    return folder / LABELS


def _labels(truth: SplitTruth, images: Sequence[ImageInstances]) -> dict[int, int]:
    """Category id -> label, in the order of the categories."""
    try:
        categories = Categories.from_coco(truth.categories)
    except DataError as error:
        raise DataError(f"{truth.name}: {error}") from error
    things = {c.id for c in categories.things}
    used = {_thing(each, things) for image in images for each in image.instances}
    if all(0 < c.id <= (_MOST_THINGS if c.id in things else DIVISOR - 1) for c in categories.all):
        return {c.id: c.id for c in categories.all}
    kept = [c.id for c in categories.all if c.id in (things if len(things) <= _MOST_THINGS else used)]
    others = [c.id for c in categories.all if c.id not in things]
    if len(kept) > _MOST_THINGS or len(kept) + len(others) >= DIVISOR:
        raise DataError(
            f"{truth.name}: {len(kept)} things and {len(others)} of stuff are more categories than cityscapes can hold "
            f"({_MOST_THINGS} and {DIVISOR - 1} in all): choose coco_panoptic, or coco and semantic"
        )
    logger.warning("the values of cityscapes cannot hold these category ids: categories are numbered anew, from 1")
    return {own: label for label, own in enumerate([*kept, *others], 1)}


def _thing(instance: Instance, things: Collection[int]) -> int:
    own = instance.record["category_id"]
    if own not in things:
        raise DataError(f"{instance.place}: its category {shown(instance.label)} is stuff, which has no instances")
    return own


def _stuff(truth: SplitTruth, record: Record, image: ImageInstances, stuff_of: Mapping[int, int]) -> NDArray[np.uint16]:
    """H x W labels of stuff; where is none, and where things may be, nobody knows."""
    if truth.stuff is None:
        return np.full(image.size_hw, _VOID, np.uint16)
    values = {label: _VOID if own is None else stuff_of.get(own, _VOID) for label, own in truth.stuff.label_ids.items()}
    values |= dict.fromkeys(truth.stuff.void_labels, _VOID)
    labels = renumbered(truth.stuff, record, values, np.uint16, truth.name)
    if labels.shape != image.size_hw:
        height, width = image.size_hw
        found = f"{labels.shape[1]} x {labels.shape[0]}"
        raise DataError(
            f"{truth.name}: {shown(image.file_name)}: its label map has {found} pixels, it {width} x {height}"
        )
    return labels


@dataclass(frozen=True)
class _Painted:
    ids: NDArray[np.uint16]
    lost: dict[str, int]


def _paint(image: ImageInstances, ids: NDArray[np.uint16], label_of: Mapping[int, int]) -> _Painted:
    ids, painted, area_px, beyond = ids.copy(), list[int](), 0, 0
    counts = Counter[int]()
    for instance in sorted(image.instances, key=lambda each: not each.is_crowd):
        value = _value(instance, label_of, counts)
        if value is None:
            beyond += 1
            continue
        crop, (x0, y0, x1, y1) = instance.mask(image.size_hw)
        ids[y0:y1, x0:x1][crop != 0] = value
        painted.append(value)
        area_px += int(np.count_nonzero(crop))
    own = ids[np.isin(ids, painted)]
    different = len(set(painted))
    hidden = different - np.unique(own).size
    return _Painted(
        ids, {"px": area_px - own.size, "hidden": hidden, "joined": len(painted) - different, "beyond": beyond}
    )


def _value(instance: Instance, label_of: Mapping[int, int], counts: Counter[int]) -> int | None:
    """The number of an instance counts from 0; None where 1000 of its category, or 16 bits, hold no more of them."""
    label = label_of[instance.record["category_id"]]
    if instance.is_crowd:
        return label
    value = label * DIVISOR + counts[label]
    counts[label] += 1
    return value if counts[label] <= DIVISOR and value <= _HIGHEST else None


def _write_labels(truth: SplitTruth, label_of: Mapping[int, int], path: Path) -> None:
    categories = Categories.from_coco(truth.categories).to_coco()
    records = [{**record, "id": label_of[record["id"]]} for record in categories if record["id"] in label_of]
    SemanticLabels(records, {label: label for label in label_of.values()}, frozenset({_VOID})).write(path)


def _log(lost: Counter[str]) -> None:
    if lost["px"] or lost["hidden"]:
        logger.warning(
            "cityscapes has one value a pixel: lost are %d pixels below other instances, and %d whole instances",
            lost["px"],
            lost["hidden"],
        )
    if lost["joined"]:
        logger.warning("joined: %d crowd regions with others of their category in the image", lost["joined"])
    if lost["beyond"]:
        logger.warning("left out: %d instances beyond the %d of a category in an image", lost["beyond"], DIVISOR)
