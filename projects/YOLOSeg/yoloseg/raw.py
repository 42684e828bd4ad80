"""What the network says of each of its cells, in float32, whatever version of ultralytics and dtype it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_SIDES = 4


@dataclass(frozen=True)
class RawPredictions:
    """Of B images with A cells on all levels together.

    `distances` is B x 4 x A, from a cell's centre to the left, top, right and bottom side in strides; `scores`
    B x C x A logits, `coefficients` B x k x A, `prototypes` B x k x h x w; `centres` is 2 x A, x and y in strides, and
    `strides` A.
    """

    distances: Tensor
    scores: Tensor
    coefficients: Tensor
    prototypes: Tensor
    centres: Tensor
    strides: Tensor

    @classmethod
    def of(cls, answer: Any, head: Any) -> RawPredictions:
        """From the second part of what the network answers in evaluation; `head` is its last module."""
        parts = answer if isinstance(answer, dict) else _named(answer, head)
        levels = [tuple(level.shape[-2:]) for level in parts["feats"]]
        prototypes = parts["proto"].float()
        centres, strides = _cells(levels, head.stride.tolist(), prototypes.device)
        distances = head.dfl(parts["boxes"].float())
        scores, coefficients = parts["scores"].float(), parts["mask_coefficient"].float()
        return cls(distances, scores, coefficients, prototypes, centres, strides)

    def boxes_xyxy(self, image: int) -> Tensor:
        """A x 4 in pixels of the batch, by way of centre and size, so that they round as ultralytics' do."""
        low, high = self.distances[image].split(2)
        low, high = self.centres - low, self.centres + high
        centres, sizes = (low + high) / 2 * self.strides, (high - low) * self.strides
        return torch.cat([centres - sizes / 2, centres + sizes / 2]).T


def _named(answer: Sequence[Any], head: Any) -> dict[str, Any]:
    """ultralytics 8.3 gives levels (B x (4 bins + C) x h x w each), coefficients and prototypes."""
    levels, coefficients, prototypes = answer
    cells = torch.cat([level.flatten(2) for level in levels], dim=2)
    boxes, scores = cells.split((_SIDES * head.reg_max, head.nc), dim=1)
    return {"feats": levels, "boxes": boxes, "scores": scores, "mask_coefficient": coefficients, "proto": prototypes}


def _cells(levels: Sequence[tuple[int, int]], strides: Sequence[float], device: torch.device) -> tuple[Tensor, Tensor]:
    """The centres of all cells, row by row and level by level, and the stride of each."""
    centres, of_cells = [], []
    for (height, width), stride in zip(levels, strides, strict=True):
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()]))
        of_cells.append(torch.full((height * width,), stride))
    return torch.cat(centres, dim=1).to(device), torch.cat(of_cells).to(device)
