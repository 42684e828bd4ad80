"""COCO's detection results: one list of records with image_id, category_id, score, and segmentation or bbox."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thingstuff.data.results.class_ids import ClassIds, ids_as_they_are, own_names
from thingstuff.data.results.result_format import ResultFormat, ResultSource
from thingstuff.data.results.targets import TargetImage, Targets
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.evaluation import read_coco_input
from thingstuff.evaluation.json_file import JsonFile
from thingstuff.evaluation.skips import Skips
from thingstuff.progress import watched
from thingstuff.store import PredictedImage
from thingstuff.structures import Detections

_HEAD_BYTES = 1 << 14


def _recognises(path: Path) -> bool:
    head = json_head(path)
    return head.startswith(b"[") or (head.startswith(b"{") and b'"segments_info"' not in head and b'"score"' in head)


def json_head(path: Path) -> bytes:
    """The beginning of a JSON file, empty for what is none."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n") if path.suffix.lower() == ".json" else b""
    except (OSError, ValueError):
        return b""


def _read(source: ResultSource, targets: Targets) -> Iterator[PredictedImage]:
    """Ids of images are the data set's, and ids of categories too unless names say otherwise."""
    records = _checked(source, targets)
    by_image: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        by_image[record["image_id"]].append(record)
    has_masks = all("segmentation" in record for record in records)
    for image in watched(targets.images, f"importing {source.path.name}"):
        found = _detections(by_image[image.image_id], image, has_masks, source)
        yield PredictedImage(image.key, image.height, image.width, image.image_id, found)


def _checked(source: ResultSource, targets: Targets) -> list[Record]:
    """The records that can count, with the data set's category ids."""
    content = JsonFile.read(source.path).content
    if isinstance(content, Mapping):  # some write the ground truth's form around the results
        names = source.names or own_names(content, str(source.path), targets.categories, source.notes)
        source, content = replace(source, names=names), content.get("annotations")
    if not isinstance(content, list):
        raise DataError(f"{source.path}: expected COCO's results, a list of detections")
    listed = _numbered(content, source, targets)
    records = [record for _, record in listed]
    task = "segm" if all("segmentation" in r for r in records if isinstance(r, Mapping)) else "bbox"
    if _can_count(records, task, source, targets):
        return records
    kept = []
    for number, record in listed:
        own = record.get("image_id") if isinstance(record, Mapping) else None
        image = targets.by_id.get(own) if isinstance(own, int | str) else None
        truth = _truth(targets.images if image is None else [image], targets)
        skips = Skips()
        read_coco_input(truth, JsonFile(str(source.path), [record]), task, skips=skips)
        for kind, message in skips.firsts.items():
            hint = "" if source.names or "categor" not in kind else ": say by --names what the ids of its classes mean"
            source.faults.add(kind, message.replace(f"{source.path}[0]", f"{source.path}[{number}]") + hint)
        if not skips.counts:
            kept.append(record)
    return kept


def _can_count(records: list[Record], task: str, source: ResultSource, targets: Targets) -> bool:
    """All of them, which is quicker to see than which ones cannot. What skips no record is refused as a whole."""
    skips = Skips()
    read_coco_input(_truth(targets.images, targets), JsonFile(str(source.path), records), task, skips=skips)
    return not skips.counts


def _truth(images: Sequence[TargetImage], targets: Targets) -> Record:
    """The data set without its annotations, in COCO's form."""
    return {
        "images": [{"id": image.image_id, "height": image.height, "width": image.width} for image in images],
        "categories": targets.categories.to_coco(),
        "annotations": [],
    }


def _numbered(content: list[Any], source: ResultSource, targets: Targets) -> list[tuple[int, Any]]:
    """Every record with its number; with names, those of classes that the data set has, under its ids."""
    if not source.names:
        return list(enumerate(content))
    ids = ClassIds(targets.categories, source.names, ids_as_they_are(targets.categories))
    ids.refuse_strangers(str(source.path))
    found = []
    for number, record in enumerate(content):
        if not isinstance(record, Mapping):
            found.append((number, record))
            continue
        place = f"{source.path}: record {number}"
        category_id = ids.category_id(record.get("category_id"), place, source.faults)
        if category_id is not None:
            found.append((number, {**record, "category_id": category_id}))
    return found


def _detections(records: list[Record], image: TargetImage, has_masks: bool, source: ResultSource) -> Detections:
    if not records:
        return Detections.from_coco([], image.height, image.width)
    plain = records if has_masks else [{k: v for k, v in r.items() if k != "segmentation"} for r in records]
    try:
        return Detections.from_coco(plain, image.height, image.width)
    except DataError as error:
        raise DataError(f"{source.path}: image {image.image_id!r}: {error}") from error


COCO_RESULTS = ResultFormat("coco", "COCO's results: a JSON list of detections", _recognises, _read)
