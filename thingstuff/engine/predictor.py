"""Images in, plain data out: Detectron2's `DefaultPredictor` with safe weights, data set ids, modes and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import build_model

from thingstuff.data.catalog import metadata_with_classes
from thingstuff.engine.allocator import keep_freed_memory
from thingstuff.engine.mode import Mode
from thingstuff.engine.out_of_memory import name_what_fits
from thingstuff.engine.panoptic import PanopticOption, merged_categories
from thingstuff.engine.preprocess import Preprocess
from thingstuff.engine.stream import Outcome, Readied, Started, Workers, batches, in_order
from thingstuff.engine.weights.checkpoint import Checkpointer
from thingstuff.errors import ConfigError, DataError
from thingstuff.modeling.augmented import augmented
from thingstuff.modeling.parts import Parts
from thingstuff.modeling.prediction import Prediction
from thingstuff.modeling.read_outputs import OutputReader
from thingstuff.modeling.stuff_sources import STUFF_IMAGE, Inputs, output_size
from thingstuff.structures import Categories

_Item = TypeVar("_Item")
Read = Callable[[_Item], tuple[np.ndarray, str | Path | None]]


class Predictor:
    """Calls a Detectron2 model on BGR images with the pre-processing of its config, one by one or as a stream."""

    @configurable
    def __init__(
        self,
        *,
        model: torch.nn.Module,
        reader: OutputReader,
        preprocess: Preprocess,
        stuff_preprocess: Preprocess | None = None,
        mode: Mode | None = None,
    ) -> None:
        """`model` computes in `mode` already; without one it is Detectron2's as it is."""
        self.model = model.eval()
        self.mode = mode or Mode("exact", None)
        self._reader = reader
        self._preprocess = preprocess
        self._stuff_preprocess = stuff_preprocess
        keep_freed_memory()

    @classmethod
    def from_config(cls, cfg: CfgNode, model: torch.nn.Module | None = None) -> dict[str, Any]:
        """With no `model` it is built and `MODEL.WEIGHTS` must fill all of it; one that is given stays as it is.

        PANOPTIC adds stuff to it, and TEST.MODE says how it computes.
        """
        if not cfg.DATASETS.TEST:
            raise ConfigError("DATASETS.TEST is empty: name the data set whose classes the model predicts")
        metadata = metadata_with_classes(cfg.DATASETS.TEST[0])
        mode, option = Mode.from_config(cfg), PanopticOption.from_config(cfg)
        ready = mode.prepare if model is None else mode.prepared_copy
        if model is None:
            model = build_model(cfg)
            Checkpointer(model, whole_model=True).load(cfg.MODEL.WEIGHTS)
        model = augmented(cfg, ready(model))
        if option is not None:
            return {
                "model": option.wrap(model),
                "reader": OutputReader(option.categories, metadata),
                "preprocess": option.preprocess,
                "stuff_preprocess": option.stuff_preprocess,
                "mode": mode,
            }
        categories = _categories(metadata, has_stuff=hasattr(model, "sem_seg_head"))
        return {
            "model": model,
            "reader": OutputReader(categories, metadata),
            "preprocess": Preprocess.from_config(cfg),
            "mode": mode,
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
        return [finish() for finish in self._start(inputs)]

    def stream(self, items: Iterable[_Item], read: Read[_Item], batch: int = 1) -> Iterator[Outcome[_Item]]:
        """What the model finds in each item, in their order, while the next are read and the last are finished.

        `read` gives the image of an item and the name of its file; a DataError that it raises is the outcome of that
        item alone. Up to `batch` images go through the network together if they follow one another and have the same
        size there, so that no image is padded for another's sake. In mode exact each goes alone, since the last bits
        depend on how many there are. No more than a few images are held at a time.
        """
        if batch < 1:
            raise ConfigError(f"the batch must be 1 or more images, got {batch}")
        together = 1 if self.mode.dtype is None else batch
        with Workers.here(self._device_type) as workers:
            readied = in_order(workers.reading, lambda item: self._ready(item, read), items, workers.ahead + together)
            yield from in_order(
                workers.finishing, Started.finished, self._started(readied, together), workers.ahead + together
            )

    def _ready(self, item: _Item, read: Read[_Item]) -> Readied[_Item]:
        try:
            image_bgr, file_name = read(item)
        except DataError as error:
            return Readied(item, error=error)
        return Readied(item, image_bgr, self._model_input(image_bgr, file_name))

    def _started(self, readied: Iterable[Readied[_Item]], together: int) -> Iterator[Started[_Item]]:
        """Each with what is left to be done for it when the network has seen it."""
        for group in batches(readied, together):
            try:
                yield from self._start_together(group)
            except DataError as error:  # such as a label map that is not there: whose fault is it?
                if len(group) > 1:
                    yield from self._started(group, 1)
                else:
                    yield Started(group[0].item, error=error)

    def _start_together(self, group: Sequence[Readied[_Item]]) -> list[Started[_Item]]:
        inputs = [one.model_input for one in group if one.model_input is not None]
        finishes = iter(self._start(inputs) if inputs else [])
        return [
            Started(one.item, one.image_bgr, None if one.error else next(finishes), error=one.error) for one in group
        ]

    def _start(self, inputs: Inputs) -> list[Callable[[], Prediction]]:
        height, width = max(output_size(one) for one in inputs)
        with name_what_fits(height, width, batch=len(inputs)), torch.inference_mode():
            return self._reader.start(self.model, inputs)

    @property
    def _device_type(self) -> str:
        return next((parameter.device.type for parameter in self.model.parameters()), "cpu")

    def parts(self, image_bgr: np.ndarray, file_name: str | Path | None = None) -> Parts:
        """The same for a part of a larger image: things and stuff are not merged, and stuff comes with its scores."""
        with name_what_fits(*image_bgr.shape[:2]), torch.inference_mode():
            return self._reader.parts(self.model, [self._model_input(image_bgr, file_name)])[0]

    def _model_input(self, image_bgr: np.ndarray, file_name: str | Path | None) -> dict[str, Any]:
        height, width = image_bgr.shape[:2]
        one = {"image": self._preprocess(image_bgr), "height": height, "width": width}
        if self._stuff_preprocess is not None:
            one[STUFF_IMAGE] = self._stuff_preprocess(image_bgr)
        return one if file_name is None else one | {"file_name": str(file_name)}


def predicted_categories(cfg: CfgNode) -> Categories:
    """`Predictor(cfg).categories`, without the network where that is not asked for them."""
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty: name the data set whose classes the model predicts")
    if cfg.PANOPTIC.ENABLED:
        return merged_categories(cfg)
    try:
        return Categories.from_metadata(metadata_with_classes(cfg.DATASETS.TEST[0]))
    except DataError:  # whether it has stuff decides
        return Predictor(cfg).categories


def _categories(metadata: Any, has_stuff: bool) -> Categories:
    """All of the data set's, or its things alone where it numbers things and stuff apart, as Cityscapes does."""
    try:
        return Categories.from_metadata(metadata)
    except DataError:
        if has_stuff:
            raise
        things = {key: value for key, value in metadata.as_dict().items() if key.startswith("thing_")}
        return Categories.from_metadata(things)
