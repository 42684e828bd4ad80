"""The instances and the stuff map of one image -> its panoptic map, in which every pixel has one owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures import VOID, Categories, MaskCrops, PanopticMap, Segment
from thingstuff.structures.runs import label_extents

Policy = Literal["fail", "area", "order"]


@dataclass(frozen=True)
class Layers:
    """N instances, in the order of their records, and a stuff map (H x W uint16, see `structures.stuff_map`) or None.

    `places` name the records in messages. `maps_know_things`: whoever drew the stuff map could say "a thing is here".
    """

    masks: MaskCrops
    category_ids: Sequence[int]
    is_crowd: NDArray[np.bool_]
    places: Sequence[str]
    stuff_map: NDArray[np.uint16] | None = None
    maps_know_things: bool = False


@dataclass(frozen=True)
class Painted:
    """`shared_px` counts pixels that one instance lost to another; `hidden` are the rows that kept no pixel."""

    map: PanopticMap
    shared_px: int
    hidden: tuple[int, ...]


def paint(layers: Layers, categories: Categories, policy: Policy) -> Painted:
    """Crowds at the bottom, then stuff, then the other instances in the order of `policy`; the rest is void.

    Crowds lie above the stuff of maps that know no things, since it would hide every one of them.
    Segments are numbered from 1: the instances that can be seen, then the stuff, both in their own order.
    """
    ids = np.zeros((layers.masks.height, layers.masks.width), np.uint32)  # row + 1, or N + the label of a stuff map
    for row in np.flatnonzero(layers.is_crowd).tolist():
        _lay(ids, layers.masks, row)
    if layers.stuff_map is not None:
        _lay_stuff(ids, layers)
    shared_px = sum(_lay_instance(ids, layers, row, policy) for row in _from_below(layers, policy))
    return _numbered(ids, layers, categories, shared_px)


def _lay(ids: NDArray[np.uint32], masks: MaskCrops, row: int) -> NDArray[np.uint32]:
    """Paint one mask; gives what was under it."""
    x0, y0, x1, y1 = masks.boxes_xyxy[row].tolist()
    region, inside = ids[y0:y1, x0:x1], masks.crops[row].view(bool)
    under = region[inside]
    region[inside] = row + 1
    return under


def _lay_stuff(ids: NDArray[np.uint32], layers: Layers) -> None:
    assert layers.stuff_map is not None
    is_stuff = (layers.stuff_map > 0) & (layers.stuff_map != VOID)
    if not layers.maps_know_things:
        is_stuff &= ids == 0
    ids[is_stuff] = layers.stuff_map[is_stuff] + np.uint32(len(layers.masks))


def _from_below(layers: Layers, policy: Policy) -> list[int]:
    rows = np.flatnonzero(~layers.is_crowd)
    if policy == "area":  # of equal areas the later record stays above
        rows = rows[np.argsort(-layers.masks.areas_px()[rows], kind="stable")]
    return rows.tolist()


def _lay_instance(ids: NDArray[np.uint32], layers: Layers, row: int, policy: Policy) -> int:
    """Paint one instance; gives how many pixels it took from others."""
    times = np.bincount(_lay(ids, layers.masks, row), minlength=len(layers.masks) + 1)
    taken = np.where(layers.is_crowd, 0, times[1 : len(layers.masks) + 1])
    if policy == "fail" and taken.any():
        other = int(taken.argmax())
        raise DataError(
            f"{layers.places[other]} and {layers.places[row]} share {taken[other]} pixels: mend one of the masks, "
            "or choose whose they are with the policy area (the smaller instance's) or order (the later one's)"
        )
    return int(taken.sum())


def _numbered(ids: NDArray[np.uint32], layers: Layers, categories: Categories, shared_px: int) -> Painted:
    used, areas_px, boxes_xywh = label_extents(ids)
    first = int(used.size > 0 and used[0] == 0)
    table = np.zeros(int(used.max(initial=0)) + 1, np.uint32)
    table[used[first:]] = np.arange(1, used.size - first + 1)
    count = len(layers.masks)
    things = [(categories.by_id(i), bool(crowd)) for i, crowd in zip(layers.category_ids, layers.is_crowd, strict=True)]
    owners = [*things, *((c, False) for c in categories.stuff)]
    measured = zip(used[first:].tolist(), areas_px[first:].tolist(), boxes_xywh[first:].tolist(), strict=True)
    segments = tuple(
        Segment(number, owners[one - 1][0].id, one <= count, area, tuple(box), iscrowd=owners[one - 1][1])
        for number, (one, area, box) in enumerate(measured, 1)
    )
    seen = set(used.tolist())
    return Painted(
        PanopticMap.trusted(table[ids], segments), shared_px, tuple(r for r in range(count) if r + 1 not in seen)
    )
