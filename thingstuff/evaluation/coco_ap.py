"""COCO average precision of boxes, masks and keypoints: the official numbers, and why one of them is missing."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from thingstuff.errors import ConfigError
from thingstuff.evaluation.ap_curves import SAME_IOU, PrecisionRecall
from thingstuff.evaluation.coco_backends import BACKENDS, COCO_IOU_THRESHS, Accumulated, FloatArray
from thingstuff.evaluation.coco_input import CocoInput, GroundTruth, Results, read_coco_input
from thingstuff.evaluation.skips import Skips

IouType = Literal["bbox", "segm", "keypoints"]
Backend = Literal["hotcoco", "pycocotools"]

MAX_DETS: Mapping[str, tuple[int, ...]] = {"bbox": (1, 10, 100), "segm": (1, 10, 100), "keypoints": (20,)}
_AREAS = {  # in the order in which both programs count them
    "bbox": ("all", "small", "medium", "large"),
    "segm": ("all", "small", "medium", "large"),
    "keypoints": ("all", "medium", "large"),
}


@dataclass(frozen=True)
class CocoOptions:
    """How to evaluate; left alone, as COCO does.

    `image_ids` restricts the evaluation to these images. As in Detectron2, and unlike in pycocotools, AP counts the
    last of `max_dets`, whichever that is. `iou_threshs`, above 0 and at most 1, are counted beside COCO's 0.50:0.95 and
    change none of COCO's numbers. With `skips`, records that cannot count are noted there and left out.
    """

    backend: Backend = "hotcoco"
    image_ids: Collection[Any] | None = None
    max_dets: Sequence[int] | None = None
    iou_threshs: Sequence[float] = ()
    skips: Skips | None = None

    def __post_init__(self) -> None:
        wrong = [iou for iou in self.iou_threshs if not 0 < iou <= 1]
        if wrong:
            raise ConfigError(f"iou_threshs: {wrong[0]!r} is no IoU threshold: it must be above 0 and at most 1")

    def limits(self, iou_type: str) -> tuple[int, ...]:
        """`max_dets`, or COCO's where they are not said."""
        if iou_type not in MAX_DETS:
            raise ConfigError(f"iou_type is {iou_type!r}, expected one of {', '.join(MAX_DETS)}")
        if self.backend not in BACKENDS:
            raise ConfigError(f"backend is {self.backend!r}, expected one of {', '.join(BACKENDS)}")
        usual = MAX_DETS[iou_type]
        limits = usual if self.max_dets is None else tuple(int(m) for m in self.max_dets)
        if len(limits) != len(usual) or min(limits) < 1 or list(limits) != sorted(set(limits)):
            raise ConfigError(f"max_dets must be {len(usual)} rising counts, as {usual} is, got {limits}")
        return limits


_AS_COCO = CocoOptions()


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
        threshs = slice(None) if self.iou_thresh is None else self.iou_thresh == COCO_IOU_THRESHS
        return values[threshs][..., areas.index(self.area), self.max_dets_index]


@dataclass(frozen=True)
class CocoAP:
    """COCO's numbers as fractions under COCO's names; an undefined one is NaN and `undefined` says why.

    12 numbers for boxes and masks (AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl), 10 for keypoints
    (AP, AP50, AP75, APm, APl and the same of AR). `per_category` holds each category's AP by name, `at_iou` AP at each
    of `CocoOptions.iou_threshs`. Where pycocotools says -1 this says NaN, which no mean takes for a number.
    """

    iou_type: str
    max_dets: tuple[int, ...]
    numbers: Mapping[str, float]
    per_category: Mapping[str, float]
    undefined: Mapping[str, str]
    at_iou: Mapping[float, float]
    curves: PrecisionRecall = field(compare=False, repr=False)

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
    ground_truth: GroundTruth,
    results: Results,
    iou_type: IouType,
    options: CocoOptions = _AS_COCO,
) -> CocoAP:
    """COCO AP of `results` (a file or a list in COCO's result format) on `ground_truth` (a file or a dictionary).

    A ground truth that serves often is best read once, as `CocoTruth`.

    Both backends give pycocotools' numbers; where those depend on how things are numbered, `coco_input` says what is
    done instead.
    """
    options.limits(iou_type)
    data = read_coco_input(ground_truth, results, iou_type, options.image_ids, skips=options.skips)
    return average_precision(data, options)


def average_precision(data: CocoInput, options: CocoOptions = _AS_COCO) -> CocoAP:
    """As `evaluate_coco`, of what is read already; `image_ids` and `skips` were matters of the reading."""
    limits = options.limits(data.iou_type)
    counted = BACKENDS[options.backend](data, list(limits), all_threshs(options.iou_threshs))
    return summarize(data, counted, limits, options.iou_threshs)


def summarize(
    data: CocoInput, counted: Accumulated, max_dets: tuple[int, ...], iou_threshs: Sequence[float] = ()
) -> CocoAP:
    """COCO's numbers of precisions and recalls, whoever counted them, at COCO's thresholds and `iou_threshs`."""
    coco = np.isin(counted.iou_threshs, COCO_IOU_THRESHS)
    precision, recall = counted.precision[coco], counted.recall[coco]
    numbers = {n.name: _value(n, precision, recall, data.iou_type) for n in _numbers(data.iou_type, max_dets)}
    per_category = {c["name"]: mean_of_defined(precision[:, :, k, 0, -1]) for k, c in enumerate(data.categories)}
    curves = PrecisionRecall.of(counted, tuple(per_category))
    at_iou = {iou: mean_of_defined(counted.precision[curves.row(iou), :, :, 0, -1]) for iou in iou_threshs}
    undefined = _undefined(numbers, per_category, data, max_dets)
    return CocoAP(data.iou_type, max_dets, numbers, per_category, undefined, at_iou, curves)


def all_threshs(extra: Sequence[float]) -> FloatArray:
    """COCO's thresholds and those of `extra` that are not among them, ascending."""
    new = [iou for iou in extra if np.abs(COCO_IOU_THRESHS - iou).min() >= SAME_IOU]
    return np.unique([*COCO_IOU_THRESHS, *new])


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
    return mean_of_defined(number.select(recall if number.is_recall else precision, _AREAS[iou_type]))


def mean_of_defined(values: FloatArray) -> float:
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
