"""What a merge costs in AP: from all instances to what is left of them in the panoptic map, step by step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from thingstuff.errors import ConfigError
from thingstuff.evaluation.ap_bootstrap import coco_ap_metric
from thingstuff.evaluation.ap_matches import SIZES, ApMatches, ap_matches
from thingstuff.evaluation.bootstrap import Difference, compare
from thingstuff.evaluation.coco_ap import MAX_DETS, CocoAP, average_precision
from thingstuff.evaluation.coco_input import CocoInput, CocoTruth, GroundTruth, OwnResults, read_coco_input
from thingstuff.evaluation.merged_instances import MergedImage, MergedInstances

BoolArray = npt.NDArray[np.bool_]

STAGES = ("instances", "confidence", "overlap", "panoptic")
OUTCOMES = ("kept", "eroded", "confidence", "overlap", "covered")  # the greedy rule's, listed even if there are none
TYPES = ("segm", "bbox")


@dataclass(frozen=True)
class MergeCostOptions:
    """`category_ids`: those of the images -> those of the truth, where they differ. `draws` and `seed` of intervals.

    `image_ids` are the images of the truth that count, by default all of them.
    """

    category_ids: Mapping[int, int] = field(default_factory=dict)
    image_ids: Collection[int | str] | None = None
    draws: int = 1000
    seed: int = 0


_AS_THEY_ARE = MergeCostOptions()


@dataclass(frozen=True, eq=False)
class Stage:
    """AP of one stage's detections, how many they are, and the matches that draw it again, of objects of each size."""

    ap: CocoAP
    matches: ApMatches
    detections: int
    matches_by_size: Mapping[str, ApMatches] = field(default_factory=dict)

    @classmethod
    def of(cls, data: CocoInput, sizes: Sequence[str] = ()) -> Stage:
        by_size = {size: ap_matches(data, size=size) for size in sizes}
        return cls(average_precision(data), ap_matches(data), len(data.results), by_size)


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Instances that met one fate. `true`: among all instances, they find an object (IoU 0.5).

    `lost`: of the true ones, those that find none in the panoptic map, because they are gone or too little is left.
    """

    instances: int
    true: int
    lost: int


@dataclass(frozen=True, eq=False)
class MergeCost:
    """Each of `STAGES`, and each outcome's instances: "kept", "eroded", or the reason for which they were dropped.

    - `instances`: all detections.
    - `confidence`: without those that the rule dropped because of their score.
    - `overlap`: without any that it dropped: too much taken, nothing left, an empty mask, or another rule's reason.
    - `panoptic`: the same instances with the pixels, and the scores, that they have in the map. For boxes these are
      the tight ones, where the model's own may be larger or smaller.

    `lost` names the true instances that `OutcomeCount.lost` counts: image id -> their places in its detections.
    """

    iou_type: str
    stages: Mapping[str, Stage]
    outcomes: Mapping[str, OutcomeCount]
    options: MergeCostOptions
    lost: Mapping[int | str, tuple[int, ...]] = field(default_factory=dict)

    def cost(self, stage: str, number: str = "AP") -> float:
        """One of COCO's numbers, a fraction, minus that of the stage before: a loss is below 0, the first has 0."""
        return self._number(stage, number) - self._number(_before(stage), number)

    def whole_cost(self, number: str = "AP") -> float:
        """Panoptic minus instances, which is the sum of the stages' costs."""
        return self._number(STAGES[-1], number) - self._number(STAGES[0], number)

    @cached_property
    def intervals(self) -> Mapping[str, Difference]:
        """Stage, but the first -> its cost in AP on images drawn anew, the same ones for both; "whole" for all."""
        pairs = {stage: (stage, _before(stage)) for stage in STAGES[1:]}
        return {name: self.compare(*pair) for name, pair in (pairs | {"whole": (STAGES[-1], STAGES[0])}).items()}

    @cached_property
    def category_intervals(self) -> Mapping[str, Difference]:
        """Category -> what the whole merge costs in its AP."""
        names = self.stages[STAGES[0]].matches.categories
        return {name: self.compare(STAGES[-1], STAGES[0], name) for name in names}

    @cached_property
    def size_intervals(self) -> Mapping[str, Difference]:
        """ "small", "medium", "large" -> what the whole merge costs in the AP of such objects."""
        before, after = (self.stages[stage].matches_by_size for stage in (STAGES[0], STAGES[-1]))
        return {size: self._compare(after[size], before[size]) for size in before}

    def compare(self, stage: str, baseline: str, category: str | None = None) -> Difference:
        """AP (of one category if it is named) of a stage minus that of another, with 95 % bounds."""
        return self._compare(*(_of_category(self.stages[name].matches, category) for name in (stage, baseline)))

    def _compare(self, one: ApMatches, other: ApMatches) -> Difference:
        metrics = (coco_ap_metric(one), coco_ap_metric(other))
        return compare(*metrics, one.images, draws=self.options.draws, seed=self.options.seed)

    def _number(self, stage: str, number: str) -> float:
        return self.stages[stage].ap.numbers[number]


def merge_cost(
    images: Iterable[MergedImage],
    truth: GroundTruth,
    iou_type: Literal["segm", "bbox"] = "segm",
    options: MergeCostOptions = _AS_THEY_ARE,
) -> MergeCost:
    """AP by stages of the merge. Images of the truth that are not among `images` count as missed in every stage.

    An image without a panoptic map, detections or a ledger, or whose three do not belong together, is refused by name.
    AP is COCO's, of the 100 best detections of an image and category.
    """
    if iou_type not in TYPES:
        raise ConfigError(f"iou_type is {iou_type!r}, expected one of {', '.join(TYPES)}: a map has no others")
    merged = MergedInstances.of(images, options.category_ids)
    truth = _read_once(truth, iou_type)
    instances = read_coco_input(truth, merged.detections, iou_type, options.image_ids)
    things = read_coco_input(truth, OwnResults(merged.things), iou_type, options.image_ids)
    chosen = {
        "instances": instances,
        "confidence": _only(instances, merged.outcomes != "confidence"),
        "overlap": _only(instances, merged.thing_of >= 0),
        "panoptic": things,
    }
    ends = (STAGES[0], STAGES[-1])
    stages = {name: Stage.of(data, SIZES[1:] if name in ends else ()) for name, data in chosen.items()}
    true = _true_positives(instances, stages["instances"].matches)
    true_after = np.append(_true_positives(things, stages["panoptic"].matches), False)  # -1, no thing, picks the last
    lost = true & ~true_after[merged.thing_of]
    return MergeCost(iou_type, stages, _count(merged.outcomes, true, lost), options, _by_image(merged, lost))


def _read_once(truth: GroundTruth, iou_type: str) -> CocoTruth:
    if isinstance(truth, CocoTruth):
        return truth
    read = CocoTruth.read(truth, iou_type)
    return read.with_filled_polygons() if iou_type == "segm" else read


def _only(data: CocoInput, chosen: BoolArray) -> CocoInput:
    return replace(data, results=[result for result, is_chosen in zip(data.results, chosen, strict=True) if is_chosen])


def _true_positives(data: CocoInput, matches: ApMatches) -> BoolArray:
    """N: which results find an object at IoU 0.5, by the data's own `matches`, where they stand by rank."""
    image, category = (np.array([r[key] for r in data.results], np.int64) for key in ("image_id", "category_id"))
    score = np.array([r["score"] for r in data.results], np.float64)
    true = np.zeros(len(data.results), np.bool_)
    for number, found in enumerate(matches.categories.values(), 1):
        own = np.flatnonzero(category == number)
        own = own[np.lexsort((-score[own], image[own]))]
        own = own[np.arange(own.size) - np.searchsorted(image[own], image[own]) < MAX_DETS[data.iou_type][-1]]
        true[own[np.argsort(-score[own], kind="stable")]] = found.tp[0]
    return true


def _count(outcomes: npt.NDArray[np.object_], true: BoolArray, lost: BoolArray) -> dict[str, OutcomeCount]:
    """The rule's own reasons come last."""
    names = [*OUTCOMES, *sorted(set(outcomes) - set(OUTCOMES))]
    chosen = {name: outcomes == name for name in names}
    return {
        name: OutcomeCount(int(own.sum()), int((own & true).sum()), int((own & lost).sum()))
        for name, own in chosen.items()
    }


def _by_image(merged: MergedInstances, chosen: BoolArray) -> dict[int | str, tuple[int, ...]]:
    places: dict[int | str, list[int]] = {}
    for number in np.flatnonzero(chosen).tolist():
        places.setdefault(merged.detections[number]["image_id"], []).append(int(merged.places[number]))
    return {image_id: tuple(own) for image_id, own in places.items()}


def _before(stage: str) -> str:
    return STAGES[max(STAGES.index(stage) - 1, 0)]


def _of_category(matches: ApMatches, category: str | None) -> ApMatches:
    if category is None:
        return matches
    if category not in matches.categories:
        raise ConfigError(f"no category {category!r}, expected one of {', '.join(matches.categories)}")
    return ApMatches(matches.images, {category: matches.categories[category]})
