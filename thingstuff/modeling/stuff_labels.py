"""Semantic logits to labels in the size of the image, class by class where C x H x W scores would be large."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

WHOLE_BYTES = 256 << 20  # scores of up to this size are made in one go
FEW_CLASSES = 3  # torch has another kernel for so few, which rounds in another way


def stuff_labels(
    logits: torch.Tensor, input_size: tuple[int, int], output_height: int, output_width: int
) -> NDArray[np.integer[Any]]:
    """C x h x w logits on any device -> H x W labels 0 to C - 1, uint8 where that holds them and else int32.

    `input_size` is the (height, width) of the network's input without its padding. The labels are those of Detectron2's
    `sem_seg_postprocess(...).argmax(dim=0)` on the CPU: of equal scores the first class wins, and NaN wins over all.
    Scores of more than 256 MiB are made a class at a time; they are the same to the bit, except that torch rounds
    channels-last logits in another way when it sees all classes. From a GPU nothing but the labels is fetched.
    """
    seen = logits.detach()[:, : input_size[0], : input_size[1]]
    size = (output_height, output_width)
    labels = torch.zeros(size, dtype=torch.uint8 if len(seen) <= 256 else torch.int32, device=seen.device)
    best = torch.full(size, -torch.inf, dtype=seen.dtype, device=seen.device)
    together = _classes_together(seen, size)
    for first in range(0, len(seen), together):
        group = seen[None, first : first + together]
        # No name for the scores here: the next ones would be made beside them.
        _keep_best(best, labels, first, F.interpolate(group, size=size, mode="bilinear", align_corners=False)[0])
    return labels.cpu().numpy()


def _classes_together(seen: torch.Tensor, size: tuple[int, int]) -> int:
    scores_bytes = len(seen) * size[0] * size[1] * seen.element_size()
    return max(len(seen), 1) if len(seen) <= FEW_CLASSES or scores_bytes <= WHOLE_BYTES else 1


def _keep_best(best: torch.Tensor, labels: torch.Tensor, first: int, group: torch.Tensor) -> None:
    """Where a class of the group, whose labels begin with `first`, exceeds the best so far, write both."""
    for label, scores in enumerate(group, first):
        better = scores.le(best).logical_not_()
        better &= best.eq(best)  # the first NaN stays
        labels.masked_fill_(better, label)
        torch.maximum(best, scores, out=best)
