"""Results of other programs as a store, so that they can be compared: COCO detections, or a COCO panoptic JSON."""

from __future__ import annotations

import itertools
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.errors import DataError
from thingstuff.evaluation import CocoPanoptic, read_coco_input
from thingstuff.evaluation.coco_panoptic import comparable_images
from thingstuff.evaluation.json_file import JsonFile
from thingstuff.progress import watched
from thingstuff.report.ground_truth import GroundTruth
from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.structures import Categories, Detections

_FOREIGN = "imported"  # in place of the hashes of a config and weights


@dataclass(frozen=True)
class _Place:
    """Where an image is in a store."""

    key: str
    height: int
    width: int


def import_results(path: Path, truth: GroundTruth, keys: Mapping[int | str, str], folder: Path) -> Path:
    """Write a store of `path`'s results into `folder`, in place of an earlier one of ours, and return `folder`.

    Images are those of the truth; one without a detection has none. `keys` are those of other stores by image id, so
    that the same image has the same key; without them it is the image's file name.
    """
    file = JsonFile.read(path)
    read = _detections if isinstance(file.content, list) else _panoptic
    images = read(file, truth, keys)
    first = next(images, None)  # what is wrong with the file is noticed before anything is written
    if (folder / "meta.json").exists():
        shutil.rmtree(folder)
    with StoreWriter.open(folder, _meta(truth)) as writer:
        for image in () if first is None else itertools.chain([first], images):
            writer.append(image)
    return folder


def is_imported(store: Store) -> bool:
    """Whether the store was made of another program's results."""
    return store.meta.config_hash == _FOREIGN


def _meta(truth: GroundTruth) -> StoreMeta:
    categories = truth.panoptic.categories if truth.panoptic else Categories.from_coco(truth.category_records())
    return StoreMeta(_FOREIGN, _FOREIGN, categories, dataset=truth.name, image_root=truth.image_root)


def _detections(file: JsonFile, truth: GroundTruth, keys: Mapping[int | str, str]) -> Iterator[PredictedImage]:
    if truth.instances is None:
        raise DataError(f"{file.name} holds instances, but {truth.name} has no instance truth")
    task = "segm" if all("segmentation" in record for record in file.content if isinstance(record, dict)) else "bbox"
    read_coco_input(truth.instances, file, task)  # names what is wrong with a record
    by_image = defaultdict(list)
    for record in file.content:
        by_image[record["image_id"]].append(record)
    for image_id, place in watched(list(_places(truth, keys).items()), f"importing {file.name}"):
        found = Detections.from_coco(by_image[image_id], place.height, place.width)
        yield PredictedImage(place.key, place.height, place.width, image_id, found)


def _panoptic(file: JsonFile, truth: GroundTruth, keys: Mapping[int | str, str]) -> Iterator[PredictedImage]:
    if truth.panoptic is None:
        raise DataError(f"{file.name} holds panoptic predictions, but {truth.name} has no panoptic truth")
    found = CocoPanoptic.open(file.name, categories=truth.panoptic.categories)
    names = {image_id: name for name, image_id in truth.key_ids.items()}
    for image_id in watched(comparable_images(found, truth.panoptic), f"importing {file.name}"):
        panoptic = found.read(image_id)
        key = keys.get(image_id) or names.get(image_id) or found.png_path(image_id).name
        yield PredictedImage(key, *panoptic.ids.shape, image_id, panoptic=panoptic)


def _places(truth: GroundTruth, keys: Mapping[int | str, str]) -> dict[int | str, _Place]:
    """Every image of the truth."""
    places = {}
    for image in truth.image_records():
        height, width = image.get("height"), image.get("width")
        if not isinstance(height, int) or not isinstance(width, int):
            raise DataError(f"{truth.name}: image {image.get('id')!r} has no height and width, which a store needs")
        places[image["id"]] = _Place(keys.get(image["id"]) or _name(image), height, width)
    return places


def _name(image: Mapping[str, Any]) -> str:
    return Path(str(image.get("file_name", image["id"]))).name
