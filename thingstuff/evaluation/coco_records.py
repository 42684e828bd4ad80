"""Annotations and detections in COCO's format: each is read, and what cannot count is refused or noted and left out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thingstuff.errors import DataError
from thingstuff.evaluation.coco_fields import FieldError, Record, field, read_score, result_shape, truth_fields
from thingstuff.evaluation.coco_ids import CocoIds, id_hint, refuse_shared
from thingstuff.evaluation.rle_check import damaged_rles
from thingstuff.evaluation.skips import Skips

_COUNTS = (str, bytes)
_UNKNOWN = {"image_id": "detections of unknown images", "category_id": "detections of unknown categories"}


@dataclass(frozen=True)
class Reading:
    """How one list of records is read. `name` is what messages call the file; without `skips` they are errors."""

    name: str
    iou_type: str
    ids: CocoIds
    skips: Skips | None = None

    def leave_out(self, place: str, kind: str, error: object) -> None:
        message = f"{self.name}{place}: {error}"
        if self.skips is None:
            raise DataError(message) from None
        self.skips.add(kind, message)


def read_truths(annotations: Sequence[Any], reading: Reading) -> list[Record]:
    """Renumbered from 1. What is of an image or category that is not listed is left out silently, as in pycocotools."""
    stated_ids = [a.get("id") if isinstance(a, Mapping) else None for a in annotations]
    refuse_shared(stated_ids, "annotations", "annotation id", reading.name)
    ids, iou_type = reading.ids, reading.iou_type

    def convert(record: Any) -> Record | None:
        if not _is_listed(record, ids):
            return None
        return {**ids.rename(record), **truth_fields(record, iou_type, ids.sizes[record["image_id"]])}

    def place(number: int) -> str:
        record = annotations[number]
        return f": annotations[{number}]" + (f" (id {record.get('id')!r})" if isinstance(record, Mapping) else "")

    truths = _sift(annotations, _Converter(convert, place, "malformed annotations"), reading)
    return [{**truth, "id": number} for number, truth in enumerate(truths, 1)]


def read_results(found: Any, reading: Reading) -> list[Record]:
    """Detections in their order. For keypoints boxes are kept if the first has one, whose area then decides."""
    _expect_list(found, reading.name)
    ids, iou_type = reading.ids, reading.iou_type
    known: Mapping[str, Collection[Any]] = {"image_id": ids.images, "category_id": ids.categories}

    @functools.cache
    def hint(name: str, unknown: Any) -> str:
        values = (record.get(name) for record in found if isinstance(record, Mapping))
        return id_hint(name.removesuffix("_id"), unknown, values, known[name])

    def convert(record: Any) -> Record:
        if not isinstance(record, Mapping):
            raise FieldError(f"expected a detection, got {type(record).__name__}")
        for name, kind in _UNKNOWN.items():
            if not _is_known(field(record, name), known[name]):
                raise FieldError(
                    f"{name} {record[name]!r} is not in the ground truth: {hint(name, record[name])}", kind
                )
        score = read_score(record)
        shape = result_shape(record, iou_type, ids.sizes[record["image_id"]])
        return {**ids.rename(record), **shape, "score": score}

    quick = _sound_mask(ids) if iou_type == "segm" else None
    converter = _Converter(convert, lambda number: f"[{number}]", "malformed detections", quick, has_kinds=True)
    converted = _sift(found, converter, reading)
    return _with_boxes_of_the_first(converted) if iou_type == "keypoints" else converted


@dataclass(frozen=True)
class _Converter:
    """`convert` gives None for a record that is left out without a word; `quick` gives None where it cannot tell."""

    convert: Callable[[Any], Record | None]
    place: Callable[[int], str]
    malformed: str
    quick: Callable[[Any], Record | None] | None = None
    has_kinds: bool = False

    def kind(self, error: DataError) -> str:
        """What a record with this error is counted as."""
        return (self.has_kinds and getattr(error, "kind", None)) or self.malformed


def _sift(records: Sequence[Any], converter: _Converter, reading: Reading) -> list[Record]:
    """The records that count, converted."""
    numbers, converted = [], []
    quick, convert = converter.quick, converter.convert
    for number, record in enumerate(records):
        try:
            changed = (quick and quick(record)) or convert(record)
        except DataError as error:
            reading.leave_out(converter.place(number), converter.kind(error), error)
            continue
        if changed is not None:
            converted.append(changed)
            numbers.append(number)
    faults = _faults(converted, reading.iou_type)
    for row, message in faults.items():
        reading.leave_out(converter.place(numbers[row]), converter.malformed, message)
    return [record for row, record in enumerate(converted) if row not in faults] if faults else converted


def _is_listed(record: Any, ids: CocoIds) -> bool:
    if not isinstance(record, Mapping):
        raise FieldError(f"expected an annotation, got {type(record).__name__}")
    return _is_known(record.get("image_id"), ids.images) and _is_known(record.get("category_id"), ids.categories)


def _is_known(value: Any, known: Collection[Any]) -> bool:
    if isinstance(value, list | dict):
        raise FieldError(f"an id must be a number or a text, got {value!r}")
    return value in known


def _expect_list(found: Any, name: str) -> None:
    if isinstance(found, Mapping) and "annotations" in found:
        raise DataError(
            f"{name}: expected a list of detections, got a dictionary with 'annotations': COCO's results are the bare "
            "list, so store that list alone"
        )
    if not isinstance(found, list | tuple):
        raise DataError(f"{name}: expected a list of detections, got {type(found).__name__}")


def _sound_mask(ids: CocoIds) -> Callable[[Any], Record | None]:
    """Reads a detection with an RLE of which nothing is to be said yet, in a third of the careful way's time."""
    images, categories, sizes = ids.images, ids.categories, ids.sizes

    def quick(record: Any) -> Record | None:
        try:
            mask, score, image_id = record["segmentation"], record["score"], record["image_id"]
            size, counts, image_size = mask["size"], mask["counts"], sizes[image_id]
            category_id, image_id = categories[record["category_id"]], images[image_id]
        except (KeyError, TypeError, IndexError):
            return None
        if type(score) is not float or score != score or type(counts) not in _COUNTS or size != image_size:
            return None
        kept = {"size": image_size, "counts": counts}
        return {"image_id": image_id, "category_id": category_id, "segmentation": kept, "score": score}

    return quick


def _faults(converted: Sequence[Record], iou_type: str) -> dict[int, str]:
    """{row: what is wrong}: what is asked of all records together, because it is faster so or depends on the first."""
    if iou_type == "segm":
        masks = [record["segmentation"] for record in converted]
        rows = [row for row, mask in enumerate(masks) if type(mask) is not list]
        damaged = damaged_rles([masks[row] for row in rows])
        return {rows[number]: f"segmentation is damaged: {message}" for number, message in damaged.items()}
    if iou_type == "keypoints" and converted and "bbox" in converted[0]:
        return {row: "has no 'bbox', but the first has" for row, r in enumerate(converted) if "bbox" not in r}
    return {}


def _with_boxes_of_the_first(converted: list[Record]) -> list[Record]:
    if not converted or "bbox" in converted[0]:
        return converted
    return [{key: value for key, value in record.items() if key != "bbox"} for record in converted]
