"""Annotations and detections in COCO's format: each is read, and what cannot count is refused or noted and left out."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from thingstuff.errors import DataError
from thingstuff.evaluation.coco_fields import FieldError, Record, field, read_score, result_shape, truth_fields
from thingstuff.evaluation.coco_ids import CocoIds, id_hint, is_ground_truth, refuse_shared
from thingstuff.evaluation.rle_check import damaged_rles
from thingstuff.evaluation.skips import Skips

_UNKNOWN = {"image_id": "detections of unknown images", "category_id": "detections of unknown categories"}


@dataclass(frozen=True)
class OwnResults:
    """Detections whose RLEs this toolkit has just made itself, and which so cannot be damaged."""

    records: list[Record]


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


def read_truths(annotations: Sequence[Any], reading: Reading) -> tuple[list[Record], int]:
    """Renumbered from 1, and how many are of an image or category that is not listed.

    Those are left out silently, as in pycocotools.
    """
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

    truths, unlisted = _sift(annotations, _Converter(convert, place, "malformed annotations"), reading)
    return [{**truth, "id": number} for number, truth in enumerate(truths, 1)], unlisted


def read_results(found: Any, reading: Reading) -> list[Record]:
    """Detections in their order. For keypoints boxes are kept if the first has one, whose area then decides."""
    trusted = isinstance(found, OwnResults)
    found = found.records if isinstance(found, OwnResults) else found
    expect_list(found, reading.name)
    quick = _sound_records(found, reading)
    if quick is not None and (trusted or not _faults(quick, reading.iou_type)):
        return quick
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

    converter = _Converter(convert, lambda number: f"[{number}]", "malformed detections", has_kinds=True)
    converted, _ = _sift(found, converter, reading)
    return _with_boxes_of_the_first(converted) if iou_type == "keypoints" else converted


@dataclass(frozen=True)
class _Converter:
    """`convert` gives None for a record that is left out without a word."""

    convert: Callable[[Any], Record | None]
    place: Callable[[int], str]
    malformed: str
    has_kinds: bool = False

    def kind(self, error: DataError) -> str:
        """What a record with this error is counted as."""
        return (self.has_kinds and getattr(error, "kind", None)) or self.malformed


def _sift(records: Sequence[Any], converter: _Converter, reading: Reading) -> tuple[list[Record], int]:
    """The records that count, converted, and how many were left out without a word."""
    numbers, converted, silent = [], [], 0
    for number, record in enumerate(records):
        try:
            changed = converter.convert(record)
        except DataError as error:
            reading.leave_out(converter.place(number), converter.kind(error), error)
            continue
        if changed is None:
            silent += 1
        else:
            converted.append(changed)
            numbers.append(number)
    faults = _faults(converted, reading.iou_type)
    for row, message in faults.items():
        reading.leave_out(converter.place(numbers[row]), converter.malformed, message)
    return [record for row, record in enumerate(converted) if row not in faults] if faults else converted, silent


def _is_listed(record: Any, ids: CocoIds) -> bool:
    if not isinstance(record, Mapping):
        raise FieldError(f"expected an annotation, got {type(record).__name__}")
    return _is_known(record.get("image_id"), ids.images) and _is_known(record.get("category_id"), ids.categories)


def _is_known(value: Any, known: Collection[Any]) -> bool:
    if isinstance(value, list | dict):
        raise FieldError(f"an id must be a number or a text, got {value!r}")
    return value in known


def expect_list(found: Any, name: str) -> None:
    """Refuse what is no list of detections."""
    if is_ground_truth(found):
        raise DataError(
            f"{name}: expected a list of detections, but this is a ground truth, not results: were the two exchanged?"
        )
    if isinstance(found, Mapping) and "annotations" in found:
        raise DataError(
            f"{name}: expected a list of detections, got a dictionary with 'annotations': COCO's results are the bare "
            "list, so store that list alone"
        )
    if not isinstance(found, list | tuple):
        raise DataError(f"{name}: expected a list of detections, got {type(found).__name__}")


def _sound_records(found: Sequence[Any], reading: Reading) -> list[Record] | None:
    """All detections converted, if nothing is to be said of any: in a tenth of the careful way's time. Else None.

    Their masks and boxes are those that were handed in. Whether an RLE is damaged is not looked at.
    """
    payload = {"segm": "segmentation", "bbox": "bbox"}.get(reading.iou_type)
    if payload is None:
        return None
    images, categories = reading.ids.images, reading.ids.categories
    try:
        converted = [
            {
                "image_id": images[record["image_id"]],
                "category_id": categories[record["category_id"]],
                payload: record[payload],
                "score": record["score"],
            }
            for record in found
        ]
        scores = [record["score"] for record in converted]
        shapes = [record[payload] for record in converted]
        sound = _are_masks(shapes, found, reading.ids) if payload == "segmentation" else _are_boxes(shapes)
    except (KeyError, TypeError, IndexError, ValueError, OverflowError):
        return None
    return converted if sound and set(map(type, scores)) <= {float} and not np.isnan(scores).any() else None


def _are_masks(masks: list[Any], found: Sequence[Any], ids: CocoIds) -> bool:
    """Compressed RLEs of the size of their images."""
    stated, expected = [mask["size"] for mask in masks], [ids.sizes[record["image_id"]] for record in found]
    counts = set(map(type, map(itemgetter("counts"), masks)))
    sides = set(map(type, itertools.chain.from_iterable(stated)))
    return set(map(type, masks)) <= {dict} and counts <= {str, bytes} and sides <= {int} and stated == expected


def _are_boxes(boxes: list[Any]) -> bool:
    """Lists of four finite numbers."""
    numbers = np.array(boxes, np.float64)
    kinds = set(map(type, itertools.chain.from_iterable(boxes)))
    four = not boxes or numbers.shape == (len(boxes), 4)
    return set(map(type, boxes)) <= {list} and kinds <= {int, float} and four and bool(np.isfinite(numbers).all())


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
