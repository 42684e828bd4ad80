"""Stuff regions as mask crops, for formats that know shapes only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thingstuff.errors import DataError
from thingstuff.store.exports.options import ExportOptions
from thingstuff.store.image import PredictedImage
from thingstuff.store.index import Entry
from thingstuff.store.reader import Store
from thingstuff.structures import Categories, Category, MaskCrops


def prelabel_entries(store: Store, options: ExportOptions) -> list[Entry]:
    """The entries in the order of their keys; refused where one has nothing to draw."""
    for entry in store.entries:
        has_stuff = entry.has_stuff_map or entry.has_panoptic
        where = f"{store.folder}: {entry.place}: {entry.key!r}"
        if options.include_stuff and not has_stuff:
            raise DataError(f"{where} has neither a stuff map nor a panoptic map: export without stuff")
        if not options.include_stuff and not entry.has_detections:
            raise DataError(f"{where} has no detections: ask for its stuff (include_stuff, --stuff)")
    return sorted(store.entries, key=lambda entry: entry.key)


def read_for(store: Store, entry: Entry, options: ExportOptions) -> PredictedImage:
    """An image with the one map that its stuff regions need."""
    stuff = options.include_stuff and entry.has_stuff_map
    return store.read(entry.key, stuff=stuff, panoptic=options.include_stuff and not stuff)


def stuff_regions(image: PredictedImage, categories: Categories) -> Iterator[tuple[Category, MaskCrops]]:
    """Each stuff category in the image with its region, one mask; from the panoptic map where there is no stuff map."""
    stuff_map = image.stuff_map
    if stuff_map is None and image.panoptic is not None:
        stuff_map = image.panoptic.stuff_map(categories)
    if stuff_map is None:
        return
    for label, category in enumerate(categories.stuff, 1):
        region = stuff_map == label
        if np.any(region):
            yield category, MaskCrops.from_bitmaps(region[None])
