"""What a merge rule is handed: one image's instances and stuff, checked once so that no rule has to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures import Categories, Detections, MaskCrops, check_stuff_map
from thingstuff.structures.arrays import expect_array


@dataclass(frozen=True, eq=False)
class MergeInputs:
    """N instances with masks, of thing categories, and the H x W uint16 stuff map of the same image."""

    masks: MaskCrops
    scores: NDArray[np.float32]  # N, finite
    category_ids: NDArray[np.int64]  # N data set ids
    stuff_map: NDArray[np.uint16]
    categories: Categories


def check_inputs(detections: Detections, stuff_map: NDArray[np.uint16], categories: Categories) -> MergeInputs:
    """Refuse instances without masks or of no thing category, and a stuff map of other categories or another size."""
    masks = _masks(detections)
    expect_array("stuff map", stuff_map, np.uint16, (masks.height, masks.width))
    # the full check is needed, and costs as much as placing twenty instances, only where there is void
    if stuff_map.max(initial=0) > len(categories.stuff):
        check_stuff_map(stuff_map, categories)
    _check_things(detections.category_ids, categories)
    return MergeInputs(masks, detections.scores, detections.category_ids, stuff_map, categories)


def _masks(detections: Detections) -> MaskCrops:
    if detections.masks is not None:
        return detections.masks
    if len(detections):
        raise DataError(f"detections: expected masks, which a merge needs, got {len(detections)} boxes without")
    return MaskCrops((), np.zeros((0, 4), np.int32), detections.height, detections.width)


def _check_things(category_ids: NDArray[np.int64], categories: Categories) -> None:
    if {category.id for category in categories.things}.issuperset(category_ids.tolist()):
        return
    try:
        categories.thing_indices(category_ids)
    except DataError as error:
        raise DataError(f"detections: {error}") from error
