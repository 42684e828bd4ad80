"""One call for every kind of Detectron2 model: inputs in, plain data out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from detectron2.modeling import GeneralizedRCNN, PanopticFPN, SemanticSegmentor
from detectron2.structures import Instances
from numpy.typing import NDArray
from torch import nn

from thingstuff.modeling.augmented import AugmentedRcnn, AugmentedSegmentor
from thingstuff.modeling.label_space import LabelSpace
from thingstuff.modeling.outputs import to_detections
from thingstuff.modeling.panoptic_outputs import to_panoptic_map
from thingstuff.modeling.parts import LabelScores, Parts
from thingstuff.modeling.postprocess import read_instances
from thingstuff.modeling.prediction import Prediction
from thingstuff.modeling.semantic_logits import SemanticLogits
from thingstuff.modeling.stuff_sources import Inputs, output_size, scores_of_logits, semantic_logits
from thingstuff.modeling.things_and_stuff import ThingsAndStuff
from thingstuff.structures import Categories, Detections, MaskCrops


@dataclass(frozen=True)
class OutputReader:
    """Calls a model in inference and reads its answers; the classes are those of `metadata`.

    Detectron2's own architectures are stopped before they blow masks and scores up to N x H x W, and their small
    outputs are read; any other model is called as it is, or by its `answers_in_crops`, which gives MaskCrops for
    `pred_masks`. The answers are the same.
    """

    categories: Categories
    metadata: Any

    def __call__(self, model: nn.Module, inputs: Inputs) -> list[Prediction]:
        return [finish() for finish in self.start(model, inputs)]

    def start(self, model: nn.Module, inputs: Inputs) -> list[Callable[[], Prediction]]:
        """The network alone, for each input; what is called later, in any thread, makes its prediction without it."""
        if isinstance(model, ThingsAndStuff):
            return model.start(inputs)
        if _is_rcnn(model):
            raw = model.inference(inputs, do_postprocess=False)
            return [self._instances(*pair) for pair in zip(inputs, raw, strict=True)]
        if _is_segmentor(model):
            pairs = zip(inputs, semantic_logits(model, inputs), strict=True)
            return [_done(Prediction(stuff_map=self._stuff_map(logits, one))) for one, logits in pairs]
        finds_instances = getattr(model, "predict_instances", False)  # Panoptic-DeepLab leaves out what is empty
        call = getattr(model, "answers_in_crops", model)
        answers = zip(inputs, call(inputs), strict=True)
        return [_done(self._read(answer, output_size(one) if finds_instances else None)) for one, answer in answers]

    def _instances(self, one: Mapping[str, Any], raw: Instances) -> Callable[[], Prediction]:
        size = output_size(one)
        found = read_instances(raw, *size, self.categories)
        return lambda: Prediction(found.paste(*size))

    def parts(self, model: nn.Module, inputs: Inputs) -> list[Parts]:
        """The same before things and stuff are merged, with scores of stuff where the model has some."""
        if isinstance(model, ThingsAndStuff):
            return model.parts(inputs)
        if _is_segmentor(model):
            labels = LabelSpace.from_metadata(self.metadata)
            pairs = zip(inputs, semantic_logits(model, inputs), strict=True)
            return [Parts(stuff=LabelScores(scores_of_logits(logits, one), labels)) for one, logits in pairs]
        return [Parts.of(found, self.categories) for found in self(model, inputs)]

    def _stuff_map(self, logits: SemanticLogits, one: Mapping[str, Any]) -> NDArray[Any]:
        labels = logits.labels(tuple(one["image"].shape[-2:]), *output_size(one))
        return LabelSpace.from_metadata(self.metadata).stuff_map(labels, self.categories)

    def _read(self, answer: Mapping[str, Any], size_if_empty: tuple[int, int] | None) -> Prediction:
        """From the outputs that Detectron2 documents."""
        detections = stuff_map = panoptic = None
        if size_if_empty is not None:
            detections = _no_detections(*size_if_empty)
        if "instances" in answer:
            detections = to_detections(answer["instances"], self.categories)
        if "sem_seg" in answer:
            labels = answer["sem_seg"].argmax(dim=0).cpu().numpy()
            stuff_map = LabelSpace.from_metadata(self.metadata).stuff_map(labels, self.categories)
        if "panoptic_seg" in answer:
            panoptic = to_panoptic_map(answer["panoptic_seg"], self.metadata, self.categories)
        return Prediction(detections, stuff_map, panoptic)


def _done(prediction: Prediction) -> Callable[[], Prediction]:
    return lambda: prediction


def _is_rcnn(model: nn.Module) -> bool:
    """An R-CNN without stuff of its own."""
    rcnn = model.model if isinstance(model, AugmentedRcnn) else model
    return isinstance(rcnn, GeneralizedRCNN) and not isinstance(rcnn, PanopticFPN)


def _is_segmentor(model: nn.Module) -> bool:
    segmentor = model.model if isinstance(model, AugmentedSegmentor) else model
    return type(segmentor).forward is SemanticSegmentor.forward


def _no_detections(height: int, width: int) -> Detections:
    masks = MaskCrops((), np.zeros((0, 4), np.int32), height, width)
    return Detections(masks, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
