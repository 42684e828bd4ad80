"""COCO's panoptic results: a JSON of segments and a folder of PNGs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from thingstuff.data.results.class_ids import ClassIds, ids_as_they_are, own_names
from thingstuff.data.results.coco import json_head
from thingstuff.data.results.result_format import ResultFormat, ResultSource
from thingstuff.data.results.targets import TargetImage, Targets
from thingstuff.errors import DataError
from thingstuff.evaluation import CocoPanoptic
from thingstuff.evaluation.json_file import read_json
from thingstuff.progress import watched
from thingstuff.store import PredictedImage


def _recognises(path: Path) -> bool:
    return b'"segments_info"' in json_head(path)


def _read(source: ResultSource, targets: Targets) -> Iterator[PredictedImage]:
    """Of every image of the data set there must be a map: a missing one is a fault, and the image is left out."""
    faults = source.faults
    found = CocoPanoptic.open(source.path, source.folder, targets.categories, faults if faults.lenient else None)
    if not found.folder.is_dir():
        raise DataError(
            f"{source.path}: its PNGs are looked for in {found.folder}, which is no folder: say by --folder"
        )
    found = _renumbered(found, source, targets)
    strangers = [image_id for image_id in found.records if image_id not in targets.by_id]
    for image_id in strangers:
        faults.add("predictions of unknown images", f"{source.path}: image {image_id!r} is not in {targets.name}")
    for image in watched(targets.images, f"importing {source.path.name}"):
        with faults.skipping("images without a panoptic map that can be read"):
            yield _predicted(found, image)


def _predicted(found: CocoPanoptic, image: TargetImage) -> PredictedImage:
    panoptic = found.read(image.image_id)
    return PredictedImage(image.key, image.height, image.width, image.image_id, panoptic=panoptic)


def _renumbered(found: CocoPanoptic, source: ResultSource, targets: Targets) -> CocoPanoptic:
    """With names, the segments under the data set's category ids; those of other classes are faults, and void."""
    names = source.names or own_names(read_json(source.path), str(source.path), targets.categories, source.notes)
    if not names:
        return found
    ids = ClassIds(targets.categories, names, ids_as_they_are(targets.categories))
    ids.refuse_strangers(str(source.path))
    records = {}
    for image_id, record in found.records.items():
        segments = []
        for info in record["segments_info"]:
            place = f"{source.path}: image {image_id!r}: segment {info['id']}"
            category_id = ids.category_id(info["category_id"], place, source.faults)
            if category_id is not None:
                segments.append({**info, "category_id": category_id})
        records[image_id] = {**record, "segments_info": segments}
    return replace(found, records=records)


COCO_PANOPTIC_RESULTS = ResultFormat(
    "coco_panoptic", "COCO's panoptic results: a JSON of segments, and its PNGs", _recognises, _read
)
