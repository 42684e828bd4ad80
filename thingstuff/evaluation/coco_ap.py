"""COCO average precision of boxes, masks and keypoints: the official numbers, and why one of them is missing."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from thingstuff.errors import ConfigError
from thingstuff.evaluation.coco_backends import BACKENDS, FloatArray
from thingstuff.evaluation.coco_input import CocoInput, Source, read_coco_input

IouType = Literal["bbox", "segm", "keypoints"]
Backend = Literal["hotcoco", "pycocotools"]

MAX_DETS: Mapping[str, tuple[int, ...]] = {"bbox": (1, 10, 100), "segm": (1, 10, 100), "keypoints": (20,)}
_AREAS = {  # in the order in which both programs count them
    "bbox": ("all", "small", "medium", "large"),
    "segm": ("all", "small", "medium", "large"),
    "keypoints": ("all", "medium", "large"),
}
_IOU_THRESHS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True, slots=True)
class _Number:
    """One of COCO's numbers: a mean over some of the thresholds, for objects of one size."""

    name: str
    area: str = "all"
    iou_thresh: float | None = None  # None: the mean over 0.50:0.95
    max_dets_index: int = -1

    @property
    def is_recall(self) -> bool:
        return self.name.startswith("AR")

    def select(self, values: FloatArray, areas: Sequence[str]) -> FloatArray:
        """The T x ... x A x M precision or recall that this number is the mean of."""
        threshs = slice(None) if self.iou_thresh is None else self.iou_thresh == _IOU_THRESHS
        return values[threshs][..., areas.index(self.area), self.max_dets_index]


@dataclass(frozen=True)
class CocoAP:
    """COCO's numbers as fractions under COCO's names; an undefined one is NaN and `undefined` says why.

    12 numbers for boxes and masks (AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl), 10 for keypoints
    (AP, AP50, AP75, APm, APl and the same of AR). `per_category` holds each category's AP by name.
    Where pycocotools says -1 this says NaN, which no mean takes for a number.
    """

    iou_type: str
    max_dets: tuple[int, ...]
    numbers: Mapping[str, float]
    per_category: Mapping[str, float]
    undefined: Mapping[str, str]

    def percent(self) -> dict[str, float]:
        """Percent under the keys of Detectron2's `COCOEvaluator`: AP..., and AP-<class> if there are several classes.

        With no detection at all the values are 0, where Detectron2 gives NaN.
        """
        overall = {name: 100 * value for name, value in self.numbers.items() if name.startswith("AP")}
        if len(self.per_category) <= 1:
            return overall
        return overall | {f"AP-{name}": 100 * value for name, value in self.per_category.items()}

    def lines(self) -> tuple[str, ...]:
        """The numbers as pycocotools prints them, one line each."""
        return tuple(self._line(n) for n in _numbers(self.iou_type, self.max_dets))

    def _line(self, number: _Number) -> str:
        title = "Average Recall     (AR)" if number.is_recall else "Average Precision  (AP)"
        iou = "0.50:0.95" if number.iou_thresh is None else f"{number.iou_thresh:0.2f}"
        value = -1.0 if number.name in self.undefined else self.numbers[number.name]
        max_dets = self.max_dets[number.max_dets_index]
        return f" {title} @[ IoU={iou:<9} | area={number.area:>6} | maxDets={max_dets:>3} ] = {value:0.3f}"


def evaluate_coco(
    ground_truth: Source | Mapping[str, Any],
    results: Source | Sequence[Mapping[str, Any]],
    iou_type: IouType,
    backend: Backend = "hotcoco",
    image_ids: Collection[Any] | None = None,
    max_dets: Sequence[int] | None = None,
) -> CocoAP:
    """COCO AP of `results` (a file or a list in COCO's result format) on `ground_truth` (a file or a dictionary).

    Both backends give pycocotools' numbers; where those depend on how things are numbered, `coco_input` says what is
    done instead. `image_ids` restricts the evaluation to these images. As in Detectron2, and unlike in pycocotools,
    AP counts the last of `max_dets`, whichever that is.
    """
    limits = _checked(iou_type, backend, max_dets)
    data = read_coco_input(ground_truth, results, iou_type, image_ids)
    precision, recall = BACKENDS[backend](data, list(limits))
    numbers = {n.name: _value(n, precision, recall, iou_type) for n in _numbers(iou_type, limits)}
    per_category = {c["name"]: _mean(precision[:, :, k, 0, -1]) for k, c in enumerate(data.categories)}
    return CocoAP(iou_type, limits, numbers, per_category, _undefined(numbers, per_category, data, limits))


def _checked(iou_type: str, backend: str, max_dets: Sequence[int] | None) -> tuple[int, ...]:
    if iou_type not in MAX_DETS:
        raise ConfigError(f"iou_type is {iou_type!r}, expected one of {', '.join(MAX_DETS)}")
    if backend not in BACKENDS:
        raise ConfigError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
    usual = MAX_DETS[iou_type]
    limits = usual if max_dets is None else tuple(int(m) for m in max_dets)
    if len(limits) != len(usual) or min(limits) < 1 or list(limits) != sorted(set(limits)):
        raise ConfigError(f"max_dets must be {len(usual)} rising counts, as {usual} is, got {limits}")
    return limits


def _numbers(iou_type: str, max_dets: tuple[int, ...]) -> list[_Number]:
    """COCO's numbers, in the order of its summary."""
    precisions = _by_thresh("AP") + _by_size("AP", _AREAS[iou_type])
    if iou_type == "keypoints":
        return precisions + _by_thresh("AR") + _by_size("AR", _AREAS[iou_type])
    by_limit = [_Number(f"AR{limit}", max_dets_index=i) for i, limit in enumerate(max_dets)]
    return precisions + by_limit + _by_size("AR", _AREAS[iou_type])


def _by_thresh(name: str) -> list[_Number]:
    return [_Number(name), _Number(f"{name}50", iou_thresh=0.5), _Number(f"{name}75", iou_thresh=0.75)]


def _by_size(name: str, areas: Sequence[str]) -> list[_Number]:
    return [_Number(name + area[0], area) for area in areas if area != "all"]


def _value(number: _Number, precision: FloatArray, recall: FloatArray, iou_type: str) -> float:
    return _mean(number.select(recall if number.is_recall else precision, _AREAS[iou_type]))


def _mean(values: FloatArray) -> float:
    """The mean of what is defined; the programs write -1 for a category without truth."""
    defined = values[values > -1]
    return float(np.mean(defined)) if defined.size else math.nan


def _undefined(
    numbers: Mapping[str, float], per_category: Mapping[str, float], data: CocoInput, max_dets: tuple[int, ...]
) -> dict[str, str]:
    """Name -> reason, for every NaN; a number is undefined exactly when there is nothing to be found."""
    sizes = {n.name: "" if n.area == "all" else f"{n.area} " for n in _numbers(data.iou_type, max_dets)}
    ignored = {t["category_id"] for t in data.ignored}
    reasons = {n: _absent(f"{sizes[n]}object", bool(ignored), data) for n in numbers if math.isnan(numbers[n])}
    for category in data.categories:
        name = category["name"]
        if math.isnan(per_category[name]):
            reasons[f"AP-{name}"] = _absent(repr(name), category["id"] in ignored, data)
    return reasons


def _absent(what: str, some_ignored: bool, data: CocoInput) -> str:
    which = "crowds and objects without keypoints" if data.iou_type == "keypoints" else "crowds"
    return f"no {what} in the ground truth" + (f" ({which} do not count)" if some_ignored else "")
