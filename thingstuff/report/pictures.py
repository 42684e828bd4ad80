"""A grid of what a model sees: each image beside its truth and the model's answer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from thingstuff.data.images import read_image_bgr
from thingstuff.engine.predictor import Predictor
from thingstuff.evaluation import CocoPanoptic
from thingstuff.modeling.prediction import Prediction
from thingstuff.report.drawing import available_views
from thingstuff.report.grid import picture_grid, write_picture
from thingstuff.report.overlay import draw_overlay
from thingstuff.report.views import Layers
from thingstuff.structures import VOID, Categories, Detections, MaskCrops, PanopticMap

_SHOWN_FROM_SCORE = 0.5
_COLUMNS_SIDE_BY_SIDE = 3


def write_pictures(cfg: CfgNode, model: torch.nn.Module, path: Path) -> None:
    """Write a grid of `TEST.PICTURES` images of the first test set, evenly picked."""
    if cfg.TEST.PICTURES < 1 or not cfg.DATASETS.TEST:
        return
    records = _evenly(DatasetCatalog.get(cfg.DATASETS.TEST[0]), cfg.TEST.PICTURES)
    predictor = Predictor(cfg, model)
    maps = _TrueMaps(cfg.DATASETS.TEST[0])
    rows = [_row(record, predictor, maps) for record in records]
    titles = list(dict.fromkeys(title for row in rows for title in row))
    cells = [[row.get(title) for title in titles] for row in rows]
    # two images a row where they fit: a wide page reads better than a tall one
    if len(titles) <= _COLUMNS_SIDE_BY_SIDE and len(cells) > 1:
        half = (len(cells) + 1) // 2
        pairs = itertools.zip_longest(cells[:half], cells[half:], fillvalue=[None] * len(titles))
        cells, titles = [left + right for left, right in pairs], titles * 2
    write_picture(path, picture_grid(cells, titles))


def _evenly(records: Sequence[Any], count: int) -> list[Any]:
    picks = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
    return [records[i] for i in picks]


class _TrueMaps:
    """The panoptic truth of a data set, whose file is read with the first map that is asked for."""

    def __init__(self, name: str) -> None:
        self._metadata = MetadataCatalog.get(name)

    def __bool__(self) -> bool:
        return bool(self._metadata.get("panoptic_json"))

    @cached_property
    def _file(self) -> CocoPanoptic:
        return CocoPanoptic.open(self._metadata.panoptic_json, self._metadata.get("panoptic_root"))

    def read(self, image_id: int | str) -> PanopticMap:
        return self._file.read(image_id)


def _row(record: Mapping[str, Any], predictor: Predictor, maps: _TrueMaps) -> dict[str, np.ndarray]:
    """Title -> picture, for the views that the model can answer."""
    image = read_image_bgr(record["file_name"])
    found = predictor(image, record["file_name"])
    shown = None if found.detections is None else found.detections.above(_SHOWN_FROM_SCORE)
    truth = _truth(record, predictor.categories, found, maps)
    pictures = {"image": image}
    for view in _views(found):
        name = {"box": "boxes", "instance": "instances"}.get(view, view)
        known = (truth.detections, truth.stuff_map, truth.panoptic)
        layers = Layers(image, predictor.categories, *known, show_scores=False)
        if view in available_views(truth):
            pictures[f"true {name}"] = draw_overlay(layers, view)
        layers = Layers(image, predictor.categories, shown, found.stuff_map, found.panoptic)
        pictures[f"predicted {name}"] = draw_overlay(layers, view)
    return pictures


def _views(found: Prediction) -> list[str]:
    instance = [] if found.detections is None else ["instance" if found.detections.masks is not None else "box"]
    if found.panoptic is not None:
        # a model that predicts the map itself gets its instances out of it, or none
        return ["panoptic"] if found.ledger is None else [*instance, "panoptic"]
    return instance + ([] if found.stuff_map is None else ["semantic"])


def _truth(record: Mapping[str, Any], categories: Categories, found: Prediction, maps: _TrueMaps) -> Prediction:
    """What the annotations say, as far as the model answers it."""
    detections = stuff_map = panoptic = None
    if found.detections is not None and "annotations" in record:
        detections = true_detections(record, categories)
    if found.stuff_map is not None and record.get("sem_seg_file_name"):
        stuff_map = true_stuff_map(record["sem_seg_file_name"], categories)
    if found.panoptic is not None and maps:
        panoptic = maps.read(record["image_id"])
    return Prediction(detections, stuff_map, panoptic)


def true_detections(record: Mapping[str, Any], categories: Categories) -> Detections:
    """The instances of a Detectron2 record, crowds left out, with the score 1."""
    notes = [note for note in record["annotations"] if not note.get("iscrowd")]
    boxes = [BoxMode.convert(note["bbox"], note["bbox_mode"], BoxMode.XYXY_ABS) for note in notes]
    height, width = record["height"], record["width"]
    masked = all("segmentation" in note for note in notes)
    masks = MaskCrops.from_coco([note["segmentation"] for note in notes], height, width) if masked else None
    return Detections(
        masks,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.ones(len(notes), np.float32),
        categories.thing_ids(np.array([note["category_id"] for note in notes], np.int64)),
        height,
        width,
    )


def true_stuff_map(file: str, categories: Categories) -> np.ndarray:
    """A label PNG in Panoptic FPN's convention (0 = things, 255 = void) as a stuff map."""
    labels = cv2.imread(file, cv2.IMREAD_UNCHANGED).astype(np.uint16)  # which can hold VOID
    return np.where(labels > len(categories.stuff), np.uint16(VOID), labels)
