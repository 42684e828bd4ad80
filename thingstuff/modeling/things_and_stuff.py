"""Things + stuff: an instance model, a source of stuff and a merge rule, called as one Detectron2 model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.modeling import GeneralizedRCNN
from detectron2.structures import Boxes, Instances
from torch import nn

from thingstuff.errors import ConfigError
from thingstuff.merge import Rule
from thingstuff.modeling.augmented import AugmentedRcnn
from thingstuff.modeling.inference.semantic import small_scores
from thingstuff.modeling.panoptic_outputs import to_panoptic_seg
from thingstuff.modeling.parts import Parts
from thingstuff.modeling.postprocess import RoiInstances, paste_and_merge, postprocess_instances, read_instances
from thingstuff.modeling.prediction import Prediction
from thingstuff.modeling.semantic_logits import SemanticLogits
from thingstuff.modeling.stuff_sources import FileSource, Inputs, Stuff, StuffSource, output_size
from thingstuff.structures import Categories, Detections


@dataclass(frozen=True, eq=False)
class _Answer:
    prediction: Prediction
    stuff: Stuff


@dataclass(frozen=True, eq=False)
class _Found:
    """What the networks say of one image, before its masks are pasted."""

    instances: RoiInstances
    stuff: Stuff


class ThingsAndStuff(nn.Module):
    """For inference only; train the instance model itself.

    Called as a model it answers with Detectron2's keys `instances`, `sem_seg` and `panoptic_seg`, on the CPU, and with
    the `ledger` of the merge; `predict` gives the same as plain data, without an array of N x H x W. Classes are those
    of `categories`; `metadata`, which has the keys of a Detectron2 metadata entry, says how `panoptic_seg` numbers them
    (default: things and stuff apart).
    """

    def __init__(
        self,
        *,
        things: nn.Module,
        stuff: StuffSource,
        rule: Rule,
        categories: Categories,
        metadata: Any = None,
    ) -> None:
        super().__init__()
        refuse_other_than_rcnn(type(things))
        self.things = things
        self.stuff = stuff
        self.rule = rule
        self.categories = categories
        self._metadata = categories.to_metadata() if metadata is None else metadata
        self.train(things.training)

    @property
    def device(self) -> torch.device:
        return self.things.device

    def predict(self, inputs: Inputs) -> list[Prediction]:
        """Detectron2's model inputs -> detections, stuff map, panoptic map and ledger of each image."""
        return [finish() for finish in self.start(inputs)]

    def start(self, inputs: Inputs) -> list[Callable[[], Prediction]]:
        """The networks alone. What is called later, in any thread, pastes and merges without them."""
        return [lambda found=found: self._merged(found).prediction for found in self._found(inputs)]

    def parts(self, inputs: Inputs) -> list[Parts]:
        """The same before the merge. Stuff from files, which is that of a whole image, is left to the caller."""
        raw, head_logits = self._raw(inputs)
        found = [
            postprocess_instances(r, *output_size(one), self.categories) for one, r in zip(inputs, raw, strict=True)
        ]
        if isinstance(self.stuff, FileSource):
            return [Parts(detections, is_merged=True) for detections in found]
        pairs = zip(found, self.stuff(inputs, head_logits), strict=True)
        return [Parts(detections, stuff.label_scores, is_merged=True) for detections, stuff in pairs]

    def forward(self, inputs: Inputs) -> list[dict[str, Any]]:
        return [self._detectron2_output(self._merged(found)) for found in self._found(inputs)]

    def _found(self, inputs: Inputs) -> list[_Found]:
        instances, head_logits = self._raw(inputs)
        stuff = self.stuff(inputs, head_logits)
        return [
            _Found(read_instances(raw, *output_size(one), self.categories), shown)
            for one, raw, shown in zip(inputs, instances, stuff, strict=True)
        ]

    def _raw(self, inputs: Inputs) -> tuple[list[Instances], list[SemanticLogits] | None]:
        if self.training:
            raise RuntimeError("things + stuff are merged in inference only: call .eval() first")
        with small_scores(self.things) as stride:
            raw = self.things.inference(inputs, do_postprocess=False)
        return (raw[0], SemanticLogits.each(raw[1], stride)) if isinstance(raw, tuple) else (raw, None)

    def _merged(self, found: _Found) -> _Answer:
        stuff_map = found.stuff.stuff_map
        detections, panoptic, ledger = paste_and_merge(found.instances, stuff_map, self.categories, self.rule)
        return _Answer(Prediction(detections, stuff_map, panoptic, ledger), found.stuff)

    def _detectron2_output(self, answer: _Answer) -> dict[str, Any]:
        found = answer.prediction
        index_of = {e.segment_id: e.index for e in found.ledger.instances if e.segment_id is not None}
        return {
            "sem_seg": answer.stuff.scores(),
            "instances": to_instances(found.detections, self.categories),
            "ledger": found.ledger,
            "panoptic_seg": to_panoptic_seg(found.panoptic, index_of, self._metadata),
        }


def refuse_other_than_rcnn(architecture: object) -> None:
    """Only of an R-CNN are the raw instances known before they are blown up to N x H x W."""
    if isinstance(architecture, type) and not issubclass(architecture, GeneralizedRCNN | AugmentedRcnn):
        kind = architecture.__name__
        raise ConfigError(f"PANOPTIC.ENABLED needs a Mask R-CNN or one of its kin, MODEL.META_ARCHITECTURE is {kind}")


def to_instances(detections: Detections, categories: Categories) -> Instances:
    """Detections -> Detectron2's Instances on the CPU, with N x H x W masks and contiguous thing indices."""
    instances = Instances((detections.height, detections.width))
    instances.pred_boxes = Boxes(torch.from_numpy(detections.boxes_xyxy.copy()))
    instances.scores = torch.from_numpy(detections.scores.copy())
    instances.pred_classes = torch.from_numpy(categories.thing_indices(detections.category_ids))
    if detections.masks is not None:
        instances.pred_masks = torch.from_numpy(detections.masks.to_bitmaps())
    return instances
