"""What a merge costs or gains in stuff: mean IoU of the raw stuff map and of what the panoptic map makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from thingstuff.errors import DataError
from thingstuff.evaluation.bootstrap import BlockMetric, Difference, compare, semantic_iou, semantic_miou
from thingstuff.evaluation.semantic import SemanticCounts, SemanticScores
from thingstuff.structures import VOID, Categories, PanopticMap
from thingstuff.structures.categories import THINGS_NAME


@dataclass(frozen=True, eq=False)
class StuffImage:
    """One image: H x W uint16 stuff map, the map merged from it, and the truth's H x W labels.

    Labels of the truth are those of a stuff map, 0 for things, with an ignore label where nobody knows.
    """

    image_id: int | str
    stuff_map: npt.NDArray[np.uint16] | None
    panoptic: PanopticMap | None
    truth: npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class StuffCost:
    """Counts of each image, with things as class 0, the rest in the order of the stuff categories.

    In the raw map that class is label 0, "a thing may be here", which a model without a thing class never says; in the
    panoptic map it is what instances took. Void in either is missed.
    """

    image_ids: tuple[int | str, ...]
    raw: tuple[SemanticCounts, ...]
    panoptic: tuple[SemanticCounts, ...]
    draws: int = 1000
    seed: int = 0

    @cached_property
    def raw_scores(self) -> SemanticScores:
        return _scores(self.raw)

    @cached_property
    def panoptic_scores(self) -> SemanticScores:
        return _scores(self.panoptic)

    @cached_property
    def interval(self) -> Difference:
        """mIoU of the panoptic map minus that of the raw stuff map on images drawn anew: a loss is below 0."""
        return self._compare(*(semantic_miou(_confusions(counts)) for counts in (self.panoptic, self.raw)))

    @cached_property
    def class_intervals(self) -> Mapping[str, Difference]:
        """Class -> the same of its IoU."""
        maps = (_confusions(self.panoptic), _confusions(self.raw))
        names = self.raw[0].class_names
        return {name: self._compare(*(semantic_iou(each, place) for each in maps)) for place, name in enumerate(names)}

    def _compare(self, metric: BlockMetric, baseline: BlockMetric) -> Difference:
        return compare(metric, baseline, len(self.image_ids), draws=self.draws, seed=self.seed)


def stuff_cost(
    images: Iterable[StuffImage], categories: Categories, ignore_label: int = 255, *, draws: int = 1000, seed: int = 0
) -> StuffCost:
    """`categories` are those of both maps. An image without one of them is refused by name."""
    empty = SemanticCounts.empty((THINGS_NAME, *(category.name for category in categories.stuff)), ignore_label)
    raw: dict[int | str, SemanticCounts] = {}
    panoptic: dict[int | str, SemanticCounts] = {}
    for image in images:
        if image.stuff_map is None or image.panoptic is None:
            lacking = "stuff map" if image.stuff_map is None else "panoptic map"
            raise DataError(f"image {image.image_id!r} has no {lacking}: predict with PANOPTIC.ENABLED True")
        if image.image_id in raw:
            raise DataError(f"image {image.image_id!r} is there twice: give each image once")
        try:
            raw[image.image_id] = _add(empty, image.stuff_map, image.truth)
            panoptic[image.image_id] = _add(empty, image.panoptic.stuff_map(categories), image.truth)
        except DataError as error:
            raise DataError(f"image {image.image_id!r}: {error}") from error
    if not raw:
        raise DataError("there is no image, so nothing was merged")
    return StuffCost(tuple(raw), tuple(raw.values()), tuple(panoptic.values()), draws, seed)


def _add(
    empty: SemanticCounts, stuff_map: npt.NDArray[np.uint16], truth: npt.NDArray[np.integer[Any]]
) -> SemanticCounts:
    return empty.add(np.where(stuff_map == VOID, empty.ignore_label, stuff_map), truth)


def _scores(counts: tuple[SemanticCounts, ...]) -> SemanticScores:
    return sum(counts[1:], counts[0]).scores()


def _confusions(counts: tuple[SemanticCounts, ...]) -> npt.NDArray[np.int64]:
    return np.stack([one.confusion for one in counts])
