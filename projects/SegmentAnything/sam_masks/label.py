"""Images with marked objects, or with nothing marked at all -> COCO's instances JSON with masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sam_masks.everything import GridOptions, find_everything
from sam_masks.objects import Marked, MarkedImages, prompts_of
from sam_masks.partial import Partial
from sam_masks.segmenter import Segmenter
from thingstuff.data.formats.coco_write import write_json_list
from thingstuff.data.images import read_image_bgr
from thingstuff.errors import DataError
from thingstuff.progress import Progress
from thingstuff.structures import MaskCrops

OBJECT = {"id": 1, "name": "object"}  # the class of what a grid of points finds
Record = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """What is to be labelled: COCO's records of images and categories, and what gives an image's annotations.

    `label` takes an image's record and its pixels; of an object without a mask it gives the area 0.
    """

    images: Sequence[Record]
    categories: Sequence[Record]
    folder: Path
    label: Callable[[Record, np.ndarray], list[Record]]


@dataclass(frozen=True)
class Labels:
    """COCO's records. `empty` objects got no mask and are left out; `already_there` images are of an earlier run."""

    images: list[Record]
    categories: Sequence[Record]
    annotations: list[Record]
    empty: int = 0
    already_there: int = 0

    def write(self, path: Path) -> None:
        """Whole, or not at all."""
        write_json_list(path, {"images": self.images, "categories": self.categories}, self.annotations)


def label_images(work: Work, partial: Partial) -> Labels:
    """Every image in its order, those that `partial` knows from an earlier run without looking at them again."""
    paths = [_image_path(work.folder, record) for record in work.images]
    with partial:
        done = list(partial.done)
        with Progress(len(paths), "labelling", done=len(done)) as progress:
            for record, path in list(zip(work.images, paths, strict=True))[len(done) :]:
                done.append(_labelled(work, record, path))
                partial.append(done[-1])
                progress.step()
    notes = [note for one in done for note in one["annotations"]]
    found = [note for note in notes if note["area"]]
    images = [one["image"] for one in done]
    return Labels(images, work.categories, _numbered(found), len(notes) - len(found), len(partial.done))


def marked_work(segmenter: Segmenter, marked: MarkedImages, folder: Path) -> Work:
    """A mask for every object that was marked. Images, classes and the ids of annotations stay as they are."""

    def label(record: Record, pixels: np.ndarray) -> list[Record]:
        objects = marked.objects.get(record["id"], ())
        masks, ious = _answers(segmenter, pixels, objects)
        return _annotations(record, objects, masks, predicted_iou=ious)

    return Work([dict(r) for r in marked.images], [dict(r) for r in marked.categories], folder, label)


def everything_work(segmenter: Segmenter, names: Sequence[str], folder: Path, options: GridOptions) -> Work:
    """Every object that a grid of points finds, of the one class "object"; `names` are the images' below `folder`."""

    def label(record: Record, pixels: np.ndarray) -> list[Record]:
        found = find_everything(segmenter, pixels, options)
        objects = [Marked(OBJECT["id"], record["file_name"])] * len(found.ious)
        scores = {"predicted_iou": found.ious, "stability_score": found.stabilities}
        return _annotations(record, objects, found.masks, **scores)

    return Work([{"id": n, "file_name": name} for n, name in enumerate(names, 1)], [dict(OBJECT)], folder, label)


def _image_path(folder: Path, record: Mapping[str, Any]) -> Path:
    path = folder / str(record["file_name"])
    if not path.is_file():
        raise DataError(f"there is no image {record['file_name']} in {folder}, and objects of it are to be labelled")
    return path


def _labelled(work: Work, record: Record, path: Path) -> Record:
    pixels = read_image_bgr(path)
    height, width = pixels.shape[:2]
    stated = record.get("width", width), record.get("height", height)
    if stated != (width, height):
        raise DataError(f"{path} is {width} x {height}, but its record says {stated[0]} x {stated[1]}")
    return {"image": record | {"width": width, "height": height}, "annotations": work.label(record, pixels)}


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


def _annotations(record: Record, objects: Sequence[Marked], masks: MaskCrops, **scores: np.ndarray) -> list[Record]:
    columns = {name: values.tolist() for name, values in scores.items()}
    return [
        {"id": one.id, "image_id": record["id"], "category_id": one.category_id, **shape, "iscrowd": 0}
        | {name: values[number] for name, values in columns.items()}
        for number, (one, shape) in enumerate(zip(objects, _shapes(masks), strict=True))
    ]


def _shapes(masks: MaskCrops) -> Iterator[Record]:
    """Runs as COCO's text, which JSON can hold."""
    columns = zip(masks.to_rles(), masks.bboxes_xywh().tolist(), masks.areas_px().tolist(), strict=True)
    return ({"segmentation": rle, "bbox": box, "area": area} for rle, box, area in columns)


def _numbered(annotations: list[Record]) -> list[Record]:
    """With ids from 1, unless all of them have their own number."""
    own = [record["id"] for record in annotations]
    if all(isinstance(number, int) for number in own) and len(set(own)) == len(own):
        return annotations
    return [record | {"id": number} for number, record in enumerate(annotations, 1)]
