"""Scores of stored predictions: mask AP, mean IoU and panoptic quality without a model and without a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from thingstuff.errors import DataError
from thingstuff.evaluation import SemanticCounts, evaluate_coco, evaluate_panoptic
from thingstuff.evaluation.bootstrap import BlockMetric, panoptic_pq, semantic_miou
from thingstuff.evaluation.json_file import read_json
from thingstuff.evaluation.panoptic_causes import PanopticCauses
from thingstuff.report.ground_truth import GroundTruth
from thingstuff.store import Store
from thingstuff.store.index import Entry
from thingstuff.structures import VOID

Results = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Scores:
    """`results`: task -> metric -> percent, as an evaluation in training gives them; `notes` are for the reader.

    `samples` are the metrics whose images can be drawn again, by name, each with its images.
    """

    results: Results
    notes: list[str] = field(default_factory=list)
    samples: dict[str, Sample] = field(default_factory=dict)
    causes: PanopticCauses | None = None  # of lost panoptic quality


@dataclass(frozen=True)
class Sample:
    """A metric as a function of how often each image counts."""

    image_ids: tuple[int | str, ...]
    metric: BlockMetric


def score(predictions: Path, truth: GroundTruth, folder: Path | None = None) -> Scores:
    """`predictions`: a store, the folder that predict.py wrote, a COCO results JSON, or a COCO panoptic JSON.

    `folder` is where the PNGs of a panoptic JSON are, if not in the folder of its name.
    """
    if predictions.is_dir():
        return _score_store(Store.open(_store_folder(predictions)), truth)
    content = read_json(predictions)
    if isinstance(content, list):
        return Scores(_average_precision(content, truth))
    return _score_panoptic_file(predictions, truth, folder)


def _store_folder(folder: Path) -> Path:
    """A store itself, or the one below an output folder."""
    inner = sorted(p.parent for p in (folder / "predictions").glob("*/meta.json"))
    return inner[0] if len(inner) == 1 and not (folder / "meta.json").exists() else folder


def _score_panoptic_file(path: Path, truth: GroundTruth, folder: Path | None) -> Scores:
    if truth.panoptic is None:
        raise DataError(f"{path} holds panoptic predictions, but {truth.name} has no panoptic truth")
    quality = evaluate_panoptic(truth.panoptic.json_path, path, truth.panoptic.folder, folder)
    return Scores({"panoptic_seg": quality.percent()})


def _average_precision(records: list[dict[str, Any]], truth: GroundTruth) -> Results:
    """Box AP where there are boxes, mask AP where there are masks; a box beside a mask does not change its area."""
    if truth.instances is None:
        raise DataError(f"the predictions are instances, but {truth.name} has no instance truth")
    fields = {"bbox": "segmentation", "segm": "bbox"}
    results = {}
    for task, dropped in fields.items():
        kept = fields["segm" if task == "bbox" else "bbox"]
        if all(isinstance(record, Mapping) and kept in record for record in records):
            plain = [{key: value for key, value in record.items() if key != dropped} for record in records]
            measured = evaluate_coco(truth.instances, plain, task)  # type: ignore[arg-type]
            recalls = {name: 100 * value for name, value in measured.numbers.items() if name.startswith("AR")}
            results[task] = measured.percent() | recalls
    return results


# ---- stores ------------------------------------------------------------------------------------------------------


def _score_store(store: Store, truth: GroundTruth) -> Scores:
    ids = {entry.key: _image_id(entry, store, truth) for entry in store.entries}
    results: Results = {}
    samples: dict[str, Sample] = {}
    causes = None
    if truth.instances is not None and any(entry.has_detections for entry in store.entries):
        records = [r for key in ids for r in _coco_records(store, key, ids[key])]
        results |= _average_precision(records, truth)
    if truth.stuff_files and any(entry.has_stuff_map for entry in store.entries):
        _score_semantic(store, ids, truth, results, samples)
    if truth.panoptic is not None and any(entry.has_panoptic for entry in store.entries):
        causes = _score_panoptic(store, ids, truth, results, samples)
    if not results:
        raise DataError(f"{store.folder} and {truth.name} have nothing in common that could be evaluated")
    return Scores(results, _notes(ids, truth), samples, causes)


def _image_id(entry: Entry, store: Store, truth: GroundTruth) -> int | str:
    """The data set's id that the store knows, or else the one of the image with this name."""
    if entry.image_id is not None:
        return entry.image_id
    for name in (entry.key, Path(entry.key).name):
        if name in truth.key_ids:
            return truth.key_ids[name]
    raise DataError(f"{store.folder}: {entry.key!r} is no image of {truth.name}")


def _coco_records(store: Store, key: str, image_id: int | str) -> list[dict[str, Any]]:
    found = store.read(key, stuff=False, panoptic=False).detections
    return [] if found is None else found.to_coco(image_id)


def _score_semantic(
    store: Store, ids: Mapping[str, int | str], truth: GroundTruth, results: Results, samples: dict[str, Sample]
) -> None:
    if len(truth.stuff_names) != len(store.meta.categories.stuff) + 1:
        return  # labels of another convention than a stuff map's
    empty = SemanticCounts.empty(truth.stuff_names, truth.ignore_label)
    each: dict[int | str, SemanticCounts] = {}
    for entry in store.entries:
        if entry.has_stuff_map:
            predicted = store.read(entry.key, panoptic=False).stuff_map
            labels = np.where(predicted == VOID, truth.ignore_label, predicted)
            each[ids[entry.key]] = empty.add(labels, _labels(truth, ids[entry.key]))
    results["sem_seg"] = sum(each.values(), empty).scores().percent()
    samples["mIoU"] = Sample(tuple(each), semantic_miou(np.stack([counts.confusion for counts in each.values()])))


def _labels(truth: GroundTruth, image_id: int | str) -> np.ndarray:
    file = truth.stuff_files.get(image_id)
    labels = None if file is None else cv2.imread(file, cv2.IMREAD_UNCHANGED)
    if labels is None:
        raise DataError(f"{truth.name}: the label map of image {image_id!r} cannot be read ({file})")
    return labels


def _score_panoptic(
    store: Store, ids: Mapping[str, int | str], truth: GroundTruth, results: Results, samples: dict[str, Sample]
) -> PanopticCauses:
    assert truth.panoptic is not None
    empty = PanopticCauses.empty(truth.panoptic.categories)
    causes, each = empty, {}
    for entry in store.entries:
        if entry.has_panoptic:
            image = store.read(entry.key)
            true = truth.panoptic.read(ids[entry.key])
            try:
                one = empty.add(image.panoptic, true, image.ledger, image.detections, image.stuff_map)  # type: ignore[arg-type]
            except DataError as error:
                raise DataError(f"{store.folder}: {entry.key!r}: {error}") from error
            causes, each[ids[entry.key]] = causes + one, one.counts
    results["panoptic_seg"] = causes.counts.scores().percent()
    columns = np.stack([np.stack([c.tp, c.fp, c.fn, c.iou_sum], axis=1) for c in each.values()])
    isthing = np.array([category.isthing for category in truth.panoptic.categories.all])
    for name, chosen in (("PQ", slice(None)), ("PQ_th", isthing), ("PQ_st", ~isthing)):
        samples[name] = Sample(tuple(each), panoptic_pq(columns[:, chosen]))
    return causes


def _notes(ids: Mapping[str, int | str], truth: GroundTruth) -> list[str]:
    known = set(truth.key_ids.values())
    missing = len(known - set(ids.values()))
    if not missing:
        return []
    return [
        f"{missing} of the {len(known)} images of {truth.name} have no prediction: "
        "AP counts their objects as missed, mean IoU and PQ leave them out"
    ]
