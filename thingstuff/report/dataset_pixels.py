"""How many pixels of a split are of which stuff: from the JSON of a panoptic truth, or from all label maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.truth import Record, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.report.dataset_columns import segments_of
from thingstuff.structures.png import MOST_PX


@dataclass(frozen=True)
class StuffPixels:
    """One class: its share of the pixels that are known, and in how many images it is."""

    share: float
    images: int


@dataclass(frozen=True)
class Pixels:
    """All maps of a split. `by_category` has stuff only; shares are of the pixels that are not void.

    `things_share` may be a thing's; `void_share` is of all pixels. `total_px` are all pixels of `images` images.
    """

    images: int
    total_px: int
    void_share: float
    things_share: float
    by_category: Mapping[Any, StuffPixels]

    def of(self, category_id: Any) -> StuffPixels | None:
        return self.by_category.get(category_id) if isinstance(category_id, int | str) else None


def count_pixels(name: str, truth: SplitTruth, with_maps: bool) -> tuple[Pixels | None, list[str]]:
    """None where nothing is known of stuff; and notes on what could not be counted."""
    stuff_ids = [
        c.get("id") for c in truth.categories if not c.get("isthing", 1) and isinstance(c.get("id"), int | str)
    ]
    if truth.panoptic is not None:
        return _of_segments(truth, stuff_ids), []
    if truth.stuff is None or not with_maps:
        return None, []
    return _of_maps(name, truth.stuff, truth, stuff_ids)


def _of_segments(truth: SplitTruth, stuff_ids: list[Any]) -> Pixels | None:
    """By the areas that the segments state; what is no segment's is void."""
    sizes = {i.get("id"): _size_px(i) for i in truth.images if isinstance(i.get("id"), int | str)}
    notes = truth.panoptic.annotations if truth.panoptic is not None else []
    described = {n.get("image_id") for n in notes if isinstance(n.get("image_id"), int | str)}
    counts: Counter[Any] = Counter()
    images: Counter[Any] = Counter()
    seen = set()
    for segment in segments_of(truth):
        image_id, category_id, area = segment["image_id"], segment.get("category_id"), segment.get("area")
        is_known = isinstance(image_id, int | str) and isinstance(category_id, int | str) and image_id in sizes
        if is_known and isinstance(area, int | float) and 0 < area <= MOST_PX:
            counts[category_id] += int(area)
            if (image_id, category_id) not in seen:
                seen.add((image_id, category_id))
                images[category_id] += 1
    total = sum(px for image_id, px in sizes.items() if image_id in described)
    return _pixels(counts, images, stuff_ids, len(described & sizes.keys()), max(total, counts.total()))


def _size_px(image: Record) -> int:
    sides = [side for key in ("height", "width") if isinstance(side := image.get(key), int) and 0 < side <= MOST_PX]
    return sides[0] * sides[1] if len(sides) == 2 else 0


def _of_maps(name: str, stuff: StuffFiles, truth: SplitTruth, stuff_ids: list[Any]) -> tuple[Pixels | None, list[str]]:
    counts: Counter[Any] = Counter()
    images: Counter[Any] = Counter()
    total_px = unknown_px = 0
    unreadable = []
    ids = [image.get("id") for image in truth.images]
    wanted = [own for own in ids if isinstance(own, int | str) and own in stuff.paths]
    for image_id in watched(wanted, f"label maps of {name}"):
        try:
            by_label = _label_counts(stuff.read(image_id))
        except DataError as error:
            unreadable.append(str(error))
            continue
        found = _by_meaning(by_label, stuff)
        counts.update(found)
        images.update(found.keys())
        total_px += sum(by_label.values())
        unknown_px += sum(px for v, px in by_label.items() if v not in stuff.label_ids and v not in stuff.void_labels)
    notes = [f"{len(unreadable)} label maps cannot be read: {unreadable[0]}"] if unreadable else []
    if unknown_px:
        notes.append(f"{unknown_px} pixels of the label maps have labels that are no class's, and count as void")
    return _pixels(counts, images, stuff_ids, len(wanted) - len(unreadable), total_px), notes


def _label_counts(labels: NDArray[Any]) -> dict[int, int]:
    if labels.dtype.itemsize <= 2:
        counts = np.bincount(labels.reshape(-1))
        values = np.flatnonzero(counts)
        return dict(zip(values.tolist(), counts[values].tolist(), strict=True))
    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _by_meaning(by_label: Mapping[int, int], stuff: StuffFiles) -> Counter[Any]:
    """Pixels by category id, None for things; without what is void."""
    found: Counter[Any] = Counter()
    for label, px in by_label.items():
        if label in stuff.label_ids and label not in stuff.void_labels:
            found[stuff.label_ids[label]] += px
    return found


def _pixels(
    counts: Counter[Any], images: Counter[Any], stuff_ids: list[Any], image_count: int, total_px: int
) -> Pixels | None:
    if not total_px:
        return None
    known = counts.total()
    shares = {own: StuffPixels(counts[own] / known if known else 0.0, images[own]) for own in stuff_ids}
    things = sum(px for own, px in counts.items() if own not in shares)
    return Pixels(image_count, total_px, 1 - known / total_px, things / known if known else 0.0, shares)
