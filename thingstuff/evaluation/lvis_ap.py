"""LVIS average precision: a federated data set says for each image which categories were looked for at all."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation.coco_ap import mean_of_defined
from thingstuff.evaluation.coco_backends import FloatArray
from thingstuff.evaluation.coco_input import CocoInput, Record, Results, Source, read_coco_input
from thingstuff.evaluation.json_file import JsonFile
from thingstuff.evaluation.skips import Skips

_IOU_TYPES = ("bbox", "segm")
_SIZES = {"s": "small", "m": "medium", "l": "large"}  # in the order in which hotcoco counts them, after "all"
_FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}
_AP50, _AP75 = 0, 5  # their places in the thresholds 0.50:0.05:0.95


@dataclass(frozen=True)
class LvisOptions:
    """`image_ids` restricts the evaluation to these images; `max_dets` is the cap on an image's detections of all
    categories together, by score; `skips` makes the reading lenient and notes what was left out."""

    image_ids: Collection[Any] | None = None
    max_dets: int = 300
    skips: Skips | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.max_dets, int) or self.max_dets < 1:
            raise ConfigError(f"max_dets must be a whole number from 1, got {self.max_dets!r}")


_AS_LVIS = LvisOptions()


@dataclass(frozen=True)
class LvisAP:
    """LVIS's 13 numbers as fractions under lvis-api's names; an undefined one is NaN and `undefined` says why.

    AP, AP50, AP75, APs, APm, APl, APr, APc, APf (rare, common, frequent categories), and AR, ARs, ARm, ARl with the cap
    behind an @, as in AR@300. `per_category` holds each category's AP by name.
    """

    iou_type: str
    max_dets: int
    numbers: Mapping[str, float]
    per_category: Mapping[str, float]
    undefined: Mapping[str, str]

    def percent(self) -> dict[str, float]:
        """Percent under the keys of Detectron2's `LVISEvaluator`: the nine of AP, no category.

        An undefined one is NaN, where Detectron2 gives -100; with no detection at all they are 0, where it gives NaN.
        """
        return {name: 100 * value for name, value in self.numbers.items() if name.startswith("AP")}


def evaluate_lvis(
    ground_truth: Source | Mapping[str, Any],
    results: Results,
    iou_type: str,
    options: LvisOptions = _AS_LVIS,
) -> LvisAP:
    """LVIS AP (Gupta et al., 2019) of `results` (COCO's result format) on `ground_truth` in LVIS's format, by hotcoco.

    A detection counts only for the categories that its image has or that its `neg_category_ids` exclude; where a
    category is in `not_exhaustive_category_ids`, a detection that matches nothing is no mistake. Gives lvis-api's
    numbers; as in Detectron2 the size of a detected mask is its own, not that of a `bbox` beside it. LVIS knows no
    crowds: `iscrowd` is not looked at, as in lvis-api. Stricter than there: records are checked as by `evaluate_coco`.
    """
    if iou_type not in _IOU_TYPES:
        raise ConfigError(f"iou_type is {iou_type!r}, expected one of {', '.join(_IOU_TYPES)}")
    file = JsonFile.of(ground_truth, "ground truth")
    data = read_coco_input(file, results, iou_type, options.image_ids, options.skips)
    federated = _federated(data, file.content, file.name)
    precision, recall = _run_hotcoco(federated, data, options.max_dets)
    numbers = _numbers(precision, recall, federated["categories"], options.max_dets)
    per_category = {c["name"]: mean_of_defined(precision[:, :, k, 0]) for k, c in enumerate(data.categories)}
    return LvisAP(iou_type, options.max_dets, numbers, per_category, _undefined(numbers, per_category))


def _federated(data: CocoInput, truth: Mapping[str, Any], name: str) -> Record:
    """The ground truth of `data` with what LVIS adds to it, ids renumbered alike."""
    _refuse_ignored(truth, name)
    images, categories = _by_position(truth["images"]), _by_position(truth["categories"])
    position = {c["id"]: number for number, c in categories.items()}
    return {
        "images": [{**i, **_image_lists(images[i["id"]], position, name)} for i in data.images],
        "categories": [{**c, "frequency": _frequency(categories[c["id"]], name)} for c in data.categories],
        "annotations": [{**t, "iscrowd": 0} for t in data.truths],
    }


def _refuse_ignored(truth: Mapping[str, Any], name: str) -> None:
    for number, record in enumerate(truth["annotations"]):
        if record.get("ignore"):
            raise DataError(f"{name}: annotations[{number}] is to be ignored, which LVIS's format has no field for")


def _by_position(records: list[Record]) -> dict[int, Record]:
    """Records under the contiguous ids that `read_coco_input` gives them."""
    return dict(enumerate(sorted(records, key=lambda r: r["id"]), 1))


def _image_lists(image: Record, position: Mapping[Any, int], name: str) -> Record:
    fields = ("neg_category_ids", "not_exhaustive_category_ids")
    return {field: _renamed(image, field, position, name) for field in fields}


def _renamed(image: Record, field: str, position: Mapping[Any, int], name: str) -> list[int]:
    ids = image.get(field)
    if not isinstance(ids, list | tuple):
        raise DataError(f"{name}: image {image['id']!r} has no list {field!r}: is this ground truth in LVIS's format?")
    unknown = [i for i in ids if i not in position]
    if unknown:
        raise DataError(f"{name}: image {image['id']!r}: {field!r} names {unknown[0]!r}, which is no listed category")
    return [position[i] for i in ids]


def _frequency(category: Record, name: str) -> str:
    stated = category.get("frequency")
    if stated not in _FREQUENCIES:
        raise DataError(f"{name}: category {category['id']!r} must have the frequency r, c or f, got {stated!r}")
    return str(stated)


def _run_hotcoco(federated: Record, data: CocoInput, max_dets: int) -> tuple[FloatArray, FloatArray]:
    """Precision T x R x K x A and recall T x K x A, -1 where undefined."""
    import hotcoco

    truth = hotcoco.COCO(federated)
    found = hotcoco.LVISResults(truth, data.results, max_dets)
    evaluation = hotcoco.LVISEval(truth, found, data.iou_type)
    evaluation.params.max_dets = [max_dets]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluated: Any = evaluation.eval
    return np.asarray(evaluated["precision"])[..., 0], np.asarray(evaluated["recall"])[..., 0]


def _numbers(precision: FloatArray, recall: FloatArray, categories: list[Record], max_dets: int) -> dict[str, float]:
    """LVIS's numbers, in the order of its summary."""
    frequencies = [c["frequency"] for c in categories]
    values = {"AP": precision[..., 0], "AP50": precision[_AP50, ..., 0], "AP75": precision[_AP75, ..., 0]}
    values |= {f"AP{size}": precision[..., area] for area, size in enumerate(_SIZES, 1)}
    values |= {f"AP{f}": precision[:, :, [own == f for own in frequencies], 0] for f in _FREQUENCIES}
    values |= {f"AR@{max_dets}": recall[..., 0]}
    values |= {f"AR{size}@{max_dets}": recall[..., area] for area, size in enumerate(_SIZES, 1)}
    return {name: mean_of_defined(v) for name, v in values.items()}


def _undefined(numbers: Mapping[str, float], per_category: Mapping[str, float]) -> dict[str, str]:
    """Name -> reason, for every NaN; a number is undefined exactly when there is nothing to be found."""
    reasons = {n: f"no {_objects(n)} in the ground truth" for n in numbers if math.isnan(numbers[n])}
    absent = [name for name, value in per_category.items() if math.isnan(value)]
    return reasons | {f"AP-{name}": f"no {name!r} in the ground truth" for name in absent}


def _objects(number: str) -> str:
    kind = number[2:3]  # AP50, APs, AR@300, ARs@300
    if kind in _FREQUENCIES:
        return f"object of a {_FREQUENCIES[kind]} category"
    return f"{_SIZES[kind]} object" if kind in _SIZES else "object"
