"""Detectron2's evaluators of AP and of mIoU against ours, on the same outputs of a model."""

from __future__ import annotations

import contextlib
import io
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.benchmark.coco_scenes import HEIGHT, WIDTH, random_coco
from thingstuff.benchmark.measure import Case
from thingstuff.benchmark.panoptic_pairs import random_pair
from thingstuff.benchmark.panoptic_scenes import CATEGORIES
from thingstuff.benchmark.pycocotools_ap import REFERENCE as PYCOCOTOOLS
from thingstuff.files import write_json
from thingstuff.structures import VOID, PanopticMap, write_png

TOLERANCE = 1e-10  # of percent
IGNORE_LABEL = 255
INSTANCES, SEMANTIC = "thingstuff_benchmark_instances", "thingstuff_benchmark_semantic"

Record = dict[str, Any]
Scores = Mapping[str, Mapping[str, float]]


def detectron2_cases(images: int, objects: float, seed: int) -> Iterator[Case]:
    yield from _instance_cases(images, objects, seed)
    yield from _semantic_cases(images, seed)


def _instance_cases(images: int, objects: float, seed: int) -> Iterator[Case]:
    from detectron2.evaluation import COCOEvaluator

    from thingstuff.engine.evaluators import CocoEvaluator

    truth, detections = random_coco(images, objects, seed)
    records = [{"image_id": image["id"]} for image in truth["images"]]
    outputs = [{"instances": found} for found in _instances(records, detections)]
    with tempfile.TemporaryDirectory() as folder, _registered(INSTANCES, records, **_thing_metadata(truth, folder)):
        yield Case(
            name=f"masks to mask and box AP, {images} images, {len(detections)} detections",
            reference=f"Detectron2 0.6 COCOEvaluator, {PYCOCOTOOLS}",
            ours=lambda: _run(lambda: CocoEvaluator(INSTANCES), records, outputs),
            theirs=lambda: _run(
                lambda: COCOEvaluator(INSTANCES, distributed=False, use_fast_impl=False), records, outputs
            ),
            equal=same_shared_scores,
        )


def _instances(records: Sequence[Record], detections: Sequence[Record]) -> list[Any]:
    """One Detectron2 `Instances` an image, with masks N x H x W as its models give them."""
    found = {image_id: list(group) for image_id, group in groupby(detections, lambda d: d["image_id"])}
    return [_instances_of_image(found.get(record["image_id"], [])) for record in records]


def _instances_of_image(detections: Sequence[Record]) -> Any:
    import torch
    from detectron2.structures import Boxes, Instances
    from pycocotools import mask as mask_utils

    boxes = np.array([d["bbox"] for d in detections], np.float32).reshape(-1, 4)
    masks = [mask_utils.decode(d["segmentation"]).astype(bool) for d in detections]
    found = Instances((HEIGHT, WIDTH))
    found.pred_boxes = Boxes(torch.from_numpy(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])))
    found.scores = torch.tensor([d["score"] for d in detections], dtype=torch.float32)
    found.pred_classes = torch.tensor([d["category_id"] - 1 for d in detections], dtype=torch.long)
    found.pred_masks = torch.from_numpy(np.array(masks, bool).reshape(-1, HEIGHT, WIDTH))
    return found


def _thing_metadata(truth: Record, folder: str) -> Record:
    json_file = Path(folder, "ground_truth.json")
    write_json(json_file, truth)
    names = [category["name"] for category in truth["categories"]]
    contiguous = {category["id"]: index for index, category in enumerate(truth["categories"])}
    return {
        "json_file": str(json_file),
        "thing_classes": names,
        "thing_dataset_id_to_contiguous_id": contiguous,
    }


def _semantic_cases(images: int, seed: int) -> Iterator[Case]:
    """Twice: Detectron2 counts boundary IoU besides, which ours does not; without it the work is the same."""
    from detectron2.evaluation import SemSegEvaluator

    from thingstuff.engine.evaluators import SemanticEvaluator

    def theirs(boundary: bool) -> Any:
        evaluator = SemSegEvaluator(SEMANTIC, distributed=False)
        evaluator._compute_boundary_iou &= boundary
        return evaluator

    pairs = [random_pair(seed + number) for number in range(images)]
    outputs = [{"sem_seg": _Labels(_labels(pair.predicted, 0))} for pair in pairs]
    with tempfile.TemporaryDirectory() as folder:
        records = [_semantic_record(Path(folder), number, pair.truth) for number, pair in enumerate(pairs)]
        with _registered(SEMANTIC, records, **_stuff_metadata()):
            for boundary, remark in ((False, "without its boundary IoU"), (True, "with its boundary IoU")):
                yield Case(
                    name=f"label maps to mIoU, {images} images {HEIGHT}x{WIDTH}",
                    reference=f"Detectron2 0.6 SemSegEvaluator {remark}",
                    ours=lambda: _run(lambda: SemanticEvaluator(SEMANTIC), records, outputs),
                    theirs=lambda boundary=boundary: _run(lambda: theirs(boundary), records, outputs),
                    equal=same_shared_scores,
                )


class _Labels:
    """A label map where a model gives one score a class and pixel: taking the best is the same for both evaluators."""

    def __init__(self, labels: np.ndarray) -> None:
        import torch

        self._labels = torch.from_numpy(labels.astype(np.int64))

    def argmax(self, dim: int) -> Any:
        return self._labels


def _labels(panoptic: PanopticMap, void_label: int) -> np.ndarray:
    """H x W uint8 semantic labels, of which 0 means "things"."""
    stuff_map = panoptic.stuff_map(CATEGORIES)
    return np.where(stuff_map == VOID, void_label, stuff_map).astype(np.uint8)


def _semantic_record(folder: Path, number: int, truth: PanopticMap) -> Record:
    png_path = folder / f"{number}.png"
    write_png(png_path, _labels(truth, IGNORE_LABEL))
    return {"file_name": f"{number}.jpg", "sem_seg_file_name": str(png_path)}


def _stuff_metadata() -> Record:
    names = CATEGORIES.to_metadata()["stuff_classes"]
    return {"stuff_classes": names, "ignore_label": IGNORE_LABEL}


@contextlib.contextmanager
def _registered(name: str, records: list[Record], **metadata: Any) -> Iterator[None]:
    from detectron2.data import DatasetCatalog, MetadataCatalog

    DatasetCatalog.register(name, lambda: records)
    try:
        MetadataCatalog.get(name).set(**metadata)
        yield
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.pop(name, None)


def _run(make: Callable[[], Any], records: Sequence[Record], outputs: Sequence[Record]) -> Scores:
    """A whole evaluation, an image at a time; pycocotools reports on stdout whatever one does."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = make()
        evaluator.reset()
        for record, output in zip(records, outputs, strict=True):
            evaluator.process([record], [output])
        return evaluator.evaluate()


def same_shared_scores(ours: Scores, theirs: Scores) -> bool:
    """Every score under a key that both give, of which there are some in every task; NaN is undefined in both."""
    if set(ours) != set(theirs):
        return False
    for task, scores in theirs.items():
        shared = set(scores) & set(ours[task])
        if not shared or not all(_same(ours[task][key], scores[key]) for key in shared):
            return False
    return True


def _same(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= TOLERANCE or (math.isnan(ours) and math.isnan(theirs))
