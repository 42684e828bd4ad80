"""COCO ground truth and results, checked and renumbered: what a program that computes COCO AP is fed.

Image, category and annotation ids become 1, 2, ... in sorted order, so that an id is only a name: pycocotools counts a
match with annotation 0 as a miss, hotcoco refuses negative and textual ids, and both count a repeated id wrongly.
Only the fields that the metric reads are kept, and nothing that was handed in is modified.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from thingstuff.errors import DataError
from thingstuff.evaluation.coco_fields import Record
from thingstuff.evaluation.coco_ids import CocoIds, listed
from thingstuff.evaluation.coco_records import OwnResults, Reading, read_results, read_truths
from thingstuff.evaluation.json_file import JsonFile
from thingstuff.evaluation.skips import Skips

__all__ = ["CocoInput", "CocoTruth", "GroundTruth", "OwnResults", "Record", "Results", "Source", "read_coco_input"]

Source = str | os.PathLike[str] | JsonFile


@dataclass(frozen=True)
class CocoInput:
    """Ids are contiguous from 1. `categories` carry names; `truths` and `results` are annotations of kept images.

    `unlisted` is how many annotations of the whole ground truth were left out silently, because their image or category
    is not listed there; pycocotools leaves them out too.
    """

    iou_type: str
    images: list[Record]
    categories: list[Record]
    truths: list[Record]
    results: list[Record]
    unlisted: int = 0

    @property
    def ground_truth(self) -> Record:
        """One dictionary in COCO's format."""
        return {"images": self.images, "categories": self.categories, "annotations": self.truths}

    @property
    def ignored(self) -> list[Record]:
        """The truth that a detection may match without gain or loss."""
        return [t for t in self.truths if t["iscrowd"] or t.get("num_keypoints") == 0]


@dataclass(frozen=True)
class CocoTruth:
    """A ground truth that is read and checked already: for one that serves several evaluations.

    `unlisted` is as in `CocoInput`.
    """

    iou_type: str
    ids: CocoIds
    truths: list[Record]
    unlisted: int = 0

    @classmethod
    def read(cls, source: Source | Mapping[str, Any], iou_type: str, skips: Skips | None = None) -> CocoTruth:
        file = JsonFile.of(source, "ground truth")
        with _collection_paused():
            ids = CocoIds.read(file.content, file.name)
            annotations = listed(file.content, "annotations", file.name)
            truths, unlisted = read_truths(annotations, Reading(file.name, iou_type, ids, skips))
        return cls(iou_type, ids, truths, unlisted)

    def with_filled_polygons(self) -> CocoTruth:
        """Polygons as RLE, the same that every evaluation would make of them."""
        from hotcoco import mask

        sizes = {position: self.ids.sizes[i] for i, position in self.ids.images.items()}

        def filled(truth: Record) -> Record:
            polygons, size = truth.get("segmentation"), sizes[truth["image_id"]]
            if not isinstance(polygons, list) or size is None:
                return truth
            rle = mask.merge(mask.frPyObjects(polygons, *size))
            return truth | {"segmentation": {"size": size, "counts": rle["counts"]}}

        return replace(self, truths=[filled(truth) for truth in self.truths])


GroundTruth = Source | Mapping[str, Any] | CocoTruth
Results = Source | Sequence[Mapping[str, Any]] | OwnResults


def read_coco_input(
    ground_truth: GroundTruth,
    results: Results,
    iou_type: str,
    image_ids: Collection[Any] | None = None,
    skips: Skips | None = None,
) -> CocoInput:
    """Read, check and renumber. Truth of an image or category that is not listed is left out, as in pycocotools; how
    many annotations that were is said by `unlisted`.

    As Detectron2 does, results for `segm` lose their `bbox`: with it, COCO would take the box's area for the mask's.

    A record that cannot count is an error that names it. With `skips` it is noted there and left out: a detection of an
    unknown image or category, without a usable score, with a mask of another size than its image or malformed
    otherwise, and a malformed annotation. A file that is empty, cut or of another form, and repeated ids, stay errors:
    which of the numbers would be meant is not to be guessed.
    """
    truth = ground_truth if isinstance(ground_truth, CocoTruth) else CocoTruth.read(ground_truth, iou_type, skips)
    if truth.iou_type != iou_type:
        raise ValueError(f"the ground truth was read for {truth.iou_type}, not for {iou_type}")
    found = JsonFile.of(results, "results")
    with _collection_paused():
        converted = read_results(found.content, Reading(found.name, iou_type, truth.ids, skips))
    kept = set(truth.ids.images.values()) if image_ids is None else _kept(image_ids, truth.ids.images)
    return CocoInput(
        iou_type=iou_type,
        images=[_image(position, truth.ids.sizes[i]) for i, position in truth.ids.images.items() if position in kept],
        categories=[{"id": position, "name": truth.ids.names[i]} for i, position in truth.ids.categories.items()],
        truths=truth.truths if image_ids is None else [t for t in truth.truths if t["image_id"] in kept],
        results=converted if image_ids is None else [r for r in converted if r["image_id"] in kept],
        unlisted=truth.unlisted,
    )


@contextmanager
def _collection_paused() -> Iterator[None]:
    """While hundreds of thousands of records are made, of which none is garbage, looking for it takes half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _kept(image_ids: Collection[Any], known: Mapping[Any, int]) -> set[int]:
    unknown = [i for i in image_ids if i not in known]
    if unknown:
        raise DataError(f"image_ids: {unknown[0]!r} is no image of the ground truth")
    return {known[i] for i in image_ids}


def _image(position: int, size: list[int] | None) -> Record:
    return {"id": position} if size is None else {"id": position, "height": size[0], "width": size[1]}
