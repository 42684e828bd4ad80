"""Results of Ultralytics' `predict save_txt save_conf`: a text file an image, polygons or boxes and confidences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.image_files import files_below, stem_of
from thingstuff.data.formats.instance_records import drawn_polygons
from thingstuff.data.formats.utf8_names import utf8_names
from thingstuff.data.formats.yolo import recognise_yolo
from thingstuff.data.formats.yolo_file import YoloObject, read_yolo_file
from thingstuff.data.formats.yolo_layout import label_folder
from thingstuff.data.formats.yolo_names import NAME_LISTS
from thingstuff.data.results.class_ids import ClassIds, things_in_order
from thingstuff.data.results.result_format import ResultFormat, ResultSource
from thingstuff.data.results.targets import TargetImage, Targets
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.store import PredictedImage
from thingstuff.structures import Detections, MaskCrops

_SURE = 1.0  # the score of a line without a confidence


def _read(source: ResultSource, targets: Targets) -> Iterator[PredictedImage]:
    """An image without a file has no detections, since Ultralytics writes none for it.

    Class numbers are those of the names, or else the places of the data set's things. If one object of the results has
    a polygon all must have, since a store's detections have masks or have none: boxes become rectangles there.
    """
    folder = label_folder(source.path)
    ids = ClassIds(targets.categories, source.names, things_in_order(targets.categories))
    ids.refuse_strangers(str(source.path))
    if not source.names:
        first = ", ".join(f"{number} is {c.name!r}" for number, c in enumerate(targets.categories.things[:3]))
        source.notes.append(
            f"class numbers are taken for places in the data set's list: {first}, ... (else give --names)"
        )
    files = _files(folder, targets, source.faults)
    has_masks = _has_masks(list(files.values()), folder)
    unsure = 0
    for image in watched(targets.images, f"importing {source.path.name}"):
        name = files.get(image.key)
        objects = read_yolo_file(folder / name, name, source.faults, with_scores=True) if name else []
        unsure += sum(each.score is None for each in objects)
        found = _detections(objects, image, has_masks, ids, source.faults)
        yield PredictedImage(image.key, image.height, image.width, image.image_id, found)
    if unsure:
        source.notes.append(f"{unsure} objects have no confidence, and the score 1: predict with save_conf=True")


def _files(folder: Path, targets: Targets, faults: Faults) -> dict[str, str]:
    """Key of an image -> its file."""
    names = [name for name in files_below(folder, [".txt"]) if Path(name).name not in NAME_LISTS]
    if not names:
        raise DataError(f"{folder}: there are no results (.txt) in it: predict with save_txt=True save_conf=True")
    found: dict[str, str] = {}
    alone = []
    for name in utf8_names(names, faults):
        with faults.skipping("results of one of several images"):
            image = targets.called(stem_of(name))
            if image is None:
                alone.append(name)
            elif found.setdefault(image.key, name) != name:
                raise DataError(f"{name} and {found[image.key]} are both of {image.key}")
    if len(alone) == len(names):
        raise DataError(f"{folder}: none of its files is called as an image of {targets.name} (the first: {alone[0]})")
    for name in alone:
        faults.add("results without an image", name)
    return found


def _has_masks(names: list[str], folder: Path) -> bool:
    """Whether any object has a polygon."""
    quiet = Faults(lenient=True)
    return any(not each.is_box for name in names for each in read_yolo_file(folder / name, name, quiet, True))


def _detections(
    objects: list[YoloObject], image: TargetImage, has_masks: bool, ids: ClassIds, faults: Faults
) -> Detections:
    kept, boxes, masks = [], [], []
    for each in objects:
        category_id = ids.category_id(each.number, each.place, faults)
        if category_id is None:
            continue
        outline = _outline(each, image.size_hw)
        drawn = drawn_polygons([outline], image.size_hw) if has_masks else None
        if has_masks and drawn is None:
            faults.add("lines that are no objects", f"{each.place}: its outline cannot be drawn")
            continue
        corners = np.array(outline).reshape(-1, 2)
        boxes.append([*corners.min(axis=0), *corners.max(axis=0)])
        kept.append((category_id, _SURE if each.score is None else each.score))
        masks.append(drawn)
    return Detections(
        MaskCrops.from_boxes([pair for pair in masks if pair], *image.size_hw) if has_masks else None,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([score for _, score in kept], np.float32),
        np.array([category_id for category_id, _ in kept], np.int64),
        *image.size_hw,
    )


def _outline(one: YoloObject, size_hw: tuple[int, int]) -> list[float]:
    if not one.is_box:
        return one.polygon(size_hw)
    x0, y0, x1, y1 = one.box_xyxy(size_hw)
    return [x0, y0, x1, y0, x1, y1, x0, y1]


YOLO_RESULTS = ResultFormat(
    "yolo", "Ultralytics' results: a text file an image (save_txt, save_conf)", recognise_yolo, _read
)
