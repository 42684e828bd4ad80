"""Images with marked objects, or with nothing marked at all -> COCO's instances JSON with masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sam_masks.everything import GridOptions, find_everything
from sam_masks.objects import Marked, MarkedImages, prompts_of
from sam_masks.segmenter import Segmenter
from thingstuff.data.formats.coco_write import write_json_list
from thingstuff.data.images import read_image_bgr
from thingstuff.data.inputs import ImageInput
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.structures import MaskCrops

OBJECT = {"id": 1, "name": "object"}  # the class of what a grid of points finds
Record = dict[str, Any]


@dataclass
class Labels:
    """What goes into the file: COCO's records. `empty` objects got no mask and are left out."""

    categories: list[Record]
    images: list[Record] = field(default_factory=list)
    annotations: list[Record] = field(default_factory=list)
    empty: int = 0

    def write(self, path: Path) -> None:
        """Whole, or not at all."""
        write_json_list(path, {"images": self.images, "categories": self.categories}, self.annotations)


def label_marked(segmenter: Segmenter, marked: MarkedImages, folder: Path) -> Labels:
    """A mask for every object that was marked. Images, classes and the ids of annotations stay as they are."""
    labels = Labels([dict(record) for record in marked.categories])
    paths = [_image_path(folder, record) for record in marked.images]
    for record, path in watched(list(zip(marked.images, paths, strict=True)), "labelling"):
        pixels = read_image_bgr(path)
        labels.images.append(dict(record) | _size(record, pixels, path))
        objects = marked.objects.get(record["id"], ())
        masks, ious = _answers(segmenter, pixels, objects)
        extras = [{"predicted_iou": iou} for iou in ious.tolist()]
        _add(labels, record["id"], objects, masks, extras)
    _number(labels.annotations)
    return labels


def label_everything(segmenter: Segmenter, images: Sequence[ImageInput], options: GridOptions) -> Labels:
    """Every object that a grid of points finds, of the one class "object"."""
    labels = Labels([dict(OBJECT)])
    for number, image in enumerate(watched(images, "labelling"), 1):
        pixels = read_image_bgr(image.path)
        labels.images.append({"id": number, "file_name": image.key} | _size({}, pixels, image.path))
        found = find_everything(segmenter, pixels, options)
        pairs = zip(found.ious.tolist(), found.stabilities.tolist(), strict=True)
        extras = [{"predicted_iou": iou, "stability_score": stability} for iou, stability in pairs]
        _add(labels, number, [Marked(OBJECT["id"], image.key)] * len(extras), found.masks, extras)
    _number(labels.annotations)
    return labels


def _image_path(folder: Path, record: Mapping[str, Any]) -> Path:
    path = folder / str(record["file_name"])
    if not path.is_file():
        raise DataError(f"there is no image {record['file_name']} in {folder}, and objects of it are to be labelled")
    return path


def _size(record: Mapping[str, Any], pixels: np.ndarray, path: Path) -> dict[str, int]:
    height, width = pixels.shape[:2]
    stated = record.get("width", width), record.get("height", height)
    if stated != (width, height):
        raise DataError(f"{path} is {width} x {height}, but its record says {stated[0]} x {stated[1]}")
    return {"width": width, "height": height}


def _answers(segmenter: Segmenter, pixels: np.ndarray, objects: Sequence[Marked]) -> tuple[MaskCrops, np.ndarray]:
    """Masks and predicted IoUs in the order of the objects, whatever kinds of prompts these have."""
    height, width = pixels.shape[:2]
    groups = prompts_of(objects, height, width)
    pairs: dict[int, Any] = {}
    ious = np.zeros(len(objects), np.float32)
    for (numbers, _), answer in zip(groups, segmenter.several(pixels, [p for _, p in groups]), strict=True):
        pairs.update(zip(numbers, answer.masks, strict=True))
        ious[numbers] = answer.ious
    return MaskCrops.from_boxes((pairs[number] for number in range(len(objects))), height, width), ious


def _add(
    labels: Labels, image_id: int | str, objects: Sequence[Marked], masks: MaskCrops, extras: Sequence[Record]
) -> None:
    for one, shape, extra in zip(objects, _shapes(masks), extras, strict=True):
        if not shape["area"]:
            labels.empty += 1
            continue
        own = {"id": one.id, "image_id": image_id, "category_id": one.category_id}
        labels.annotations.append({**own, **shape, "iscrowd": 0, **extra})


def _shapes(masks: MaskCrops) -> Iterator[Record]:
    columns = zip(masks.to_rles(), masks.bboxes_xywh().tolist(), masks.areas_px().tolist(), strict=True)
    return ({"segmentation": rle, "bbox": box, "area": area} for rle, box, area in columns)


def _number(annotations: list[Record]) -> None:
    """Ids, in place, from 1, unless all of them have their own number."""
    own = [record["id"] for record in annotations]
    if all(isinstance(number, int) for number in own) and len(set(own)) == len(own):
        return
    for number, record in enumerate(annotations, 1):
        record["id"] = number
