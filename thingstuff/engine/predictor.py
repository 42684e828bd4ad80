"""One image in, plain data out: Detectron2's `DefaultPredictor` with safe weights and data set ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import transforms as T
from detectron2.modeling import build_model

from thingstuff.data.catalog import metadata_with_classes, register_shapes
from thingstuff.engine.checkpoint import Checkpointer
from thingstuff.engine.outputs import to_detections
from thingstuff.errors import ConfigError, DataError
from thingstuff.structures import Categories, Detections, stuff_map_from_labels


@dataclass(frozen=True)
class Prediction:
    """What a model found in one image: instances, an H x W uint16 stuff map, or both; None is what it cannot find."""

    detections: Detections | None
    stuff_map: np.ndarray | None


class Predictor:
    """Calls a Detectron2 model on single BGR images with the pre-processing of its config."""

    @configurable
    def __init__(
        self,
        *,
        model: torch.nn.Module,
        categories: Categories,
        semantic_label_ids: tuple[int | None, ...],
        resize: T.Augmentation,
        channels: str,
    ) -> None:
        self.model = model.eval()
        self.categories = categories
        self._semantic_label_ids = semantic_label_ids
        self._resize = resize
        self._channels = channels

    @classmethod
    def from_config(cls, cfg: CfgNode, model: torch.nn.Module | None = None) -> dict[str, Any]:
        """With no `model` it is built and `MODEL.WEIGHTS` must fill all of it."""
        register_shapes()
        if not cfg.DATASETS.TEST:
            raise ConfigError("DATASETS.TEST is empty: name the data set whose classes the model predicts")
        metadata = metadata_with_classes(cfg.DATASETS.TEST[0])
        if model is None:
            model = build_model(cfg)
            Checkpointer(model, whole_model=True).load(cfg.MODEL.WEIGHTS)
        shortest = cfg.INPUT.MIN_SIZE_TEST
        return {
            "model": model,
            "categories": _categories(metadata, has_stuff=hasattr(model, "sem_seg_head")),
            "semantic_label_ids": _semantic_label_ids(metadata),
            "resize": T.ResizeShortestEdge([shortest, shortest], cfg.INPUT.MAX_SIZE_TEST),
            "channels": cfg.INPUT.FORMAT,
        }

    def __call__(self, image_bgr: np.ndarray) -> Prediction:
        """H x W x 3 uint8 BGR -> what the model finds, in the pixels of that image."""
        with torch.inference_mode():
            output = self.model([self._model_input(image_bgr)])[0]
        detections = to_detections(output["instances"], self.categories) if "instances" in output else None
        stuff_map = self._stuff_map(output["sem_seg"]) if "sem_seg" in output else None
        return Prediction(detections, stuff_map)

    def _model_input(self, image_bgr: np.ndarray) -> dict[str, Any]:
        height, width = image_bgr.shape[:2]
        ordered = image_bgr[:, :, ::-1] if self._channels == "RGB" else image_bgr
        resized = self._resize.get_transform(ordered).apply_image(ordered)
        tensor = torch.as_tensor(resized.astype("float32").transpose(2, 0, 1))
        return {"image": tensor, "height": height, "width": width}

    def _stuff_map(self, scores: torch.Tensor) -> np.ndarray:
        labels = scores.argmax(dim=0).cpu().numpy()
        return stuff_map_from_labels(labels, self._semantic_label_ids, self.categories, void_labels=())


def _categories(metadata: Any, has_stuff: bool) -> Categories:
    """All of the data set's, or its things alone where it numbers things and stuff apart, as Cityscapes does."""
    try:
        return Categories.from_metadata(metadata)
    except DataError:
        if has_stuff:
            raise
        things = {key: value for key, value in metadata.as_dict().items() if key.startswith("thing_")}
        return Categories.from_metadata(things)


def _semantic_label_ids(metadata: Any) -> tuple[int | None, ...]:
    """The data set id behind each label of a semantic head; None for Panoptic FPN's label 0, "things"."""
    index_of = metadata.get("stuff_dataset_id_to_contiguous_id")
    names = list(metadata.get("stuff_classes") or [])
    if index_of is None:
        return tuple(range(len(names)))
    id_of = {index: int(category_id) for category_id, index in index_of.items()}
    return tuple(None if (i == 0 and name == "things") else id_of.get(i) for i, name in enumerate(names))
