"""LabelMe 5: one JSON file an image, to correct predictions by hand instead of drawing from nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from thingstuff.files import write_json
from thingstuff.store.exports.labelme_record import labelme_record, labelme_shape
from thingstuff.store.exports.names import file_names
from thingstuff.store.exports.options import ExportOptions
from thingstuff.store.exports.outlines import outlines
from thingstuff.store.exports.regions import prelabel_entries, read_for, stuff_regions
from thingstuff.store.image import PredictedImage
from thingstuff.store.reader import Store
from thingstuff.structures import Categories, MaskCrops


def export_labelme(store: Store, folder: Path, options: ExportOptions | None = None) -> Path:
    """Write `<key without suffix>.json` for every image and return the folder.

    Masks become polygons, the parts of one instance sharing a `group_id`; boxes without masks become rectangles. The
    score stands in `description`. Lost are holes, which polygons cannot have, outlines finer than `tolerance_px`, and
    who lies in front of whom. Stuff comes first, under the things. Files that are there already may hold somebody's
    corrections, so they stay as they are unless `overwrite` is set.
    """
    options = options or ExportOptions()
    entries = prelabel_entries(store, options)
    names = file_names([entry.key for entry in entries], ".json")
    for entry in entries:
        path = folder / names[entry.key]
        if path.exists() and not options.overwrite:
            continue
        image = read_for(store, entry, options)
        write_json(path, _record(image, _image_path(entry.key, path, options.image_root), store, options))
    return folder


def _image_path(key: str, json_path: Path, image_root: Path | None) -> str:
    """The image's path as seen from the JSON file."""
    if image_root is None:
        return PurePosixPath(key).name
    return Path(os.path.relpath(image_root / key, json_path.parent)).as_posix()


def _record(image: PredictedImage, image_path: str, store: Store, options: ExportOptions) -> dict[str, Any]:
    categories = store.meta.categories
    stuff = _stuff_shapes(image, categories, options) if options.include_stuff else ()
    shapes = [*stuff, *_thing_shapes(image, categories, options)]
    return labelme_record(shapes, image_path, image.height, image.width)


def _stuff_shapes(image: PredictedImage, categories: Categories, options: ExportOptions) -> Iterator[dict[str, Any]]:
    for category, region in stuff_regions(image, categories):
        # A region is one thing to nobody: its parts need no group.
        for points in _polygons(region, options.tolerance_px)[0]:
            yield labelme_shape(category.name, points, "polygon")


def _thing_shapes(image: PredictedImage, categories: Categories, options: ExportOptions) -> Iterator[dict[str, Any]]:
    detections = options.detections(image)
    names = [categories.by_id(category_id).name for category_id in detections.category_ids.tolist()]
    notes = [f"score {score:.4f}" for score in detections.scores.tolist()]
    if detections.masks is None:
        for name, note, (x0, y0, x1, y1) in zip(names, notes, detections.boxes_xyxy.tolist(), strict=True):
            yield labelme_shape(name, [[x0, y0], [x1, y1]], "rectangle", note)
        return
    parts_of = _polygons(detections.masks, options.tolerance_px)
    for number, (name, note, parts) in enumerate(zip(names, notes, parts_of, strict=True)):
        for points in parts:
            yield labelme_shape(name, points, "polygon", note, group_id=number if len(parts) > 1 else None)


def _polygons(masks: MaskCrops, tolerance_px: float) -> list[list[list[list[float]]]]:
    return [[part.tolist() for part in outlines(crop, x0, y0, tolerance_px)] for crop, (x0, y0, _, _) in masks]
