"""Hooks that put a `Load` in place of what a network's heads have computed, and mark the stages of a call.

Each head computes its own answer first, which is then replaced; the time of replacing counts for nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from thingstuff.benchmark.prediction.load import BLOBS, Load, blob_probs
from thingstuff.benchmark.prediction.stages import INJECTED, StageClock, mark_around, mark_module

TORCHVISION_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
_STUFF_CELLS = 12  # on each side of the smooth fields that stand for a semantic head's scores


@dataclass
class Injection:
    """`load` is that of every image of the next calls; None leaves a network to itself."""

    clock: StageClock
    load: Load | None = None
    _kept: dict[Any, Any] = field(default_factory=dict)

    def kept(self, make: Any, *key: Any) -> Any:
        """What `make` gives, made once for a key."""
        whole = (make, *key)
        if whole not in self._kept:
            self._kept[whole] = make(*key)
        return self._kept[whole]


# ---- Detectron2 ------------------------------------------------------------------------------------------------------


def inject_detectron2(model: Any, injection: Injection, weights: tuple[float, ...]) -> None:
    """Into a `GeneralizedRCNN` or its kin, converted or not; `weights` are those of the box coder."""
    clock, heads = injection.clock, model.roi_heads
    mark_module(model.backbone, clock, before="resize", after="backbone")
    # by its method, since what is pooled for masks is of the masks, whoever pools it
    mark_around(heads, "_forward_mask", clock, "boxes", "masks")
    if hasattr(model, "sem_seg_head"):
        _replace(model.sem_seg_head, injection, "stuff head", lambda found: _stuff_scores(found, injection))
    _replace(model.proposal_generator, injection, "proposals", lambda found: _proposals(found, injection))
    _replace(heads.box_predictor, injection, "boxes", lambda found: _classified(found, injection, weights))
    _replace(heads.mask_head, injection, "masks", lambda found: _with_blobs(found, injection))


def _replace(module: Any, injection: Injection, stage: str, replaced: Any) -> None:
    """After `module`: mark the stage, and give what `replaced` makes of its answer."""

    def hook(_module: Any, _inputs: Any, found: Any) -> Any:
        injection.clock.mark(stage)
        if injection.load is None:
            return None  # the answer stays
        with torch.no_grad():
            answer = replaced(found)
        injection.clock.mark(INJECTED)
        return answer

    module.register_forward_hook(hook)


def _proposals(found: tuple[Sequence[Instances], Any], injection: Injection) -> tuple[list[Instances], Any]:
    return [_as_instances(own, injection.load) for own in found[0]], found[1]


def _as_instances(own: Instances, load: Load) -> Instances:
    like = own.proposal_boxes.tensor
    boxes = torch.from_numpy(load.proposals(*own.image_size)).to(like.device, like.dtype)
    logits = torch.linspace(5, -5, len(boxes), device=like.device)  # the best first, as an RPN gives them
    return Instances(own.image_size, proposal_boxes=Boxes(boxes), objectness_logits=logits)


def _classified(found: tuple[torch.Tensor, ...], injection: Injection, weights: tuple[float, ...]) -> tuple[Any, Any]:
    return _head_rows(injection.load, found, weights, background_first=False)


def _head_rows(
    load: Load, found: tuple[torch.Tensor, ...], weights: tuple[float, ...], background_first: bool
) -> tuple[torch.Tensor, ...]:
    """In the shapes of what a head found: R x (K + 1) scores and R x 4B deltas, R = P for each image."""
    scores, deltas = found
    rows = (load.logits(scores.shape[1] - 1, background_first), np.tile(load.deltas(weights), deltas.shape[1] // 4))
    return tuple(_repeated(own, like) for own, like in zip(rows, found, strict=True))


def _repeated(rows: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    images = len(like) // len(rows)
    if len(like) != images * len(rows):
        raise RuntimeError(f"a head classified {len(like)} proposals, expected {len(rows)} of each image")
    return torch.from_numpy(np.tile(rows, (images, 1))).to(like.device, like.dtype)


def _with_blobs(found: Sequence[Instances], injection: Injection) -> Sequence[Instances]:
    """`pred_masks`, N x 1 x M x M or N x M x M probabilities, by the classes of the instances."""
    for instances in found:
        masks = instances.pred_masks
        like = masks if isinstance(masks, torch.Tensor) else masks.tensor
        blobs = injection.kept(_blobs, like.shape[-1]).to(like.device, like.dtype)
        chosen = blobs[instances.pred_classes % BLOBS].reshape(like.shape)
        instances.pred_masks = chosen if isinstance(masks, torch.Tensor) else type(masks)(chosen)
    return found


def _blobs(cells: int) -> torch.Tensor:
    return torch.from_numpy(blob_probs(cells))


def _stuff_scores(found: tuple[torch.Tensor, Any], injection: Injection) -> tuple[torch.Tensor, Any]:
    """Smooth fields, of which another one is the highest in each region of the image."""
    fields = injection.kept(_fields, tuple(found[0].shape))
    return torch.empty_like(found[0]).copy_(fields), found[1]  # in the same layout in memory


def _fields(shape: tuple[int, ...]) -> torch.Tensor:
    rng = np.random.default_rng(shape[1])
    coarse = torch.from_numpy(rng.normal(0, 3, (1, shape[1], _STUFF_CELLS, _STUFF_CELLS)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode="bicubic", align_corners=False)
    return smooth.expand(shape).contiguous()


# ---- torchvision -----------------------------------------------------------------------------------------------------


def inject_torchvision(model: Any, injection: Injection) -> None:
    """Into torchvision's `MaskRCNN`.

    Under autocast it would round boxes to the precision of their deltas, by pixels; the load's stay in float32.
    """
    clock, heads = injection.clock, model.roi_heads
    mark_module(model.transform, clock, after="resize")
    mark_module(model.backbone, clock, after="backbone")
    sizes: list[Any] = []
    model.rpn.register_forward_pre_hook(lambda _module, inputs: sizes.__setitem__(slice(None), inputs[0].image_sizes))
    _replace(model.rpn, injection, "proposals", lambda found: _torchvision_proposals(found, sizes, injection))
    _replace(heads.box_predictor, injection, "boxes", lambda found: _torchvision_classified(found, injection))
    _replace(heads.mask_predictor, injection, "masks", lambda found: _torchvision_masks(found, injection))
    mark_module(heads.mask_roi_pool, clock, before="boxes")
    mark_module(heads, clock, after="masks")


def _torchvision_proposals(found: Any, sizes: Sequence[Any], injection: Injection) -> tuple[list[torch.Tensor], Any]:
    pairs = zip(found[0], sizes, strict=True)
    return [torch.from_numpy(injection.load.proposals(*size)).to(own.device) for own, size in pairs], found[1]


def _torchvision_classified(found: tuple[torch.Tensor, ...], injection: Injection) -> tuple[Any, ...]:
    wide = tuple(own.float() for own in found)
    return _head_rows(injection.load, wide, TORCHVISION_WEIGHTS, background_first=True)


def _torchvision_masks(found: torch.Tensor, injection: Injection) -> torch.Tensor:
    """N x C x M x M logits, every class with its own blob; class 0 is the background."""
    probs = injection.kept(_blobs, found.shape[-1])
    of_classes = torch.logit(probs[(torch.arange(found.shape[1]) - 1) % BLOBS]).to(found.device, found.dtype)
    return of_classes.expand(found.shape).contiguous()
