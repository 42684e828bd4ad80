"""Test-time augmentation: a model asked about an image in several sizes, mirrored too, and its answers averaged.

For instances this is Detectron2's `GeneralizedRCNNWithTTA`: boxes of all versions go through one suppression, then the
masks in them are averaged. Detectron2 has nothing like it for semantic models; here their softmax scores are averaged.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import RandomFlip, ResizeTransform, apply_augmentations
from detectron2.modeling import (
    DatasetMapperTTA,
    GeneralizedRCNN,
    GeneralizedRCNNWithTTA,
    PanopticFPN,
    SemanticSegmentor,
)
from detectron2.modeling.postprocessing import detector_postprocess, sem_seg_postprocess
from detectron2.structures import Instances
from fvcore.transforms import HFlipTransform, NoOpTransform
from torch import nn
from torch.nn import functional as F

from thingstuff.errors import ConfigError
from thingstuff.modeling.resize import ResizeShortestEdge
from thingstuff.modeling.stuff_sources import Inputs, output_size, semantic_logits

TOGETHER = 3  # versions of an image that are computed in one batch, as in Detectron2


def augmented(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """`model`, a Detectron2 model, with the augmentation of TEST.AUG around it; the model itself where that is off."""
    if not cfg.TEST.AUG.ENABLED:
        return model
    if not cfg.TEST.AUG.MIN_SIZES or min(cfg.TEST.AUG.MIN_SIZES) < 1 or cfg.TEST.AUG.MAX_SIZE < 1:
        raise ConfigError("TEST.AUG: expected MIN_SIZES and MAX_SIZE to be sizes in pixels, 1 or more")
    if isinstance(model, GeneralizedRCNN):
        for key, is_set in (("KEYPOINT_ON", cfg.MODEL.KEYPOINT_ON), ("LOAD_PROPOSALS", cfg.MODEL.LOAD_PROPOSALS)):
            if is_set:
                raise ConfigError(f"TEST.AUG cannot be used with MODEL.{key}: set TEST.AUG.ENABLED False")
        return AugmentedRcnn(cfg, model)
    if type(model).forward is SemanticSegmentor.forward:
        return AugmentedSegmentor(model, Versions(cfg))
    kind = type(model).__name__
    raise ConfigError(f"TEST.AUG is for R-CNNs and semantic models, this is a {kind}: set TEST.AUG.ENABLED False")


class Versions(DatasetMapperTTA):
    """Detectron2's versions of an image. Unlike there an image may be thin, and one of floats is taken as bytes.

    Detectron2's evaluation hands bytes over, and resizes floats in another way.
    """

    def __call__(self, one: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A model input -> one for each size and flip, with its `transforms` from the output image."""
        pixels = one["image"].to("cpu", torch.uint8).permute(1, 2, 0).numpy()
        height, width = output_size(one)
        resized = pixels.shape[:2] != (height, width)
        before = ResizeTransform(height, width, *pixels.shape[:2]) if resized else NoOpTransform()
        made = []
        for size, flips in itertools.product(self.min_sizes, [[], [RandomFlip(prob=1.0)]][: 1 + self.flip]):
            image, steps = apply_augmentations([ResizeShortestEdge(size, self.max_size), *flips], pixels.copy())
            tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
            made.append({"image": tensor, "height": height, "width": width, "transforms": before + steps})
        return made


class AugmentedRcnn(GeneralizedRCNNWithTTA):
    """Detectron2's, to the last bit, stopped before its masks are blown up to N x H x W.

    A PanopticFPN, which Detectron2's cannot take, is asked for its instances; its semantic scores are averaged.
    """

    def __init__(self, cfg: CfgNode, model: GeneralizedRCNN) -> None:
        versions = Versions(cfg)
        super().__init__(cfg, model, tta_mapper=versions, batch_size=TOGETHER)
        self._semantic = AugmentedSegmentor(model, versions) if isinstance(model, PanopticFPN) else None
        self.train(model.training)

    @property
    def device(self) -> torch.device:
        return self.model.device

    def inference(
        self, inputs: Inputs, detected_instances: None = None, do_postprocess: bool = True
    ) -> list[dict[str, Any]] | list[Instances] | tuple[list[Instances], list[torch.Tensor]]:
        """As of the model itself. Without postprocessing: instances in pixels of the output image, masks N x 1 x M x M.

        Of a PanopticFPN then also the C x h x w mean of the softmax scores, in the size of the input.
        """
        found = [self._instances(one) for one in inputs]
        if do_postprocess:
            return [{"instances": _postprocessed(one, self.cfg.MODEL.MASK_ON)} for one in found]
        return found if self._semantic is None else (found, self._semantic.averaged_scores(inputs))

    def __call__(self, inputs: Inputs) -> list[dict[str, Any]]:
        return self.inference(inputs)

    def _instances(self, one: Mapping[str, Any]) -> Instances:
        """`GeneralizedRCNNWithTTA._inference_one_image` without its last step."""
        versions, transforms = self._get_augmented_inputs(one)
        with self._turn_off_roi_heads(["mask_on", "keypoint_on"]):
            boxes = self._get_augmented_boxes(versions, transforms)
        merged = self._merge_detections(*boxes, output_size(one))
        if self.cfg.MODEL.MASK_ON:
            rescaled = self._rescale_detected_boxes(versions, merged, transforms)
            merged.pred_masks = self._reduce_pred_masks(self._batch_inference(versions, rescaled), transforms)
        return merged

    def _batch_inference(self, versions: Sequence[Any], detected: Sequence[Instances] | None = None) -> list[Instances]:
        """Of the R-CNN in the model: a PanopticFPN's own method takes no boxes."""
        answers: list[Instances] = []
        for first in range(0, len(versions), self.batch_size):
            batch = slice(first, first + self.batch_size)
            boxes = None if detected is None else detected[batch]
            answers += GeneralizedRCNN.inference(self.model, versions[batch], boxes, do_postprocess=False)
        return answers

    @contextmanager
    def _turn_off_roi_heads(self, names: Sequence[str]) -> Iterator[None]:
        """Detectron2's leaves the heads off for good when something fails on the way, as memory may."""
        heads = self.model.roi_heads
        before = {name: getattr(heads, name) for name in names if hasattr(heads, name)}
        try:
            for name in before:
                setattr(heads, name, False)
            yield
        finally:
            for name, value in before.items():
                setattr(heads, name, value)


def _postprocessed(instances: Instances, has_masks: bool) -> Instances:
    return detector_postprocess(instances, *instances.image_size) if has_masks else instances


class AugmentedSegmentor(nn.Module):
    """A semantic model whose softmax scores are averaged over the versions of an image."""

    def __init__(self, model: nn.Module, versions: Versions) -> None:
        super().__init__()
        self.model, self._versions = model, versions
        self.train(model.training)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def sem_seg_head(self) -> nn.Module:
        return self.model.sem_seg_head

    def forward(self, inputs: Inputs) -> list[dict[str, torch.Tensor]]:
        """As of a SemanticSegmentor: "sem_seg", C x H x W scores in the output's size."""
        sizes = [(tuple(one["image"].shape[-2:]), *output_size(one)) for one in inputs]
        pairs = zip(self.averaged_scores(inputs), sizes, strict=True)
        return [{"sem_seg": sem_seg_postprocess(scores, *size)} for scores, size in pairs]

    def averaged_scores(self, inputs: Inputs) -> list[torch.Tensor]:
        """C x h x w float32 of each input, in the input's size, on the model's device."""
        return [self._mean(one) for one in inputs]

    def _mean(self, one: Mapping[str, Any]) -> torch.Tensor:
        size = tuple(one["image"].shape[-2:])
        versions = self._versions(one)
        total: torch.Tensor | int = 0
        for version in versions:  # one at a time: scores of several would be large
            total = total + self._scores(version, size)
        return total / len(versions)

    def _scores(self, version: Mapping[str, Any], size: tuple[int, ...]) -> torch.Tensor:
        height, width = version["image"].shape[-2:]
        logits = semantic_logits(self.model, [version])[0].full()[:, :height, :width]
        mirrored = any(isinstance(step, HFlipTransform) for step in version["transforms"].transforms)
        probs = logits.float().softmax(dim=0)
        probs = probs.flip(2) if mirrored else probs
        return F.interpolate(probs[None], size=size, mode="bilinear", align_corners=False)[0]
