"""CVAT for images 1.1: one XML file with exact masks, to correct predictions in CVAT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from thingstuff.files import whole_file
from thingstuff.store.exports.cvat_xml import (
    CvatAttribute,
    box_shape,
    closing,
    common_attributes,
    image_element,
    mask_shape,
    opening,
    shape_element,
)
from thingstuff.store.exports.options import ExportOptions
from thingstuff.store.exports.regions import prelabel_entries, read_for, stuff_regions
from thingstuff.store.image import PredictedImage
from thingstuff.store.index import Entry
from thingstuff.store.reader import Store
from thingstuff.structures import Categories, Detections

STUFF_Z, THING_Z = 0, 1
_SCORE = CvatAttribute("score", "text")


def export_cvat(store: Store, folder: Path, options: ExportOptions | None = None) -> Path:
    """Write `annotations.xml` and return its path. Create the CVAT task from the image root, then upload it.

    Masks stay exact; those without a pixel, which CVAT cannot hold, are left out. Detections without masks become
    boxes. The score is a text attribute; CVAT skips it where the task's label does not have it.
    """
    options = options or ExportOptions()
    entries = prelabel_entries(store, options)
    target = folder / "annotations.xml"
    with whole_file(target) as file:
        for line in _lines(store, entries, options):
            file.write(f"{line}\n".encode())
    return target


def _lines(store: Store, entries: list[Entry], options: ExportOptions) -> Iterator[str]:
    categories = store.meta.categories
    colored = zip(categories.all, categories.colors(), strict=True)
    yield from opening(len(entries), ((c.name, color, _SCORE if c.isthing else None) for c, color in colored))
    for number, entry in enumerate(entries):
        shapes = _shapes(read_for(store, entry, options), categories, options)
        yield from image_element(number, entry.key, (entry.height, entry.width), shapes)
    yield closing()


def _shapes(image: PredictedImage, categories: Categories, options: ExportOptions) -> Iterator[str]:
    if options.include_stuff:
        for category, region in stuff_regions(image, categories):
            common = common_attributes(category.name, STUFF_Z, "auto")
            yield from (shape_element(mask_shape(*pair), common) for pair in region)
    detections = options.detections(image)
    columns = zip(_places(detections), detections.category_ids.tolist(), detections.scores.tolist(), strict=True)
    for shape, category_id, score in columns:
        if shape is not None:
            common = common_attributes(categories.by_id(category_id).name, THING_Z, "auto")
            yield shape_element(shape, common, ("score", f"{score:.4f}"))


def _places(detections: Detections) -> Iterator[tuple[str, str] | None]:
    if detections.masks is None:
        yield from (box_shape(*box) for box in detections.boxes_xyxy.tolist())
        return
    for crop, box in detections.masks.tight():
        yield mask_shape(crop, box) if crop.size else None
