"""A Detectron2 evaluator of LVIS AP, which needs no other package than the one that counts COCO's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog

from thingstuff.engine.evaluators import CocoEvaluator
from thingstuff.evaluation import LvisAP, evaluate_lvis


class LvisEvaluator(CocoEvaluator):
    """Box and mask AP of LVIS, `{"bbox": {...}, "segm": {...}}` in percent, as Detectron2's LVISEvaluator.

    It adds the average recalls under LVIS's names and, given a folder, writes `coco_instances_results.json`.
    """

    def __init__(self, dataset_name: str, output_dir: str | Path | None = None) -> None:
        super().__init__(dataset_name, output_dir)
        # Detectron2 registers LVIS without an id map: its categories are 1, 2, ... and its classes 0, 1, ...
        self._first_id = 1 if MetadataCatalog.get(dataset_name).get("thing_dataset_id_to_contiguous_id") is None else 0

    def _measure(self, task: str, records: list[dict[str, Any]]) -> LvisAP:
        shifted = [record | {"category_id": record["category_id"] + self._first_id} for record in records]
        return evaluate_lvis(self._truth, shifted, task)
