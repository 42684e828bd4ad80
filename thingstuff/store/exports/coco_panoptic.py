"""COCO panoptic results: a JSON file and a folder of PNG files, as panopticapi and Detectron2 read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.store.exports.coco import image_records
from thingstuff.store.exports.json_stream import write_with_list
from thingstuff.store.exports.names import entries_with, file_names, image_ids
from thingstuff.store.exports.options import ExportOptions
from thingstuff.store.reader import Store
from thingstuff.structures import PanopticMap


def export_coco_panoptic(store: Store, folder: Path, options: ExportOptions | None = None) -> Path:
    """Write `panoptic.json` and the PNG files in `panoptic/`, nested as the images are; return the JSON's path.

    Image ids are given as in `export_coco`. With a threshold, segments that score less become void.
    """
    entries = entries_with(store, "panoptic")
    ids = image_ids(entries)
    head = {"images": image_records(entries, ids), "categories": store.meta.categories.to_coco()}
    target = folder / "panoptic.json"
    write_with_list(target, head, "annotations", _annotations(store, folder / "panoptic", ids, options))
    return target


def _annotations(
    store: Store, png_folder: Path, ids: dict[str, int | str], options: ExportOptions | None
) -> Iterator[dict[str, Any]]:
    score_thresh = None if options is None else options.score_thresh
    for key, file_name in file_names(ids, ".png").items():
        panoptic = store.read(key, stuff=False).panoptic
        assert panoptic is not None, "the index said that there is one"
        kept = panoptic if score_thresh is None else _above(panoptic, score_thresh)
        segments_info = kept.write_coco(png_folder / file_name)
        yield {"image_id": ids[key], "file_name": file_name, "segments_info": segments_info}


def _above(panoptic: PanopticMap, score_thresh: float) -> PanopticMap:
    segments = tuple(s for s in panoptic.segments if s.score is None or s.score >= score_thresh)
    kept = np.isin(panoptic.ids, np.array([s.id for s in segments], np.uint32))
    return PanopticMap(np.where(kept, panoptic.ids, np.uint32(0)), segments)
