"""The panoptic map of an image on which instances of another were pasted: still one owner a pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.augment.sample import Sample
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops, PanopticMap, Segment
from thingstuff.structures.panoptic_map import VOID_ID
from thingstuff.structures.runs import label_extents


def paste_panoptic(
    target: Sample, source: Sample, stays: NDArray[np.bool_], rows: NDArray[np.int64], pasted: MaskCrops
) -> PanopticMap | None:
    """The target's segments as far as they are still seen, then one for each of the source's `rows`; None without one.

    A thing whose row of `stays` is False leaves void behind. Areas and boxes are measured again.
    """
    if target.panoptic is None:
        return None
    if source.panoptic is None:
        raise DataError("sample: expected a panoptic map of the image to paste from, as the other one has")
    things = [segment.id for segment in target.panoptic.segments if segment.isthing]
    gone = np.array(things, np.int64)[~stays]
    ids = np.where(np.isin(target.panoptic.ids, gone), np.uint32(VOID_ID), target.panoptic.ids)
    new_ids = np.arange(len(pasted)) + 1 + max((segment.id for segment in target.panoptic.segments), default=0)
    for new_id, (crop, (x0, y0, x1, y1)) in zip(new_ids.tolist(), pasted, strict=True):
        ids[y0:y1, x0:x1][crop.view(bool)] = new_id
    classes = source.category_ids[rows].tolist()
    new = [Segment(n, c, True, 0, (0, 0, 0, 0)) for n, c in zip(new_ids.tolist(), classes, strict=True)]
    return measured_map(ids, [*target.panoptic.segments, *new])


def measured_map(ids: NDArray[np.uint32], segments: list[Segment]) -> PanopticMap:
    """Those of the segments that have pixels, with the areas and boxes of these; an id of no segment becomes void."""
    values, areas, boxes = (column.tolist() for column in label_extents(ids))
    found = {value: (area, tuple(box)) for value, area, box in zip(values, areas, boxes, strict=True)}
    seen = [replace(s, area=found[s.id][0], bbox=found[s.id][1]) for s in segments if s.id in found]
    known = np.isin(ids, np.array([segment.id for segment in seen], np.int64))
    return PanopticMap(np.where(known, ids, np.uint32(VOID_ID)), tuple(seen))
