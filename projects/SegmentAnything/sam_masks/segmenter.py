"""Segmenter: an image and its prompts -> one mask for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sam_masks.network import Encoded, Network
from sam_masks.prompts import Prompts
from sam_masks.upscale import joined, masks_above
from thingstuff.engine.out_of_memory import is_out_of_memory
from thingstuff.errors import SetupError
from thingstuff.structures import MaskCrops


@dataclass(frozen=True)
class MaskOptions:
    """How masks are made.

    `multimask`: the best, by predicted IoU, of the three that SAM has for an ambiguous prompt; without it the one that
    is meant for a prompt that is not. `mask_thresh` is of logits: 0 is a probability of a half. `batch` prompts go
    through the decoder together.
    """

    multimask: bool = True
    mask_thresh: float = 0.0
    batch: int = 64


@dataclass(frozen=True, eq=False)
class Answers:
    """N masks, and N float32 IoUs that the network expects them to have."""

    masks: MaskCrops
    ious: np.ndarray


_DEFAULT = MaskOptions()


class Segmenter:
    """Encodes an image once and decodes its prompts in batches."""

    def __init__(self, network: Network, options: MaskOptions = _DEFAULT) -> None:
        self._network = network
        self.options = options

    def __call__(self, image_bgr: np.ndarray, prompts: Prompts) -> Answers:
        """H x W x 3 uint8 BGR. An image without prompts is not encoded."""
        return self.several(image_bgr, [prompts])[0]

    def several(self, image_bgr: np.ndarray, groups: list[Prompts]) -> list[Answers]:
        """The answers for several kinds of prompts, for which the image is still encoded once."""
        if not any(map(len, groups)):
            return [_nothing(*image_bgr.shape[:2]) for _ in groups]
        encoded = self.encode(image_bgr)
        return [self._answers(encoded, prompts) for prompts in groups]

    def logits(self, encoded: Encoded, prompts: Prompts, *, multimask: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Batch by batch N x M x h x w mask logits and N x M predicted IoUs."""
        for batch in prompts.batches(self.options.batch):
            with _out_of_memory_named("the prompts of an image", f"--batch {max(1, self.options.batch // 2)}"):
                answer = self._network.decode(encoded, batch, multimask=multimask)
            yield answer

    def encode(self, image_bgr: np.ndarray) -> Encoded:
        with _out_of_memory_named("an image", "smaller weights, or --device cpu"):
            return self._network.encode(image_bgr)

    def _answers(self, encoded: Encoded, prompts: Prompts) -> Answers:
        masks, ious = [], [np.zeros(0, np.float32)]
        for logits, predicted in self.logits(encoded, prompts, multimask=self.options.multimask):
            chosen, expected = best_of_each(logits, predicted)
            masks.append(masks_above(chosen, encoded.frame, self.options.mask_thresh))
            ious.append(expected.float().cpu().numpy())
        return Answers(joined(masks, encoded.frame), np.concatenate(ious))


def best_of_each(logits: Tensor, ious: Tensor) -> tuple[Tensor, Tensor]:
    """N x M x h x w and N x M -> N x h x w and N, of the highest predicted IoU; the first of equal ones."""
    best = ious.argmax(dim=1)
    rows = torch.arange(len(best), device=best.device)
    return logits[rows, best], ious[rows, best]


@contextmanager
def _out_of_memory_named(what: str, way_out: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise SetupError(f"out of memory while looking at {what}: try {way_out}") from error


def _nothing(height: int, width: int) -> Answers:
    return Answers(MaskCrops.from_boxes((), height, width), np.zeros(0, np.float32))
