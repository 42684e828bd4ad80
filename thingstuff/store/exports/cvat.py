"""CVAT for images 1.1: one XML file with exact masks, to correct predictions in CVAT."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.files import whole_file
from thingstuff.store.exports.options import ExportOptions
from thingstuff.store.exports.regions import prelabel_entries, read_for, stuff_regions
from thingstuff.store.image import PredictedImage
from thingstuff.store.index import Entry
from thingstuff.store.reader import Store
from thingstuff.structures import Categories, MaskCrops
from thingstuff.structures.runs import run_starts
from thingstuff.structures.spans import Box

STUFF_Z, THING_Z = 0, 1
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>"
    yield "  <version>1.1</version>"
    yield f"  <meta><task><size>{len(entries)}</size><mode>annotation</mode><labels>"
    yield from _labels(categories)
    yield "  </labels></task></meta>"
    for number, entry in enumerate(entries):
        name = quoteattr(_in_xml(entry.key))
        yield f'  <image id="{number}" name={name} width="{entry.width}" height="{entry.height}">'
        image = read_for(store, entry, options)
        if options.include_stuff:
            yield from _stuff(image, categories)
        yield from _things(image, categories, options)
        yield "  </image>"
    yield "</annotations>"


def _labels(categories: Categories) -> Iterator[str]:
    score = (
        "<attribute><name>score</name><mutable>False</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute>"
    )
    for category, color in zip(categories.all, categories.colors(), strict=True):
        name = escape(_in_xml(category.name))
        red_green_blue = "".join(f"{value:02x}" for value in color)
        yield f"    <label><name>{name}</name><color>#{red_green_blue}</color><type>any</type>"
        yield f"      <attributes>{score if category.isthing else ''}</attributes></label>"


def _stuff(image: PredictedImage, categories: Categories) -> Iterator[str]:
    for category, region in stuff_regions(image, categories):
        yield from (f"    <mask {_mask(*pair)} {_common(category.name, STUFF_Z)}></mask>" for pair in region)


def _things(image: PredictedImage, categories: Categories, options: ExportOptions) -> Iterator[str]:
    detections = options.detections(image)
    shapes = _boxes(detections.boxes_xyxy) if detections.masks is None else _masks(detections.masks)
    columns = zip(shapes, detections.category_ids.tolist(), detections.scores.tolist(), strict=True)
    for shape, category_id, score in columns:
        if shape is not None:
            kind, place = shape
            common = _common(categories.by_id(category_id).name, THING_Z)
            yield f'    <{kind} {place} {common}><attribute name="score">{score:.4f}</attribute></{kind}>'


def _boxes(boxes_xyxy: NDArray[np.float32]) -> Iterator[tuple[str, str]]:
    for x0, y0, x1, y1 in boxes_xyxy.tolist():
        yield "box", f'xtl="{x0:.2f}" ytl="{y0:.2f}" xbr="{x1:.2f}" ybr="{y1:.2f}"'


def _masks(masks: MaskCrops) -> Iterator[tuple[str, str] | None]:
    for crop, box in masks.tight():
        yield ("mask", _mask(crop, box)) if crop.size else None


def _mask(crop: NDArray[np.uint8], box: Box) -> str:
    """The run lengths of a crop along its rows, zeros first, and where the crop lies."""
    flat = crop.reshape(-1)
    starts = run_starts(flat)
    lengths = np.diff(starts, append=flat.size).tolist()
    runs = [0, *lengths] if flat[0] else lengths
    x0, y0, x1, y1 = box
    place = f'left="{x0}" top="{y0}" width="{x1 - x0}" height="{y1 - y0}"'
    return f'rle="{", ".join(map(str, runs))}" {place}'


def _common(label: str, z_order: int) -> str:
    return f'label={quoteattr(_in_xml(label))} source="auto" occluded="0" z_order="{z_order}"'


def _in_xml(text: str) -> str:
    found = NOT_IN_XML.search(text)
    if found:
        raise DataError(f"{text!r}: XML cannot hold the character {found.group()!r}: rename it")
    return text
