"""COCO panoptic files, a JSON of segments and a folder of PNGs: read by image id, and evaluated against each other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.evaluation.panoptic_quality import PanopticCounts, PanopticQuality
from thingstuff.structures import Categories, PanopticMap

Source = str | os.PathLike[str]


def evaluate_panoptic(
    truth_json: Source,
    predicted_json: Source,
    truth_folder: Source | None = None,
    predicted_folder: Source | None = None,
) -> PanopticQuality:
    """Panoptic quality of predictions in COCO's panoptic format; a folder is by default the JSON's path without suffix.

    Gives panopticapi's numbers, and is stricter: the categories are the truth's, and a prediction for an unknown image
    or a truth that contradicts its PNG is refused.
    """
    truth = CocoPanoptic.open(truth_json, truth_folder)
    predicted = CocoPanoptic.open(predicted_json, predicted_folder, truth.categories)
    _refuse_other_images(predicted, truth)
    counts = PanopticCounts.empty(truth.categories)
    for image_id in truth.records:
        counts = _add(counts, image_id, predicted, truth)
    return counts.scores()


@dataclass(frozen=True)
class CocoPanoptic:
    """The annotations of one JSON by image id; a map is read when it is asked for."""

    json_path: Path
    folder: Path
    categories: Categories
    records: Mapping[int | str, Mapping[str, Any]]

    @classmethod
    def open(
        cls, json_path: Source, folder: Source | None = None, categories: Categories | None = None
    ) -> CocoPanoptic:
        """Read the JSON. `categories` stand in for its own, which predictions may lack."""
        path = Path(json_path)
        content = read_json(path)
        try:
            known = categories or Categories.from_coco(_listed(content, "categories"))
            records = _by_image(_listed(content, "annotations"))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        return cls(path, path.with_suffix("") if folder is None else Path(folder), known, records)

    def png_path(self, image_id: int | str) -> Path:
        return self.folder / str(self.records[image_id]["file_name"])

    def read(self, image_id: int | str) -> PanopticMap:
        """One image's map; the error for a damaged or contradicting one names the image and the file."""
        if image_id not in self.records:
            raise DataError(f"{self.json_path}: no annotation for image {image_id!r}")
        try:
            segments_info = self.records[image_id]["segments_info"]
            return PanopticMap.read_coco(self.png_path(image_id), segments_info, self.categories)
        except DataError as error:
            raise DataError(f"image {image_id!r}: {error}") from error


def _listed(content: Any, key: str) -> list[Mapping[str, Any]]:
    records = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(records, list) or not all(isinstance(r, Mapping) for r in records):
        raise DataError(f"expected a list of {key!r}, as in COCO's panoptic format")
    return records


def _by_image(annotations: list[Mapping[str, Any]]) -> dict[int | str, Mapping[str, Any]]:
    records: dict[int | str, Mapping[str, Any]] = {}
    for number, record in enumerate(annotations):
        _check_record(f"annotations[{number}]", record)
        if record["image_id"] in records:
            raise DataError(f"two annotations are of image {record['image_id']!r}: keep one")
        records[record["image_id"]] = record
    return records


def _check_record(name: str, record: Mapping[str, Any]) -> None:
    expected = {"image_id": (int, str), "file_name": (str,), "segments_info": (list,)}
    wrong = [key for key, types in expected.items() if not isinstance(record.get(key), types)]
    if wrong:
        raise DataError(f"{name}: expected image_id, file_name and a list segments_info, got no usable {wrong[0]}")
    for number, info in enumerate(record["segments_info"]):
        if not isinstance(info, Mapping) or not isinstance(info.get("category_id"), int):
            raise DataError(f"{name}: segments_info[{number}]: expected a segment with an integer category_id")


def _refuse_other_images(predicted: CocoPanoptic, truth: CocoPanoptic) -> None:
    missing = [i for i in truth.records if i not in predicted.records]
    unknown = [i for i in predicted.records if i not in truth.records]
    if missing:
        raise DataError(f"{predicted.json_path}: no prediction for image {missing[0]!r} ({len(missing)} are missing)")
    if unknown:
        raise DataError(
            f"{predicted.json_path}: image {unknown[0]!r} is not in {truth.json_path}: was this made for other data?"
        )


def _add(counts: PanopticCounts, image_id: int | str, predicted: CocoPanoptic, truth: CocoPanoptic) -> PanopticCounts:
    found, true = predicted.read(image_id), truth.read(image_id)
    try:
        return counts.add(found, true)
    except DataError as error:
        raise DataError(f"image {image_id!r}: {predicted.png_path(image_id)}: {error}") from error
