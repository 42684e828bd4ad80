"""Where stuff comes from: a semantic head on the same features, a second model, or files that somebody else made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from detectron2.modeling import PanopticFPN, SemanticSegmentor
from detectron2.modeling.postprocessing import sem_seg_postprocess
from detectron2.structures import ImageList
from numpy.typing import NDArray
from torch import nn

from thingstuff.modeling.inference.semantic import small_scores
from thingstuff.modeling.label_space import LabelSpace
from thingstuff.modeling.parts import LabelScores
from thingstuff.modeling.semantic_logits import SemanticLogits
from thingstuff.modeling.stuff_files import StuffFiles
from thingstuff.structures import VOID, Categories

STUFF_IMAGE = "stuff_image"  # of an input: the image as the second model wants it, where that is another one

Inputs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Stuff:
    """One image's stuff map, and on demand the C x H x W scores that Detectron2 calls `sem_seg`.

    `label_scores` are the scores of whoever predicted the map, in labels of their own; None where nobody did.
    """

    stuff_map: NDArray[np.uint16]
    scores: Callable[[], torch.Tensor]
    label_scores: LabelScores | None = None


class StuffSource(Protocol):
    """Called with Detectron2's model inputs and, where the instance model has one, its semantic head's logits."""

    def __call__(self, inputs: Inputs, head_logits: list[SemanticLogits] | None) -> list[Stuff]: ...


@dataclass(frozen=True, eq=False)
class HeadSource:
    """The semantic head of a PanopticFPN, whose logits come with its instances."""

    labels: LabelSpace
    categories: Categories

    def __call__(self, inputs: Inputs, head_logits: list[SemanticLogits] | None) -> list[Stuff]:
        if head_logits is None:
            raise TypeError("expected a model with a semantic head (PanopticFPN), got one without")
        pairs = zip(inputs, head_logits, strict=True)
        return [_stuff_of_logits(logits, one, self.labels, self.categories) for one, logits in pairs]


class ModelSource(nn.Module):
    """A second model, trained alone. It sees `stuff_image` where an input has one, or else the same image."""

    def __init__(self, model: nn.Module, labels: LabelSpace, categories: Categories) -> None:
        super().__init__()
        self.model = model
        self._labels, self._categories = labels, categories
        self._same_labels = labels == LabelSpace.of(categories)

    def train(self, mode: bool = True) -> ModelSource:
        """It is never trained here, whatever happens to the instance model."""
        return super().train(False)

    def with_model(self, model: nn.Module) -> ModelSource:
        """The same with another model of the same labels."""
        return ModelSource(model.eval(), self._labels, self._categories)

    def forward(self, inputs: Inputs, head_logits: list[SemanticLogits] | None = None) -> list[Stuff]:
        seen = [{**one, "image": one.get(STUFF_IMAGE, one["image"])} for one in inputs]
        logits = semantic_logits(self.model, seen)
        return [self._stuff(one, answer) for one, answer in zip(seen, logits, strict=True)]

    def _stuff(self, one: Mapping[str, Any], logits: SemanticLogits) -> Stuff:
        stuff = _stuff_of_logits(logits, one, self._labels, self._categories)
        if self._same_labels:
            return stuff
        return replace(stuff, scores=lambda: one_hot(stuff.stuff_map, self._categories))


@dataclass(frozen=True, eq=False)
class FileSource:
    """Label maps from files, found by the name of the image."""

    files: StuffFiles
    categories: Categories

    def __call__(self, inputs: Inputs, head_logits: list[SemanticLogits] | None) -> list[Stuff]:
        return [self._stuff(one) for one in inputs]

    def _stuff(self, one: Mapping[str, Any]) -> Stuff:
        height, width = output_size(one)
        stuff_map = self.files.read(one.get("file_name"), height, width)
        return Stuff(stuff_map, lambda: one_hot(stuff_map, self.categories))


def output_size(one: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the answer to a model input: those it asks for, or else its image's own."""
    height, width = one["image"].shape[-2:]
    return int(one.get("height", height)), int(one.get("width", width))


def semantic_logits(model: nn.Module, inputs: Inputs) -> list[SemanticLogits]:
    """The scores of each image, before they are scaled to its size wherever the model can be stopped there."""
    if isinstance(model, PanopticFPN) or type(model).forward is SemanticSegmentor.forward:
        images = [(one["image"].to(model.device) - model.pixel_mean) / model.pixel_std for one in inputs]
        constraints = model.backbone.padding_constraints
        batch = ImageList.from_tensors(images, model.backbone.size_divisibility, padding_constraints=constraints)
        with small_scores(model) as stride:
            return SemanticLogits.each(model.sem_seg_head(model.backbone(batch.tensor), None)[0], stride)
    if hasattr(model, "averaged_scores"):  # a semantic model with test-time augmentation
        return SemanticLogits.each(model.averaged_scores(inputs))
    unscaled = [{k: v for k, v in one.items() if k not in ("height", "width")} for one in inputs]
    return SemanticLogits.each([answer["sem_seg"] for answer in model(unscaled)])


def one_hot(stuff_map: NDArray[np.uint16], categories: Categories) -> torch.Tensor:
    """Stuff map -> (stuff + 1) x H x W float32 scores of 0 and 1; void, which no channel means, is 0 everywhere."""
    labels = torch.from_numpy(np.where(stuff_map == VOID, len(categories.stuff) + 1, stuff_map).astype(np.int64))
    channels = torch.arange(len(categories.stuff) + 1)[:, None, None]
    return (labels[None] == channels).float()


def _stuff_of_logits(
    logits: SemanticLogits, one: Mapping[str, Any], labels: LabelSpace, categories: Categories
) -> Stuff:
    input_size = tuple(one["image"].shape[-2:])
    height, width = output_size(one)
    stuff_map = labels.stuff_map(logits.labels(input_size, height, width), categories)
    scores = scores_of_logits(logits, one)
    return Stuff(stuff_map, scores, LabelScores(scores, labels))


def scores_of_logits(logits: SemanticLogits, one: Mapping[str, Any]) -> Callable[[], torch.Tensor]:
    """Logits of a model input -> what makes the C x H x W scores of its answer, as Detectron2 does."""
    input_size = tuple(one["image"].shape[-2:])
    return lambda: sem_seg_postprocess(logits.full(), input_size, *output_size(one))
