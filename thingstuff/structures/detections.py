"""Detections: one image's instances, with masks or with boxes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.arrays import expect_array, expect_finite, row_numbers
from thingstuff.structures.mask_crops import MaskCrops

FROM_MASKS = -1


@dataclass(frozen=True, eq=False)
class Detections:
    """N instances of one image.

    `boxes_xyxy` is N x 4 float32 in pixels, `scores` N float32, `category_ids` N int64 data set ids. `height` and
    `width` are those of the masks, and must be given where `masks` is None.
    """

    masks: MaskCrops | None
    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    category_ids: NDArray[np.int64]
    height: int = FROM_MASKS
    width: int = FROM_MASKS

    def __post_init__(self) -> None:
        self._settle_size()
        expect_array("scores", self.scores, np.float32, (None,))
        expect_array("boxes", self.boxes_xyxy, np.float32, (len(self), 4))
        expect_array("category ids", self.category_ids, np.int64, (len(self),))
        expect_finite("scores", self.scores)
        expect_finite("boxes", self.boxes_xyxy)
        if self.masks is not None and len(self.masks) != len(self):
            raise DataError(f"detections: expected {len(self)} masks, one a score, got {len(self.masks)}")

    @classmethod
    def from_coco(cls, records: Sequence[Mapping[str, Any]], height: int, width: int) -> Detections:
        """One image's COCO result records, with `segmentation` (RLE or polygons) in all of them or in none.

        A record without `bbox` gets the tight box of its mask. Annotations have no `score` and are refused.
        """
        for number, record in enumerate(records):
            _check_record(number, record, with_mask="segmentation" in records[0])
        masks = _masks(records, height, width)
        return cls(
            masks,
            _boxes_xyxy(records, masks),
            np.array([record["score"] for record in records], np.float32),
            np.array([record["category_id"] for record in records], np.int64),
            height,
            width,
        )

    def to_coco(self, image_id: int | str) -> list[dict[str, Any]]:
        """COCO result records: image_id, category_id, bbox (xywh), score and, with masks, segmentation (RLE).

        Widths and heights are differences in float32, as in Detectron2's `instances_to_coco_json`.
        """
        sizes = self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]
        boxes_xywh = np.concatenate([self.boxes_xyxy[:, :2], sizes], axis=1).tolist()
        columns = zip(self.category_ids.tolist(), boxes_xywh, self.scores.tolist(), strict=True)
        records = [{"image_id": image_id, "category_id": c, "bbox": b, "score": s} for c, b, s in columns]
        if self.masks is None:
            return records
        return [record | {"segmentation": rle} for record, rle in zip(records, self.masks.to_rles(), strict=True)]

    def by_score(self) -> Detections:
        """In descending order of score; equal scores keep their order."""
        return self[np.argsort(-self.scores, kind="stable")]

    def above(self, score_thresh: float) -> Detections:
        """Those with a score of `score_thresh` or more, in their order."""
        return self[self.scores >= score_thresh]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: Any) -> Detections:
        """The detections that a slice, an integer array or a boolean array picks."""
        numbers = row_numbers(rows, len(self))
        return Detections(
            None if self.masks is None else self.masks[numbers],
            self.boxes_xyxy[numbers],
            self.scores[numbers],
            self.category_ids[numbers],
            self.height,
            self.width,
        )

    def _settle_size(self) -> None:
        given = (self.height, self.width)
        if self.masks is None and min(given) < 0:
            raise DataError(f"detections without masks: expected height and width of the image, got {given}")
        if self.masks is None:
            return
        size = (self.masks.height, self.masks.width)
        if given not in (size, (FROM_MASKS, FROM_MASKS)):
            raise DataError(f"detections: expected the masks' height and width {size}, got {given}")
        object.__setattr__(self, "height", size[0])
        object.__setattr__(self, "width", size[1])


def _check_record(number: int, record: Mapping[str, Any], *, with_mask: bool) -> None:
    missing = [key for key in ("category_id", "score") if key not in record]
    if missing:
        raise DataError(f"detection {number}: expected category_id and score, got {sorted(record)}")
    if ("segmentation" in record) != with_mask:
        raise DataError(f"detection {number}: expected a segmentation in all records or in none, got {sorted(record)}")
    if not with_mask and "bbox" not in record:
        raise DataError(f"detection {number}: expected a bbox or a segmentation, got {sorted(record)}")
    if "bbox" in record and len(record["bbox"]) != 4:
        raise DataError(f"detection {number}: expected a bbox of 4 numbers, got {record['bbox']}")


def _masks(records: Sequence[Mapping[str, Any]], height: int, width: int) -> MaskCrops | None:
    # No records: no masks rather than no knowledge of masks, so that a mask model's empty image stays one.
    if records and "segmentation" not in records[0]:
        return None
    return MaskCrops.from_coco([record["segmentation"] for record in records], height, width)


def _boxes_xyxy(records: Sequence[Mapping[str, Any]], masks: MaskCrops | None) -> NDArray[np.float32]:
    tight = np.zeros((len(records), 4)) if masks is None else masks.bboxes_xywh()
    boxes = np.array([r.get("bbox", box) for r, box in zip(records, tight, strict=True)], np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
