"""One image in, plain data out: Detectron2's `DefaultPredictor` with safe weights and data set ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import build_model

from thingstuff.data.catalog import metadata_with_classes
from thingstuff.engine.panoptic import PanopticOption
from thingstuff.engine.preprocess import Preprocess
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import ConfigError, DataError
from thingstuff.modeling.prediction import Prediction
from thingstuff.modeling.read_outputs import OutputReader
from thingstuff.modeling.stuff_sources import STUFF_IMAGE, Inputs
from thingstuff.structures import Categories


class Predictor:
    """Calls a Detectron2 model on single BGR images with the pre-processing of its config."""

    @configurable
    def __init__(
        self,
        *,
        model: torch.nn.Module,
        reader: OutputReader,
        preprocess: Preprocess,
        stuff_preprocess: Preprocess | None = None,
    ) -> None:
        self.model = model.eval()
        self._reader = reader
        self._preprocess = preprocess
        self._stuff_preprocess = stuff_preprocess

    @classmethod
    def from_config(cls, cfg: CfgNode, model: torch.nn.Module | None = None) -> dict[str, Any]:
        """With no `model` it is built and `MODEL.WEIGHTS` must fill all of it. PANOPTIC adds stuff to it."""
        if not cfg.DATASETS.TEST:
            raise ConfigError("DATASETS.TEST is empty: name the data set whose classes the model predicts")
        metadata = metadata_with_classes(cfg.DATASETS.TEST[0])
        option = PanopticOption.from_config(cfg)
        if model is None:
            model = build_model(cfg)
            Checkpointer(model, whole_model=True).load(cfg.MODEL.WEIGHTS)
        if option is not None:
            return {
                "model": option.wrap(model),
                "reader": OutputReader(option.categories, metadata),
                "preprocess": option.preprocess,
                "stuff_preprocess": option.stuff_preprocess,
            }
        categories = _categories(metadata, has_stuff=hasattr(model, "sem_seg_head"))
        return {
            "model": model,
            "reader": OutputReader(categories, metadata),
            "preprocess": Preprocess.from_config(cfg),
        }

    @property
    def categories(self) -> Categories:
        return self._reader.categories

    def __call__(self, image_bgr: np.ndarray, file_name: str | Path | None = None) -> Prediction:
        """H x W x 3 uint8 BGR -> what the model finds, in the pixels of that image.

        `file_name` says where the image is from: stuff from files is found by it.
        """
        return self.predict([self._model_input(image_bgr, file_name)])[0]

    def predict(self, inputs: Inputs) -> list[Prediction]:
        """Detectron2's model inputs, made elsewhere, as one batch -> what the model finds in each."""
        with torch.inference_mode():
            return self._reader(self.model, inputs)

    def _model_input(self, image_bgr: np.ndarray, file_name: str | Path | None) -> dict[str, Any]:
        height, width = image_bgr.shape[:2]
        one = {"image": self._preprocess(image_bgr), "height": height, "width": width}
        if self._stuff_preprocess is not None:
            one[STUFF_IMAGE] = self._stuff_preprocess(image_bgr)
        return one if file_name is None else one | {"file_name": str(file_name)}


def _categories(metadata: Any, has_stuff: bool) -> Categories:
    """All of the data set's, or its things alone where it numbers things and stuff apart, as Cityscapes does."""
    try:
        return Categories.from_metadata(metadata)
    except DataError:
        if has_stuff:
            raise
        things = {key: value for key, value in metadata.as_dict().items() if key.startswith("thing_")}
        return Categories.from_metadata(things)
