"""COCO ground truth and results, checked and renumbered: what a program that computes COCO AP is fed.

Image, category and annotation ids become 1, 2, ... in sorted order, so that an id is only a name: pycocotools counts a
match with annotation 0 as a miss, hotcoco refuses negative and textual ids, and both count a repeated id wrongly.
Only the fields that the metric reads are kept, and nothing that was handed in is modified.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.errors import DataError

Record = dict[str, Any]
Source = str | os.PathLike[str]

KEYPOINTS = 17  # COCO's person; the tolerances of the metric are known for these only
_Sizes = Mapping[Any, tuple[int, int] | None]
_LOWEST_POLYGON_NUMBERS = 6  # pycocotools takes four numbers for a box, and fails on them


@dataclass(frozen=True)
class CocoInput:
    """Ids are contiguous from 1. `categories` carry names; `truths` and `results` are annotations of kept images."""

    iou_type: str
    images: list[Record]
    categories: list[Record]
    truths: list[Record]
    results: list[Record]

    @property
    def ground_truth(self) -> Record:
        """One dictionary in COCO's format."""
        return {"images": self.images, "categories": self.categories, "annotations": self.truths}

    @property
    def ignored(self) -> list[Record]:
        """The truth that a detection may match without gain or loss."""
        return [t for t in self.truths if t["iscrowd"] or t.get("num_keypoints") == 0]


@dataclass(frozen=True)
class _Ids:
    """Data set ids -> contiguous ids, and each image's (height, width) where it is stated."""

    images: Mapping[Any, int]
    categories: Mapping[Any, int]
    sizes: _Sizes

    def knows(self, record: Mapping[str, Any]) -> bool:
        return record.get("image_id") in self.images and record.get("category_id") in self.categories

    def rename(self, record: Mapping[str, Any]) -> Record:
        return {"image_id": self.images[record["image_id"]], "category_id": self.categories[record["category_id"]]}


def read_coco_input(
    ground_truth: Source | Mapping[str, Any],
    results: Source | Sequence[Mapping[str, Any]],
    iou_type: str,
    image_ids: Collection[Any] | None = None,
) -> CocoInput:
    """Read, check and renumber. Truth of an image or category that is not listed is left out, as in pycocotools.

    As Detectron2 does, results for `segm` lose their `bbox`: with it, COCO would take the box's area for the mask's.
    """
    truth_name, truth = _load(ground_truth, "ground truth")
    results_name, found = _load(results, "results")
    images, categories = _listed(truth, "images", truth_name), _listed(truth, "categories", truth_name)
    annotations = _listed(truth, "annotations", truth_name)
    ids = _Ids(_positions(images, "image"), _positions(categories, "category"), {i["id"]: _size(i) for i in images})
    names = _names(categories)
    converted = _results(found, ids, iou_type, results_name)
    kept = set(ids.images.values()) if image_ids is None else _kept(image_ids, ids.images)
    truths = _truths(annotations, ids, iou_type, truth_name)
    return CocoInput(
        iou_type=iou_type,
        images=[_image(ids.images[i], ids.sizes[i]) for i in ids.images if ids.images[i] in kept],
        categories=[{"id": position, "name": names[i]} for i, position in ids.categories.items()],
        truths=[t for t in truths if t["image_id"] in kept],
        results=[r for r in converted if r["image_id"] in kept],
    )


def _load(source: Any, what: str) -> tuple[str, Any]:
    if not isinstance(source, str | os.PathLike):
        return what, source
    try:
        return str(source), json.loads(Path(source).read_bytes())
    except FileNotFoundError:
        raise DataError(f"{what}: no such file: {source}") from None
    except ValueError as error:
        raise DataError(f"{what}: {source} is not JSON: {error}") from None


def _listed(truth: Any, key: str, name: str) -> list[Any]:
    records = truth.get(key) if isinstance(truth, Mapping) else None
    if not isinstance(records, list) or not all(isinstance(r, Mapping) for r in records):
        raise DataError(f"{name}: no list of {key!r}: COCO's format has images, categories and annotations")
    return records


def _positions(records: list[Any], what: str) -> dict[Any, int]:
    """Each id's position in sorted order, from 1; sorted, because ties between images are broken by that order."""
    ids = [r.get("id") for r in records]
    _refuse_duplicates(ids, f"{what} id")
    try:
        return {i: position for position, i in enumerate(sorted(ids), 1)}
    except TypeError:
        raise DataError(f"{what} ids are missing or of mixed types: make all of them integers") from None


def _refuse_duplicates(values: Iterable[Any], what: str) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise DataError(f"ground truth: two records share the {what} {value!r}: give each its own")
        seen.add(value)


def _names(categories: list[Any]) -> dict[Any, str]:
    names = {c["id"]: str(c.get("name", c["id"])) for c in categories}
    _refuse_duplicates(names.values(), "category name")
    return names


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    return (image["height"], image["width"]) if {"height", "width"} <= image.keys() else None


def _image(position: int, size: tuple[int, int] | None) -> Record:
    return {"id": position} if size is None else {"id": position, "height": size[0], "width": size[1]}


def _kept(image_ids: Collection[Any], known: Mapping[Any, int]) -> set[int]:
    unknown = [i for i in image_ids if i not in known]
    if unknown:
        raise DataError(f"image_ids: {unknown[0]!r} is no image of the ground truth")
    return {known[i] for i in image_ids}


def _truths(annotations: list[Any], ids: _Ids, iou_type: str, name: str) -> list[Record]:
    _refuse_duplicates((a.get("id") for a in annotations if a.get("id") is not None), "annotation id")

    def convert(record: Mapping[str, Any]) -> Record:
        area = _numbers([_field(record, "area")], "area", 1)[0]
        payload = _truth_payload(record, iou_type, ids.sizes[record["image_id"]])
        return {**ids.rename(record), **payload, "area": area, "iscrowd": int(bool(record.get("iscrowd", 0)))}

    def naming(number: int, record: Mapping[str, Any]) -> str:
        return f"{name}: annotations[{number}] (id {record.get('id')!r})"

    listed = [(n, a) for n, a in enumerate(annotations) if ids.knows(a)]
    return [{**t, "id": n} for n, t in enumerate(_converted(listed, convert, naming), 1)]


def _results(found: Any, ids: _Ids, iou_type: str, name: str) -> list[Record]:
    if not isinstance(found, list | tuple):
        raise DataError(f"{name}: expected a list of detections, got {type(found).__name__}")
    with_box = bool(found) and isinstance(found[0], Mapping) and "bbox" in found[0]

    def convert(record: Any) -> Record:
        quick = _sound_mask(record, ids) if iou_type == "segm" else None
        if quick is not None:
            return quick
        _refuse_unknown(record, ids)
        payload = _result_payload(record, iou_type, ids.sizes[record["image_id"]], with_box)
        return {**ids.rename(record), **payload, "score": _score(record)}

    return _converted(enumerate(found), convert, lambda number, _: f"{name}[{number}]")


def _converted(
    records: Iterable[tuple[int, Any]], convert: Callable[[Any], Record], naming: Callable[[int, Any], str]
) -> list[Record]:
    converted = []
    for number, record in records:
        try:
            converted.append(convert(record))
        except DataError as error:
            raise DataError(f"{naming(number, record)}: {error}") from None
    return converted


def _sound_mask(record: Any, ids: _Ids) -> Record | None:
    """A detection with an RLE of which nothing is to be said, in a third of the time; None for the careful way."""
    try:
        mask, score, image_id = record["segmentation"], record["score"], record["image_id"]
        size, counts, image_size = mask["size"], mask["counts"], ids.sizes[image_id]
        renamed: Record = {"image_id": ids.images[image_id], "category_id": ids.categories[record["category_id"]]}
    except (KeyError, TypeError, IndexError):
        return None
    if type(score) is not float or score != score or type(counts) not in (str, bytes) or type(size) is not list:
        return None
    if image_size is not None and tuple(size) != image_size:
        return None
    return {**renamed, "segmentation": {"size": size, "counts": counts}, "score": score}


def _refuse_unknown(record: Any, ids: _Ids) -> None:
    if not isinstance(record, Mapping):
        raise DataError(f"expected a detection, got {type(record).__name__}")
    for field, known in (("image_id", ids.images), ("category_id", ids.categories)):
        if _field(record, field) not in known:
            raise DataError(f"{field} {record[field]!r} is not in the ground truth: were they made for other data?")


def _field(record: Mapping[str, Any], field: str) -> Any:
    if record.get(field) is None:
        raise DataError(f"has no {field!r}")
    return record[field]


def _score(record: Mapping[str, Any]) -> float:
    stated = _field(record, "score")
    try:
        score = float(stated)
    except (TypeError, ValueError):
        score = math.nan
    if math.isnan(score):
        raise DataError(f"score {stated!r} is not a number: it cannot be ranked")
    return score


def _truth_payload(record: Mapping[str, Any], iou_type: str, size: tuple[int, int] | None) -> Record:
    if iou_type == "segm":
        return {"segmentation": _truth_mask(_field(record, "segmentation"), size)}
    box = {"bbox": _numbers(_field(record, "bbox"), "bbox", 4)}
    if iou_type == "bbox":
        return box
    points = _numbers(_field(record, "keypoints"), "keypoints", 3 * KEYPOINTS)
    visible = sum(v > 0 for v in points[2::3])
    return {**box, "keypoints": points, "num_keypoints": int(record.get("num_keypoints", visible))}


def _result_payload(record: Mapping[str, Any], iou_type: str, size: tuple[int, int] | None, with_box: bool) -> Record:
    """For keypoints the box is kept if the first detection has one: its area then decides, as in pycocotools."""
    if iou_type == "segm":
        return {"segmentation": _result_mask(_field(record, "segmentation"), size)}
    payload = {"bbox": _numbers(_field(record, "bbox"), "bbox", 4)} if iou_type == "bbox" or with_box else {}
    if iou_type == "keypoints":
        payload["keypoints"] = _numbers(_field(record, "keypoints"), "keypoints", 3 * KEYPOINTS)
    return payload


def _numbers(values: Any, field: str, count: int) -> list[float]:
    try:
        numbers = [float(v) for v in values]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise DataError(f"{field} must be {count} finite number{'s' * (count > 1)}, got {values!r}")
    return numbers


def _truth_mask(mask: Any, size: tuple[int, int] | None) -> Any:
    if isinstance(mask, Mapping):
        return _sized(mask, size)
    if not isinstance(mask, list) or not mask or len(mask[0]) < _LOWEST_POLYGON_NUMBERS:
        raise DataError("segmentation must be RLE or polygons of at least 3 points: remove or mend the annotation")
    if size is None:
        raise DataError("its image has no height and width: polygons cannot be filled without them")
    return mask


def _result_mask(mask: Any, size: tuple[int, int] | None) -> Record:
    if not isinstance(mask, Mapping) or not isinstance(mask.get("counts"), str | bytes):
        raise DataError("segmentation must be compressed RLE {'size': [height, width], 'counts': '...'}")
    return _sized(mask, size)


def _sized(mask: Mapping[str, Any], size: tuple[int, int] | None) -> Record:
    """RLE of another size than its image's would silently match nothing."""
    if size is not None and tuple(_field(mask, "size")) != size:
        raise DataError(f"segmentation has (height, width) {tuple(mask['size'])}, but its image has {size}")
    return {"size": list(_field(mask, "size")), "counts": _field(mask, "counts")}
