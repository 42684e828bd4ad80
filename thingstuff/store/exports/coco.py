"""COCO detection results, as pycocotools' `loadRes` and Detectron2 read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from thingstuff.files import write_json
from thingstuff.store.exports.json_stream import write_list
from thingstuff.store.exports.names import entries_with, image_ids
from thingstuff.store.exports.options import ExportOptions
from thingstuff.store.index import Entry
from thingstuff.store.reader import Store


def export_coco(store: Store, folder: Path, options: ExportOptions | None = None) -> Path:
    """Write `coco_results.json` and return its path: image_id, category_id, bbox (xywh), score, segmentation (RLE).

    Where no image has a data set id, images are numbered from 1 in the order of their keys, and `coco_images.json`
    beside it holds `images` and `categories`, without which the numbers mean nothing.
    """
    entries = entries_with(store, "detections")
    ids = image_ids(entries)
    target = folder / "coco_results.json"
    write_list(target, _results(store, ids, options or ExportOptions()))
    if any(entry.image_id is None for entry in entries):
        truth = {"images": image_records(entries, ids), "categories": store.meta.categories.to_coco()}
        write_json(folder / "coco_images.json", truth)
    return target


def image_records(entries: Sequence[Entry], ids: dict[str, int | str]) -> list[dict[str, Any]]:
    """COCO's `images` list."""
    return [{"id": ids[e.key], "file_name": e.key, "height": e.height, "width": e.width} for e in entries]


def _results(store: Store, ids: dict[str, int | str], options: ExportOptions) -> Iterator[dict[str, Any]]:
    for key, image_id in ids.items():
        image = store.read(key, stuff=False, panoptic=False)
        yield from options.detections(image).to_coco(image_id)
