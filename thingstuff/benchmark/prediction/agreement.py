"""Whether two programs found the same in an image: the same records, or masks and boxes that nearly agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Records = Sequence[Mapping[str, Any]]
_COMPARED = ("category_id", "bbox", "score", "segmentation")


@dataclass(frozen=True)
class Agreement:
    """Of all images: how many were found, the fewest and the most; whether all records are identical; and, of the
    detections that match one of the other program's, class by class: masks' IoU, and how far box edges are apart.

    `unmatched` detections of either program have no counterpart. Without matches the numbers are None.
    """

    fewest: int
    most: int
    identical: bool
    unmatched: int
    lowest_iou: float | None
    mean_iou: float | None
    box_px: float | None

    def words(self) -> str:
        if self.identical:
            return "identical"
        if self.mean_iou is None:
            return "nothing matches"
        alone = f", {self.unmatched} unmatched" if self.unmatched else ""
        return f"IoU {self.mean_iou:.4f} (from {self.lowest_iou:.3f}), boxes {self.box_px:.2f} px{alone}"


def agreement(found: Sequence[Records], expected: Sequence[Records]) -> Agreement:
    """Image by image; `expected` are those of the reference."""
    counts = [len(records) for records in found]
    pairs = [_matched(*both) for both in zip(found, expected, strict=True)]
    ious = np.concatenate([ious for ious, _, _ in pairs])
    edges_px = np.concatenate([edges for _, edges, _ in pairs])
    return Agreement(
        fewest=min(counts),
        most=max(counts),
        identical=all(map(_are_identical, found, expected)),
        unmatched=sum(alone for _, _, alone in pairs),
        lowest_iou=float(ious.min()) if ious.size else None,
        mean_iou=float(ious.mean()) if ious.size else None,
        box_px=float(edges_px.max()) if edges_px.size else None,
    )


def _are_identical(found: Records, expected: Records) -> bool:
    """In every field and in their order."""
    return [[r.get(name) for name in _COMPARED] for r in found] == [
        [r.get(name) for name in _COMPARED] for r in expected
    ]


def _matched(found: Records, expected: Records) -> tuple[np.ndarray, np.ndarray, int]:
    """IoUs of masks and the largest distance of box edges of each matched pair, and how many have no partner."""
    ious, edges_px, partners = [], [], _partners(found, expected)
    for one, other in partners:
        ious.append(_iou(found[one], expected[other]))
        edges_px.append(np.abs(_xyxy(found[one]) - _xyxy(expected[other])).max())
    return np.array(ious), np.array(edges_px), len(found) + len(expected) - 2 * len(partners)


def _iou(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Of the masks, or of the boxes where a model gives nothing else."""
    from pycocotools import mask as mask_utils

    if "segmentation" not in one or "segmentation" not in other:
        return _box_iou(_xyxy(one), _xyxy(other))
    return float(mask_utils.iou([one["segmentation"]], [other["segmentation"]], [0])[0, 0])


def _partners(found: Records, expected: Records) -> list[tuple[int, int]]:
    """Each detection, the most certain first, with the box of its class that is left and overlaps most."""
    left, partners = set(range(len(expected))), []
    for one in sorted(range(len(found)), key=lambda n: -found[n]["score"]):
        kin = [n for n in left if expected[n]["category_id"] == found[one]["category_id"]]
        overlaps = {n: _box_iou(_xyxy(found[one]), _xyxy(expected[n])) for n in kin}
        best = max(overlaps, key=overlaps.__getitem__, default=None)
        if best is not None and overlaps[best] > 0:
            left.remove(best)
            partners.append((one, best))
    return partners


def _xyxy(record: Mapping[str, Any]) -> np.ndarray:
    x, y, width, height = record["bbox"]
    return np.array([x, y, x + width, y + height])


def _box_iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.prod(np.maximum(sides, 0))
    together = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared
    return float(shared / together) if together > 0 else 0.0
