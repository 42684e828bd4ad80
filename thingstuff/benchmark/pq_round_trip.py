"""Panoptic quality by the way of Detectron2's COCOPanopticEvaluator: to PNG, to disk, and counted pixel by pixel.

The counting is panopticapi's `pq_compute`, which no package index has, written out from its definition: the same arrays
are made and sorted, so that it costs what the original costs on one core.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

REFERENCE = "Detectron2 0.6 COCOPanopticEvaluator, panopticapi's definition"
OFFSET = 256**3
VOID = 0
MATCH_IOU = 0.5
IGNORED_SHARE = 0.5

Record = dict[str, Any]
Quality = tuple[float, float, float] | None  # PQ, SQ, RQ; None where no segment counts


@dataclass(frozen=True)
class PanopticFiles:
    """COCO's panoptic format: a JSON of segments and a folder of PNGs."""

    json_path: Path
    folder: Path


@dataclass(frozen=True, eq=False)
class PanopticOutput:
    """What a model gives for one image: H x W ids, and of each segment `id` and `category_id` (of the data set)."""

    image_id: int
    ids: np.ndarray
    segments_info: Sequence[Mapping[str, Any]]


def quality_of_outputs(outputs: Sequence[PanopticOutput], truth: PanopticFiles) -> dict[int, Quality]:
    """`process` and `evaluate` of COCOPanopticEvaluator: {category id: PQ, SQ, RQ}."""
    predictions = [_encode(output) for output in outputs]
    with tempfile.TemporaryDirectory() as folder:
        for prediction in predictions:
            Path(folder, prediction["file_name"]).write_bytes(prediction.pop("png_string"))
        content = json.loads(truth.json_path.read_text()) | {"annotations": predictions}
        json_path = Path(folder, "predictions.json")
        json_path.write_text(json.dumps(content))
        return quality_of_files(PanopticFiles(json_path, Path(folder)), truth)


def quality_of_files(predicted: PanopticFiles, truth: PanopticFiles) -> dict[int, Quality]:
    """`pq_compute`: {category id: PQ, SQ, RQ} as fractions."""
    true_content, found_content = (json.loads(files.json_path.read_text()) for files in (truth, predicted))
    found_of_image = {annotation["image_id"]: annotation for annotation in found_content["annotations"]}
    counts = _Counts.empty()
    for annotation in true_content["annotations"]:
        found = found_of_image[annotation["image_id"]]
        counts.add_image(
            _Side.read(truth.folder / annotation["file_name"], annotation["segments_info"]),
            _Side.read(predicted.folder / found["file_name"], found["segments_info"]),
        )
    return {category["id"]: counts.quality(category["id"]) for category in true_content["categories"]}


def _encode(output: PanopticOutput) -> Record:
    file = io.BytesIO()
    Image.fromarray(_id2rgb(output.ids)).save(file, format="PNG")
    return {
        "image_id": output.image_id,
        "file_name": f"{output.image_id:012d}.png",
        "png_string": file.getvalue(),
        "segments_info": [dict(info) for info in output.segments_info],
    }


def _id2rgb(ids: np.ndarray) -> np.ndarray:
    rgb, rest = np.zeros((*ids.shape, 3), np.uint8), ids.copy()
    for channel in range(3):
        rgb[..., channel] = rest % 256
        rest //= 256
    return rgb


def _rgb2id(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., 0] + 256 * rgb[..., 1] + 256**2 * rgb[..., 2]


@dataclass(frozen=True, eq=False)
class _Side:
    """One image of the truth or of the predictions."""

    ids: np.ndarray
    segments: Mapping[int, Mapping[str, Any]]

    @classmethod
    def read(cls, png_path: Path, segments_info: Sequence[Mapping[str, Any]]) -> _Side:
        ids = _rgb2id(np.array(Image.open(png_path), dtype=np.uint32))
        return cls(ids, {info["id"]: info for info in segments_info})

    def areas_px(self) -> dict[int, int]:
        values, pixels = np.unique(self.ids, return_counts=True)
        return dict(zip(values.tolist(), pixels.tolist(), strict=True))


@dataclass(frozen=True)
class _Counts:
    """By category id: matched, false and missed segments, and the sum of the matched ones' IoU."""

    tp: Counter[int]
    fp: Counter[int]
    fn: Counter[int]
    iou_sum: dict[int, float]

    @classmethod
    def empty(cls) -> _Counts:
        return cls(Counter(), Counter(), Counter(), {})

    def add_image(self, truth: _Side, found: _Side) -> None:
        shared_px, areas_px = _shared_px(truth, found), found.areas_px()
        matched_true, matched_found = set(), set()
        for (true_id, found_id), pixels in shared_px.items():
            if not _may_match(truth.segments.get(true_id), found.segments.get(found_id)):
                continue
            void_px = shared_px.get((VOID, found_id), 0)
            union_px = areas_px[found_id] + truth.segments[true_id]["area"] - pixels - void_px
            if pixels / union_px > MATCH_IOU:
                category_id = truth.segments[true_id]["category_id"]
                self.tp[category_id] += 1
                self.iou_sum[category_id] = self.iou_sum.get(category_id, 0.0) + pixels / union_px
                matched_true.add(true_id)
                matched_found.add(found_id)
        crowd_of = self._add_missed(truth, matched_true)
        for found_id, info in found.segments.items():
            crowd_id = crowd_of.get(info["category_id"])
            ignored_px = shared_px.get((VOID, found_id), 0) + shared_px.get((crowd_id, found_id), 0)
            if found_id not in matched_found and not ignored_px / areas_px[found_id] > IGNORED_SHARE:
                self.fp[info["category_id"]] += 1

    def _add_missed(self, truth: _Side, matched: set[int]) -> dict[int, int]:
        """Count what was missed; {category id: its crowd, the last of several}."""
        crowd_of = {}
        for true_id, info in truth.segments.items():
            if info["iscrowd"]:
                crowd_of[info["category_id"]] = true_id
            elif true_id not in matched:
                self.fn[info["category_id"]] += 1
        return crowd_of

    def quality(self, category_id: int) -> Quality:
        tp, fp, fn = (column[category_id] for column in (self.tp, self.fp, self.fn))
        if tp + fp + fn == 0:
            return None
        iou_sum = self.iou_sum.get(category_id, 0.0)
        weight = tp + 0.5 * fp + 0.5 * fn
        return iou_sum / weight, iou_sum / tp if tp else 0.0, tp / weight


def _shared_px(truth: _Side, found: _Side) -> dict[tuple[Any, int], int]:
    """Pixels of every pair of ids, void among them."""
    pairs = truth.ids.astype(np.uint64) * np.uint64(OFFSET) + found.ids.astype(np.uint64)
    values, pixels = np.unique(pairs, return_counts=True)
    return {divmod(pair, OFFSET): count for pair, count in zip(values.tolist(), pixels.tolist(), strict=True)}


def _may_match(true: Mapping[str, Any] | None, found: Mapping[str, Any] | None) -> bool:
    if true is None or found is None or true["iscrowd"]:
        return False
    return true["category_id"] == found["category_id"]
