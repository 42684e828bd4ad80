"""FiftyOne's COCODetectionDataset: predictions with their scores, and links to the images, to look through them."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from thingstuff.errors import DataError
from thingstuff.store.exports.coco import image_records
from thingstuff.store.exports.json_stream import write_with_list
from thingstuff.store.exports.names import image_ids
from thingstuff.store.exports.options import ExportOptions
from thingstuff.store.exports.regions import prelabel_entries, read_for, stuff_regions
from thingstuff.store.image import PredictedImage
from thingstuff.store.index import Entry
from thingstuff.store.reader import Store
from thingstuff.structures import Categories

_STUFF_SCORE = 1.0  # stuff has none, and what has none is truth to whoever reads such a folder

logger = logging.getLogger(__name__)


def export_fiftyone(store: Store, folder: Path, options: ExportOptions | None = None) -> Path:
    """Write `labels.json` and return its path; `data/` beside it gets links to the images, or copies without links.

    That is where FiftyOne looks for images. Without `image_root` there are none, and it must be told `data_path`; with
    it, entries without a file, as frames of videos are, are left out. Boxes are those of the detections, along which
    FiftyOne cuts their masks off. Everything has a score, so that no reader takes it for truth.
    """
    options = options or ExportOptions()
    entries = prelabel_entries(store, options)
    if options.image_root is not None:
        entries = _with_files(entries, options.image_root)
    ids = image_ids(entries)
    head = {"images": image_records(entries, ids), "categories": _categories(store.meta.categories)}
    target = folder / "labels.json"
    write_with_list(target, head, "annotations", _annotations(store, entries, ids, options))
    if options.image_root is not None:
        for entry in entries:
            _link(options.image_root.absolute() / entry.key, folder / "data" / entry.key)
    return target


def _with_files(entries: Sequence[Entry], image_root: Path) -> list[Entry]:
    found = [entry for entry in entries if os.path.isfile(image_root / entry.key)]  # noqa: PTH113  no error for long names
    if len(found) < len(entries):
        logger.warning("left out: %d entries that are no files in %s", len(entries) - len(found), image_root)
    return found


def _categories(categories: Categories) -> list[dict[str, Any]]:
    """FiftyOne shows the supercategory with each label."""
    return [record | {"supercategory": "thing" if record["isthing"] else "stuff"} for record in categories.to_coco()]


def _annotations(
    store: Store, entries: Sequence[Entry], ids: dict[str, int | str], options: ExportOptions
) -> Iterator[dict[str, Any]]:
    number = 0
    for entry in entries:
        for record in _records(read_for(store, entry, options), ids[entry.key], store.meta.categories, options):
            number += 1
            yield {"id": number, **record, "iscrowd": 0}


def _records(
    image: PredictedImage, image_id: int | str, categories: Categories, options: ExportOptions
) -> Iterator[dict[str, Any]]:
    """Stuff first, so that it is drawn below the things."""
    if options.include_stuff:
        for category, region in stuff_regions(image, categories):
            box, area = region.bboxes_xywh()[0].tolist(), int(region.areas_px()[0])
            shape = {"bbox": box, "area": area, "segmentation": region.to_rles()[0]}
            yield {"image_id": image_id, "category_id": category.id, "score": _STUFF_SCORE, **shape}
    found = options.detections(image)
    areas = [None] * len(found) if found.masks is None else found.masks.areas_px().tolist()
    for record, area in zip(found.to_coco(image_id), areas, strict=True):
        yield record | {"area": record["bbox"][2] * record["bbox"][3] if area is None else area}


def _link(image: Path, place: Path) -> None:
    """The image itself under another name, in place of what an earlier export left there; else a copy."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and place.samefile(image):
            return
        place.unlink(missing_ok=True)
        try:
            place.hardlink_to(image)
        except (OSError, NotImplementedError):  # on another file system, or on one without links
            shutil.copyfile(image, place)
    except OSError as error:
        raise DataError(f"{place}: the image cannot be put there: {error.strerror or error}") from error
