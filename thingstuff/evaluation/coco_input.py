"""COCO ground truth and results, checked and renumbered: what a program that computes COCO AP is fed.

Image, category and annotation ids become 1, 2, ... in sorted order, so that an id is only a name: pycocotools counts a
match with annotation 0 as a miss, hotcoco refuses negative and textual ids, and both count a repeated id wrongly.
Only the fields that the metric reads are kept, and nothing that was handed in is modified.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thingstuff.errors import DataError
from thingstuff.evaluation.coco_fields import Record
from thingstuff.evaluation.coco_ids import CocoIds, listed
from thingstuff.evaluation.coco_records import Reading, read_results, read_truths
from thingstuff.evaluation.json_file import read_json
from thingstuff.evaluation.skips import Skips

__all__ = ["CocoInput", "Record", "Source", "read_coco_input"]

Source = str | os.PathLike[str]


@dataclass(frozen=True)
class CocoInput:
    """Ids are contiguous from 1. `categories` carry names; `truths` and `results` are annotations of kept images."""

    iou_type: str
    images: list[Record]
    categories: list[Record]
    truths: list[Record]
    results: list[Record]

    @property
    def ground_truth(self) -> Record:
        """One dictionary in COCO's format."""
        return {"images": self.images, "categories": self.categories, "annotations": self.truths}

    @property
    def ignored(self) -> list[Record]:
        """The truth that a detection may match without gain or loss."""
        return [t for t in self.truths if t["iscrowd"] or t.get("num_keypoints") == 0]


def read_coco_input(
    ground_truth: Source | Mapping[str, Any],
    results: Source | Sequence[Mapping[str, Any]],
    iou_type: str,
    image_ids: Collection[Any] | None = None,
    skips: Skips | None = None,
) -> CocoInput:
    """Read, check and renumber. Truth of an image or category that is not listed is left out, as in pycocotools.

    As Detectron2 does, results for `segm` lose their `bbox`: with it, COCO would take the box's area for the mask's.

    A record that cannot count is an error that names it. With `skips` it is noted there and left out: a detection of an
    unknown image or category, without a usable score, with a mask of another size than its image or malformed
    otherwise, and a malformed annotation. A file that is empty, cut or of another form, and repeated ids, stay errors:
    which of the numbers would be meant is not to be guessed.
    """
    truth_name, truth = _load(ground_truth, "ground truth")
    results_name, found = _load(results, "results")
    ids = CocoIds.read(truth, truth_name)
    truths = read_truths(listed(truth, "annotations", truth_name), Reading(truth_name, iou_type, ids, skips))
    converted = read_results(found, Reading(results_name, iou_type, ids, skips))
    kept = set(ids.images.values()) if image_ids is None else _kept(image_ids, ids.images)
    return CocoInput(
        iou_type=iou_type,
        images=[_image(position, ids.sizes[i]) for i, position in ids.images.items() if position in kept],
        categories=[{"id": position, "name": ids.names[i]} for i, position in ids.categories.items()],
        truths=truths if image_ids is None else [t for t in truths if t["image_id"] in kept],
        results=converted if image_ids is None else [r for r in converted if r["image_id"] in kept],
    )


def _load(source: Any, what: str) -> tuple[str, Any]:
    """What messages call it, and the content."""
    return (str(source), read_json(source)) if isinstance(source, str | os.PathLike) else (what, source)


def _kept(image_ids: Collection[Any], known: Mapping[Any, int]) -> set[int]:
    unknown = [i for i in image_ids if i not in known]
    if unknown:
        raise DataError(f"image_ids: {unknown[0]!r} is no image of the ground truth")
    return {known[i] for i in image_ids}


def _image(position: int, size: list[int] | None) -> Record:
    return {"id": position} if size is None else {"id": position, "height": size[0], "width": size[1]}
