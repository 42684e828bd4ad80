"""FiftyOne's COCODetectionDataset: a folder with `labels.json` in COCO's form, and the images in `data/`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thingstuff.data.formats.coco import coco_truth
from thingstuff.data.formats.coco_ends import coco_ends
from thingstuff.data.formats.coco_images import guess_image_root
from thingstuff.data.formats.coco_json import expect_records, read_coco_json
from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.fiftyone_write import DATA, LABELS, write_fiftyone
from thingstuff.data.formats.format import CROWDS, INSTANCES, KEYPOINTS, Format, Source
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError


def _recognises(path: Path) -> bool:
    labels = _labels(path)
    if labels.name != LABELS or not _is_folder(labels.parent / DATA):
        return False
    ends = coco_ends(labels)
    return ends is not None and not ends.is_panoptic and not ends.is_stuff


def _read(source: Source) -> SplitTruth:
    """As COCO's, and with what FiftyOne does otherwise.

    Without categories the ids are the names. Names that are numbers of themselves, with which FiftyOne fills gaps
    between ids, are left out. What has a score is a prediction, and no truth.
    """
    path, faults = _labels(source.annotations), Faults(source.lenient)
    content = read_coco_json(path, ("images",))
    if content.get("annotations") is None:
        raise DataError(
            f"{path}: has no annotations, which FiftyOne leaves out where nothing is labelled: label it first"
        )
    expect_records(content["annotations"], str(path), "annotations")
    categories, notes = _categories(content, path)
    rows = list(_without_scores(content["annotations"], path.name, faults))
    annotations = [content["annotations"][row] for row in rows]
    left_out = faults.settle(str(path))
    data = path.parent / DATA
    root = source.images or (data if _is_folder(data) else guess_image_root(path, content["images"]))
    images = [_below(image, root) for image in content["images"]]
    read = {"images": images, "annotations": annotations, "categories": categories}
    truth = coco_truth(path, read, root)
    truth = replace(truth, notes=(*truth.notes, *notes, *left_out))
    if len(rows) < len(content["annotations"]):
        truth = replace(truth, annotation_places=[truth.annotation_place(row) for row in rows])
    is_as_stated = images == content["images"] and categories == content.get("categories") and not left_out
    return truth if is_as_stated else replace(truth, json_path=None)


def _labels(path: Path) -> Path:
    return path / LABELS if _is_folder(path) else path


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112  Path.is_dir raises for long names


def _categories(content: dict[str, Any], path: Path) -> tuple[list[Record], tuple[str, ...]]:
    stated = content.get("categories") or []
    expect_records(stated, str(path), "categories")
    used = {own for note in content["annotations"] if type(own := note.get("category_id")) is int}
    if not stated:
        note = f"{path}: has no categories: their names are the ids, as FiftyOne shows them"
        return [{"id": own, "name": str(own)} for own in sorted(used)], (note,) if used else ()
    fillers = [c for c in stated if _is_number_of_itself(c) and c["id"] not in used]
    if not fillers or all(_is_number_of_itself(category) for category in stated):
        return stated, ()
    names = ", ".join(category["name"] for category in fillers[:10])
    note = f"{path}: {len(fillers)} categories are called by their ids and used nowhere, {names}: left out"
    return [category for category in stated if category not in fillers], (note,)


def _is_number_of_itself(category: Record) -> bool:
    own = category.get("id")
    return type(own) is int and category.get("name") == str(own)


def _without_scores(annotations: Sequence[Record], name: str, faults: Faults) -> Iterator[int]:
    for row, note in enumerate(annotations):
        if note.get("score") is None:
            yield row
        else:
            place = f"{name}: annotations[{row}]: the score is {shown(note['score'])}"
            faults.add("predictions, which have a score (the `confidence` of FiftyOne) and are no truth", place)


def _below(image: Record, root: Path) -> Record:
    """FiftyOne can state whole paths."""
    name = image.get("file_name")
    prefix = f"{root.absolute().as_posix()}/"
    if not isinstance(name, str) or not name.startswith(prefix):
        return image
    return image | {"file_name": name.removeprefix(prefix)}


FIFTYONE = Format(
    name="fiftyone",
    title="FiftyOne's COCODetectionDataset: labels.json, and the images in data/",
    recognises=_recognises,
    read=_read,
    write=write_fiftyone,
    holds=frozenset({INSTANCES, CROWDS, KEYPOINTS}),
    files=".json",
)
