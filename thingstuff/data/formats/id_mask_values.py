"""A map of ids -> the instances in it, in one pass for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.structures.rle_string import compress
from thingstuff.structures.runs import label_extents, run_starts

_MOST_IDS = 200_000
_MANY_IDS = 1000
_SHORTEST_RUN_PX = 3  # on average; the colours of a photograph change at nearly every pixel


@dataclass(frozen=True)
class IdInstances:
    """The ids but 0, ascending, and COCO's segmentation (RLE), bbox and area of each."""

    ids: list[int]
    shapes: list[Record]
    size_hw: tuple[int, int]


def instances_of_values(values: NDArray[Any], place: str) -> IdInstances:
    """H x W of any integer type. What has as many values as a photograph is refused."""
    height, width = values.shape
    flat = values.T.reshape(-1)
    starts = run_starts(flat)
    ends, run_ids = np.append(starts[1:], flat.size), flat[starts]
    inside = run_ids != 0
    _refuse_picture(values, run_ids[inside], place)
    ids, areas, boxes = (column.tolist() for column in label_extents(values))
    rles = _rles(starts[inside], ends[inside], run_ids[inside], (height, width))
    shapes = [
        {"segmentation": rle, "bbox": box, "area": area}
        for rle, (box, area) in zip(rles, ((b, a) for i, b, a in zip(ids, boxes, areas, strict=True) if i), strict=True)
    ]
    return IdInstances([i for i in ids if i], shapes, (height, width))


def _rles(
    starts: NDArray[np.int64], ends: NDArray[np.int64], run_ids: NDArray[Any], size_hw: tuple[int, int]
) -> list[Record]:
    """The RLE of each id, ascending, from its runs down the columns."""
    order = np.argsort(run_ids, kind="stable")
    edges = np.stack([starts, ends], axis=1)[order].reshape(-1)
    firsts = 2 * run_starts(run_ids[order])
    pixels = size_hw[0] * size_hw[1]
    rles = []
    for own in np.split(edges, firsts[1:]) if firsts.size else []:
        counts = np.diff(own, prepend=0, append=pixels)
        rles.append({"size": list(size_hw), "counts": compress(counts if counts[-1] else counts[:-1])})
    return rles


def _refuse_picture(values: NDArray[Any], run_ids: NDArray[Any], place: str) -> None:
    count = np.unique(run_ids).size
    if count > _MOST_IDS or (count > _MANY_IDS and _are_short(values) and _are_short(values.T)):
        raise DataError(f"{place}: {count} different values, as in a photograph: expected a mask, a value an instance")


def _are_short(values: NDArray[Any]) -> bool:
    """Whether the runs of instances along the rows are."""
    flat = values.reshape(-1)
    runs = np.count_nonzero(flat[run_starts(flat)])
    return bool(np.count_nonzero(flat) < _SHORTEST_RUN_PX * runs)
