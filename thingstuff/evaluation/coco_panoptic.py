"""COCO panoptic files, a JSON of segments and a folder of PNGs: read by image id, and evaluated against each other."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.evaluation.panoptic_files import count_files
from thingstuff.evaluation.panoptic_quality import PanopticCounts, PanopticQuality
from thingstuff.evaluation.segment_overlaps import SegmentRuns
from thingstuff.evaluation.skips import Skips
from thingstuff.structures import Categories, PanopticMap, rgb_to_ids
from thingstuff.structures.arrays import refuse_duplicates
from thingstuff.structures.panoptic_map import VOID_ID
from thingstuff.structures.png import read_png

Source = str | os.PathLike[str]


def evaluate_panoptic(
    truth_json: Source,
    predicted_json: Source,
    truth_folder: Source | None = None,
    predicted_folder: Source | None = None,
    skips: Skips | None = None,
) -> PanopticQuality:
    """Panoptic quality of predictions in COCO's panoptic format; a folder is by default the JSON's path without suffix.

    hotcoco decodes and counts; where it refuses something, the images are read one by one to say what.
    Gives panopticapi's numbers, and is stricter: the categories are the truth's, and a prediction for an unknown image
    or a truth that contradicts its PNG is refused. With `skips` both are noted there and left out, as
    `comparable_images` and `CocoPanoptic.read` say; files that cannot be read, and two predictions of one image, stay
    errors.
    """
    truth = CocoPanoptic.open(truth_json, truth_folder, skips=skips)
    predicted = CocoPanoptic.open(predicted_json, predicted_folder, truth.categories, skips)
    images = comparable_images(predicted, truth, skips)
    counts = None if skips is not None else count_files(truth.files, predicted.files, truth.categories)
    if counts is None:  # image by image, to name what is wrong, or to leave it out
        counts = PanopticCounts.empty(truth.categories)
        for image_id in images:
            counts = _add(counts, image_id, predicted, truth)
    return counts.scores()


def comparable_images(
    predicted: CocoPanoptic, truth: CocoPanoptic, skips: Skips | None = None
) -> tuple[int | str, ...]:
    """The images of the truth, in its order; an error unless the predictions are of exactly these.

    With `skips` predictions of unknown images are left out, and so are images without a prediction, or whose
    predicted PNG is not there; that the whole folder is not there stays an error.
    """
    missing = [i for i in truth.records if i not in predicted.records]
    for image_id in missing:
        way_on = f" {_how_to_go_on(len(missing))}" if skips is None else ""
        message = f"{predicted.json_path}: no prediction for image {image_id!r}{way_on}"
        _refuse("images without a prediction", message, skips)
    for image_id in predicted.records:
        if image_id not in truth.records:
            message = f"{predicted.json_path}: image {image_id!r} is not in {truth.json_path}"
            _refuse("predictions of unknown images", f"{message}: was this made for other data?", skips)
    images = tuple(i for i in truth.records if i in predicted.records)
    return images if skips is None else _with_png(images, predicted, skips)


@dataclass(frozen=True)
class CocoPanoptic:
    """The annotations of one JSON by image id; a map is read when it is asked for."""

    json_path: Path
    folder: Path
    categories: Categories
    records: Mapping[int | str, Mapping[str, Any]]
    skips: Skips | None = field(default=None, compare=False)
    _runs: dict[int | str, SegmentRuns] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(
        cls,
        json_path: Source,
        folder: Source | None = None,
        categories: Categories | None = None,
        skips: Skips | None = None,
    ) -> CocoPanoptic:
        """Read the JSON. `categories` stand in for its own, which predictions may lack.

        With `skips` a malformed annotation is noted there and left out, now, and what `read` finds later.
        """
        path = Path(json_path)
        content = read_json(path)
        try:
            known = categories or Categories.from_coco(_mappings(_listed(content, "categories"), "categories"))
            records = _by_image(_listed(content, "annotations"), None if skips is None else _Noting(skips, f"{path}: "))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        return cls(path, path.with_suffix("") if folder is None else Path(folder), known, records, skips)

    @property
    def files(self) -> tuple[Path, Path]:
        return self.json_path, self.folder

    def png_path(self, image_id: int | str) -> Path:
        return self.folder / str(self.records[image_id]["file_name"])

    def expect_folder(self) -> None:
        """Refuse a folder that is not there, which is most often one of another name."""
        if not self.folder.is_dir():
            raise DataError(
                f"{self.json_path}: its PNGs are looked for in {self.folder}, which is no folder: say which it is: "
                "truth_folder or predicted_folder in Python, --truth-folder or --predictions-folder on the command line"
            )

    def read(self, image_id: int | str) -> PanopticMap:
        """One image's map; the error for a damaged or contradicting one names the image and the file.

        With `skips` a segment without pixels is left out, and pixels without a segment, or with one of an unknown
        category, become void; an unreadable PNG and a repeated segment id stay errors.
        """
        if image_id not in self.records:
            raise DataError(f"{self.json_path}: no annotation for image {image_id!r}")
        try:
            return self._read(self.png_path(image_id), self.records[image_id]["segments_info"], image_id)
        except DataError as error:
            self.expect_folder()
            raise DataError(f"image {image_id!r}: {error}") from error

    def read_runs(self, image_id: int | str) -> SegmentRuns:
        """One image's segments as runs, which are kept: a truth is decoded once, however often it serves."""
        if image_id not in self._runs:
            self._runs[image_id] = SegmentRuns.of(self.read(image_id))
        return self._runs[image_id]

    def _read(self, png_path: Path, segments_info: list[Mapping[str, Any]], image_id: int | str) -> PanopticMap:
        try:
            return PanopticMap.read_coco(png_path, segments_info, self.categories)
        except DataError:
            if self.skips is None:
                raise
        return self._mended(png_path, segments_info, _Noting(self.skips, f"image {image_id!r}: {png_path}: "))

    def _mended(self, png_path: Path, segments_info: list[Mapping[str, Any]], noting: _Noting) -> PanopticMap:
        ids = rgb_to_ids(read_png(png_path, "RGB"))
        refuse_duplicates((info["id"] for info in segments_info), f"{png_path}: two segments share the id {{}}")
        used = set(np.unique(ids).tolist()) - {VOID_ID}
        kept = [info for info in segments_info if _is_usable(info, used, self.categories, noting)]
        for segment_id in sorted(used - {info["id"] for info in segments_info}):
            noting.add("segments of a PNG that its JSON lacks", f"the map has pixels of segment {segment_id}")
        kept_ids = np.array([info["id"] for info in kept], np.uint32)
        return PanopticMap.from_labels(
            np.where(np.isin(ids, kept_ids), ids, np.uint32(VOID_ID)),
            {info["id"]: info["category_id"] for info in kept},
            self.categories,
            scores={info["id"]: info["score"] for info in kept if "score" in info},
            crowd_ids={info["id"] for info in kept if info.get("iscrowd")},
        )


@dataclass(frozen=True)
class _Noting:
    """Skips of one file or image, which `place` names."""

    skips: Skips
    place: str

    def add(self, kind: str, message: str) -> None:
        self.skips.add(kind, self.place + message)


def _how_to_go_on(missing: int) -> str:
    if missing == 1:
        return "(1 is missing): predict it, or read leniently to leave it out"
    return f"({missing} are missing): predict them, or read leniently to leave them out"


def _with_png(image_ids: Iterable[int | str], predicted: CocoPanoptic, skips: Skips) -> tuple[int | str, ...]:
    found = []
    for image_id in image_ids:
        if predicted.png_path(image_id).exists():
            found.append(image_id)
        else:
            predicted.expect_folder()
            skips.add("images without a prediction", f"image {image_id!r}: no file {predicted.png_path(image_id)}")
    return tuple(found)


def _is_usable(info: Mapping[str, Any], used: Collection[int], categories: Categories, noting: _Noting) -> bool:
    if all(info["category_id"] != category.id for category in categories.all):
        noting.add("segments of unknown categories", f"segment {info['id']}: no category {info['category_id']}")
    elif info["id"] not in used:
        noting.add("segments without pixels", f"segment {info['id']} has no pixel in the map")
    else:
        return True
    return False


def _refuse(kind: str, message: str, skips: Skips | None) -> None:
    if skips is None:
        raise DataError(message)
    skips.add(kind, message)


def _listed(content: Any, key: str) -> list[Any]:
    if not isinstance(content, Mapping):
        raise DataError(f"expected a dictionary with {key!r}, as in COCO's panoptic format, got {_kind(content)}")
    records = content.get(key)
    if not isinstance(records, list):
        raise DataError(f"expected a list of {key!r}, as in COCO's panoptic format")
    return records


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else type(value).__name__


def _mappings(records: list[Any], key: str) -> list[Mapping[str, Any]]:
    for number, record in enumerate(records):
        _expect_mapping(f"{key}[{number}]", record)
    return records


def _expect_mapping(name: str, record: Any) -> None:
    if not isinstance(record, Mapping):
        raise DataError(f"{name}: expected a dictionary, got {_kind(record)}")


def _by_image(annotations: list[Any], noting: _Noting | None) -> dict[int | str, Mapping[str, Any]]:
    records: dict[int | str, Mapping[str, Any]] = {}
    for number, stated in enumerate(annotations):
        try:
            record = _checked_record(f"annotations[{number}]", stated, noting)
        except DataError as error:
            if noting is None:
                raise
            noting.add("malformed annotations", str(error))
            continue
        if record["image_id"] in records:
            raise DataError(f"annotations[{number}]: two annotations are of image {record['image_id']!r}: keep one")
        records[record["image_id"]] = record
    return records


def _checked_record(name: str, record: Any, noting: _Noting | None) -> Mapping[str, Any]:
    _expect_mapping(name, record)
    expected = {"image_id": (int, str), "file_name": (str,), "segments_info": (list,)}
    wrong = [key for key, types in expected.items() if not isinstance(record.get(key), types)]
    if wrong:
        raise DataError(f"{name}: expected image_id, file_name and a list segments_info, got no usable {wrong[0]}")
    faults = {number: fault for number, info in enumerate(record["segments_info"]) if (fault := _fault(info))}
    for number, fault in faults.items():
        message = f"{name}: segments_info[{number}]: {fault}"
        if noting is None:
            raise DataError(message)
        noting.add("malformed segments", message)
    kept = [info for number, info in enumerate(record["segments_info"]) if number not in faults]
    return {**record, "segments_info": kept} if faults else record


def _fault(info: Any) -> str | None:
    if not isinstance(info, Mapping) or not isinstance(info.get("category_id"), int):
        return "expected a segment with an integer category_id"
    if not isinstance(info.get("id"), int):
        return f"expected a segment with an integer id, got {info.get('id')!r}"
    return None


def _add(counts: PanopticCounts, image_id: int | str, predicted: CocoPanoptic, truth: CocoPanoptic) -> PanopticCounts:
    found, true = predicted.read(image_id), truth.read(image_id)
    try:
        return counts.add(found, true)
    except DataError as error:
        files = f"{predicted.png_path(image_id)}, whose truth is {truth.png_path(image_id)}"
        raise DataError(f"image {image_id!r}: {files}: {error}") from error
