"""Boundary AP: COCO mask AP where a match must also agree along the outline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thingstuff.errors import ConfigError, DataError, SetupError
from thingstuff.evaluation.coco_ap import MAX_DETS, CocoAP, CocoOptions, all_threshs, summarize
from thingstuff.evaluation.coco_backends import Accumulated, FloatArray
from thingstuff.evaluation.coco_input import CocoInput, GroundTruth, Record, Results, read_coco_input
from thingstuff.evaluation.skips import Skips

DILATION_RATIO = 0.02
_NO_BOX = [0.0, 0.0, 0.0, 0.0]  # vernier wants the field, and does not look at it for masks


@dataclass(frozen=True)
class BoundaryOptions:
    """Fields as of `CocoOptions`; `dilation_ratio` is the boundary's width as a fraction of the image's diagonal."""

    image_ids: Collection[Any] | None = None
    max_dets: Sequence[int] = MAX_DETS["segm"]
    iou_threshs: Sequence[float] = ()
    dilation_ratio: float = DILATION_RATIO
    skips: Skips | None = None

    def __post_init__(self) -> None:
        CocoOptions(max_dets=self.max_dets, iou_threshs=self.iou_threshs).limits("segm")
        if not 0 < self.dilation_ratio <= 1:
            raise ConfigError(f"dilation_ratio must be above 0 and at most 1, got {self.dilation_ratio!r}")


_AS_COCO = BoundaryOptions()


def evaluate_boundary(
    ground_truth: GroundTruth,
    results: Results,
    options: BoundaryOptions = _AS_COCO,
) -> CocoAP:
    """Boundary AP (Cheng et al., 2021) of `results` on `ground_truth`, both as for `evaluate_coco`; needs vernier.

    The boundary of a mask is what d erosions by 3 x 3 pixels take away, where outside of the image nothing is inside
    and d = max(1, round(0.02 x diagonal)). A detection and an object match by the lower of mask IoU and boundary IoU,
    a detection and a crowd by the share of the detection in it, as in mask AP. Gives boundary-iou-api's numbers; the
    answer's `iou_type` is "segm", since the numbers are those of masks.
    """
    data = read_coco_input(ground_truth, results, "segm", options.image_ids, options.skips)
    threshs = all_threshs(options.iou_threshs)
    counted = run_vernier(data, list(options.max_dets), threshs, options.dilation_ratio)
    return summarize(data, counted, tuple(options.max_dets), options.iou_threshs)


def run_vernier(
    data: CocoInput, max_dets: list[int], iou_threshs: FloatArray, dilation_ratio: float = DILATION_RATIO
) -> Accumulated:
    """A program beside those of `coco_backends`, which matches boundaries."""
    evaluator = _vernier()
    truth, found = _InMemory(_truth(data)), _InMemory({"annotations": _found(data)})
    evaluation = evaluator(truth, found, "boundary", dilation_ratio, parity_mode="strict")
    evaluation.params.maxDets, evaluation.params.iouThrs = max_dets, iou_threshs
    try:
        evaluation.evaluate()
    except ValueError as error:
        raise DataError(f"boundary AP: vernier cannot read the masks: {error}") from error
    evaluation.accumulate()
    precision, recall, scores = (np.asarray(evaluation.eval[key]) for key in ("precision", "recall", "scores"))
    return Accumulated(iou_threshs, precision, recall, scores)


def _vernier() -> Any:
    try:
        from vernier import COCOeval
    except ImportError as error:
        raise SetupError("boundary AP needs vernier: pip install 'thingstuff[boundary]'") from error
    return COCOeval


@dataclass(frozen=True)
class _InMemory:
    """What vernier asks of pycocotools' `COCO`."""

    dataset: Record

    def getImgIds(self) -> list[int]:  # noqa: N802
        return [i["id"] for i in self.dataset["images"]]

    def getCatIds(self) -> list[int]:  # noqa: N802
        return [c["id"] for c in self.dataset["categories"]]


def _truth(data: CocoInput) -> Record:
    """With each image's size, which vernier wants even where only RLE, which has its own, refers to it."""
    sizes = {r["image_id"]: r["segmentation"]["size"] for r in [*data.truths, *data.results] if _is_rle(r)}
    images = [{"height": h, "width": w, **i} for i in data.images for h, w in [sizes.get(i["id"], (0, 0))]]
    truths = [{**t, "bbox": _NO_BOX} for t in data.truths]
    return {"images": images, "categories": data.categories, "annotations": truths}


def _is_rle(record: Record) -> bool:
    return isinstance(record["segmentation"], Mapping)


def _found(data: CocoInput) -> list[Record]:
    """Detections with their area, which decides whether a false one is small, medium or large."""
    from pycocotools import mask as mask_utils

    # one by one: a list of more than 255 is too long for it under numpy 2
    areas = [float(mask_utils.area(r["segmentation"])) for r in data.results]
    return [{**r, "area": area, "bbox": _NO_BOX} for r, area in zip(data.results, areas, strict=True)]
