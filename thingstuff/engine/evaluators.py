"""Detectron2 evaluators over our metrics: the same results under the same keys, with nothing changed on the way."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets.coco import convert_to_coco_dict
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from PIL import Image

from thingstuff.errors import DataError
from thingstuff.evaluation import CocoAP, CocoTruth, OwnResults, SemanticCounts, evaluate_coco
from thingstuff.files import write_json
from thingstuff.modeling.outputs import to_coco_results
from thingstuff.structures import Categories, rgb_to_ids
from thingstuff.structures.png import read_png

logger = logging.getLogger(__name__)

_FIELD_OF_TASK = {"bbox": "pred_boxes", "segm": "pred_masks", "keypoints": "pred_keypoints"}


class CocoEvaluator(DatasetEvaluator):
    """Box, mask and keypoint AP. Gives `{"bbox": {...}, "segm": {...}}` in percent, as Detectron2's COCOEvaluator.

    It evaluates what the model was seen to predict, adds the average recalls under COCO's names and, given a folder,
    writes `coco_instances_results.json`.
    """

    def __init__(self, dataset_name: str, output_dir: str | Path | None = None) -> None:
        metadata = MetadataCatalog.get(dataset_name)
        self._output_dir = Path(output_dir) if output_dir else None
        self._categories = Categories.from_metadata(metadata)
        self._truth = metadata.get("json_file") or convert_to_coco_dict(dataset_name)
        self._records: list[dict[str, Any]] = []
        self._tasks: set[str] = set()

    def reset(self) -> None:
        self._records, self._tasks = [], set()

    def process(self, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        for record, output in zip(inputs, outputs, strict=True):
            if "instances" in output:
                instances = output["instances"]
                self._tasks |= {task for task, field in _FIELD_OF_TASK.items() if instances.has(field)}
                self._records += to_coco_results(instances, record["image_id"], self._categories)

    def evaluate(self) -> dict[str, dict[str, float]]:
        """The metrics on the main process, an empty dictionary on the others."""
        records = list(itertools.chain(*comm.gather(self._records)))
        tasks = set().union(*comm.gather(self._tasks))
        if not comm.is_main_process():
            return {}
        if self._output_dir and tasks:
            write_json(self._output_dir / "coco_instances_results.json", records)
        return {task: self._evaluate_task(task, records) for task in _FIELD_OF_TASK if task in tasks}

    def _evaluate_task(self, task: str, records: list[dict[str, Any]]) -> dict[str, float]:
        measured = self._measure(task, records)
        for name, reason in measured.undefined.items():
            logger.info("%s of %s is undefined: %s", name, task, reason)
        recalls = {name: 100 * value for name, value in measured.numbers.items() if name.startswith("AR")}
        return measured.percent() | recalls

    def _measure(self, task: str, records: list[dict[str, Any]]) -> CocoAP:
        return evaluate_coco(_truth_of(self._truth, task), OwnResults(records), task)  # type: ignore[arg-type]


def _truth_of(source: Any, task: str) -> CocoTruth:
    """That of a file is kept for the next evaluation, as long as the file stays as it is."""
    if isinstance(source, Mapping) or not Path(source).exists():
        return CocoTruth.read(source, task)
    status = Path(source).stat()
    return _kept_truth(str(source), task, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=6)
def _kept_truth(path: str, task: str, changed_ns: int, size: int) -> CocoTruth:
    return CocoTruth.read(path, task).with_filled_polygons()


class SemanticEvaluator(DatasetEvaluator):
    """mIoU and its kin as `{"sem_seg": {...}}` in percent, as Detectron2's SemSegEvaluator without boundary IoU."""

    def __init__(self, dataset_name: str) -> None:
        metadata = MetadataCatalog.get(dataset_name)
        self._record_of = {r["file_name"]: r for r in DatasetCatalog.get(dataset_name)}
        self._is_standard = metadata.get("label_divisor") is not None
        self._dataset_name = dataset_name
        self._names = list(metadata.stuff_classes)
        self._ignore_label = int(metadata.get("ignore_label", 255))
        self._counts = self._empty()
        self._seen = False

    def _empty(self) -> SemanticCounts:
        return SemanticCounts.empty(self._names, self._ignore_label)

    def reset(self) -> None:
        self._counts, self._seen = self._empty(), False

    def process(self, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        for record, output in zip(inputs, outputs, strict=True):
            if "sem_seg" in output:
                predicted = output["sem_seg"].argmax(dim=0).cpu().numpy()
                self._counts = self._counts.add(predicted, self._truth(record["file_name"]))
                self._seen = True

    def _truth(self, image_file: str) -> np.ndarray:
        record = self._record_of.get(image_file, {})
        if record.get("sem_seg_file_name"):
            return np.asarray(Image.open(record["sem_seg_file_name"]))
        if self._is_standard and record.get("pan_seg_file_name"):
            return self._classes_of_segments(record)
        raise DataError(f"data set {self._dataset_name} has no semantic truth (sem_seg_file_name) for {image_file}")

    def _classes_of_segments(self, record: Mapping[str, Any]) -> np.ndarray:
        """In the "standard" convention the panoptic file tells the class of every pixel, of things too."""
        ids = rgb_to_ids(read_png(record["pan_seg_file_name"], "RGB"))
        labels = np.full(ids.shape, self._ignore_label)
        for segment in record["segments_info"]:
            labels[ids == segment["id"]] = segment["category_id"]
        return labels

    def evaluate(self) -> dict[str, dict[str, float]]:
        """The metrics on the main process, an empty dictionary on the others."""
        gathered, seen = comm.gather(self._counts), comm.gather(self._seen)
        if not comm.is_main_process() or not any(seen):
            return {}
        return {"sem_seg": sum(gathered, self._empty()).scores().percent()}
