"""COCO panoptic truth taken apart again: instances with RLE masks, and label maps of the stuff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.data.panoptic.names import image_size, is_inside, png_names, whole_folder
from thingstuff.data.stuff_maps import IGNORED, MOST_STUFF, to_label_file
from thingstuff.data.truth import PanopticFiles, Record, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.progress import watched
from thingstuff.structures import Categories, PanopticMap, write_png
from thingstuff.structures.rle import encode_crops


def split_panoptic(
    panoptic_json: Path, folder: Path, *, png_folder: Path | None = None, image_root: Path | None = None
) -> SplitTruth:
    """What `split_panoptic_truth` gives of a JSON file and its PNGs, by default in the folder of the JSON's name."""
    content = read_json(panoptic_json)
    lists = {}
    for key in ("categories", "images", "annotations"):
        lists[key] = content.get(key) if isinstance(content, dict) else None
        if not isinstance(lists[key], list) or not all(isinstance(record, dict) for record in lists[key]):
            raise DataError(f"{panoptic_json}: expected a list of dictionaries {key!r}, as in COCO's panoptic format")
    own_folder = panoptic_json.with_suffix("") if png_folder is None else png_folder
    files = PanopticFiles(panoptic_json, own_folder, lists["annotations"])
    root = panoptic_json.parent if image_root is None else image_root
    truth = SplitTruth(str(panoptic_json), root, lists["categories"], lists["images"], panoptic=files)
    return split_panoptic_truth(truth, folder)


def split_panoptic_truth(truth: SplitTruth, folder: Path) -> SplitTruth:
    """The truth with `annotations` and `stuff` from its panoptic maps; the label PNGs are written into `folder`.

    Labels as Detectron2 wants them: 0 = things, crowds too, 1... = stuff in the order of the categories, 255 = void.
    Things become annotations with compressed RLE, area and tight box, numbered from 1 on in the order of the images
    and segments, crowds with `iscrowd` 1. `folder` is new or empty, and written whole or not at all.
    """
    source = _Source.of(truth)
    names = png_names(truth)
    annotations: list[Record] = []
    paths = {}
    with whole_folder(folder) as fresh:
        for number, name in enumerate(watched(names, "panoptic maps")):
            panoptic = source.read(number)
            image_id = truth.images[number]["id"]
            things = _things(panoptic)
            annotations += [{"id": len(annotations) + n, "image_id": image_id, **t} for n, t in enumerate(things, 1)]
            write_png(fresh / name, to_label_file(panoptic.stuff_map(source.categories)))
            paths[image_id] = folder / name
    label_ids = {0: None} | {n: category.id for n, category in enumerate(source.categories.stuff, 1)}
    stuff = StuffFiles(paths, label_ids, frozenset({IGNORED}))
    return replace(truth, annotations=annotations, annotation_places=(), stuff=stuff, json_path=None)


@dataclass(frozen=True)
class _Source:
    """The panoptic maps of a truth, read strictly. `records` are its panoptic annotations by image id, and where."""

    truth: SplitTruth
    files: PanopticFiles
    categories: Categories
    records: Mapping[int | str, tuple[str, Record]]

    @classmethod
    def of(cls, truth: SplitTruth) -> _Source:
        if truth.panoptic is None:
            raise DataError(f"{truth.name} has no panoptic truth to take apart")
        try:
            categories = Categories.from_coco(truth.categories)
        except DataError as error:
            raise DataError(f"{truth.name}: {error}") from error
        if len(categories.stuff) > MOST_STUFF:
            raise DataError(f"{truth.name}: expected at most {MOST_STUFF} categories of stuff: label files have 8 bit")
        return cls(truth, truth.panoptic, categories, _by_image(truth, truth.panoptic))

    def read(self, number: int) -> PanopticMap:
        image, place = self.truth.images[number], self.truth.image_place(number)
        size = image_size(image, place)
        if image.get("id") not in self.records:
            raise DataError(f"{self.files.json_path}: no annotation is of image {image.get('id')!r:.60}")
        where, record = self.records[image["id"]]
        _refuse_malformed(where, record)
        panoptic = PanopticMap.read_coco(
            self.files.folder / record["file_name"], record["segments_info"], self.categories
        )
        if panoptic.ids.shape != size:
            raise DataError(f"{where}: expected a PNG of {size} pixels (height, width), got {panoptic.ids.shape}")
        return panoptic


def _by_image(truth: SplitTruth, files: PanopticFiles) -> dict[int | str, tuple[str, Record]]:
    records: dict[int | str, tuple[str, Record]] = {}
    image_ids = [image.get("id") for image in truth.images]
    for number, image_id in enumerate(image_ids):
        if not isinstance(image_id, int | str):
            raise DataError(f"{truth.image_place(number)}: expected an id, an integer or a text, got {image_id!r:.60}")
    if len(set(image_ids)) < len(image_ids):
        raise DataError(f"{truth.name}: two images share an id: give each its own")
    for number, record in enumerate(files.annotations):
        where, image_id = f"{files.json_path}: annotations[{number}]", record.get("image_id")
        if not isinstance(image_id, int | str) or image_id in records:
            raise DataError(
                f"{where}: expected the image_id of an image that is not another annotation's, got {image_id!r:.60}"
            )
        records[image_id] = where, record
    return records


def _refuse_malformed(where: str, record: Record) -> None:
    name, infos = record.get("file_name"), record.get("segments_info")
    if not isinstance(name, str) or not is_inside(name):
        raise DataError(f"{where}: expected a file_name below the folder of the PNGs, got {name!r:.80}")
    if not isinstance(infos, list):
        raise DataError(f"{where}: expected a list segments_info")
    for number, info in enumerate(infos):
        ids = [info.get("id"), info.get("category_id")] if isinstance(info, dict) else []
        if not ids or not all(type(value) is int for value in ids):
            raise DataError(f"{where}: segments_info[{number}]: expected an integer id and category_id")


def _things(panoptic: PanopticMap) -> Iterator[dict[str, Any]]:
    """All but `id` and `image_id` of the annotations of one image."""
    segments = [segment for segment in panoptic.segments if segment.isthing]
    boxes = [segment.bbox for segment in segments]
    crops = [panoptic.ids[y : y + h, x : x + w] == s.id for s, (x, y, w, h) in zip(segments, boxes, strict=True)]
    corners_xy = np.array([box[:2] for box in boxes], np.int64).reshape(-1, 2)
    for segment, mask in zip(segments, encode_crops(crops, corners_xy, *panoptic.ids.shape), strict=True):
        yield {
            "category_id": segment.category_id,
            "segmentation": mask,
            "area": segment.area,
            "bbox": list(segment.bbox),
            "iscrowd": int(segment.iscrowd),
        }
