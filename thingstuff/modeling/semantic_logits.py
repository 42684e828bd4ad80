"""The scores of a semantic model for one image, in the size in which they come, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thingstuff.modeling.inference.blended_labels import blended_labels
from thingstuff.modeling.inference.semantic import enlarged
from thingstuff.modeling.stuff_labels import stuff_labels


@dataclass(frozen=True, eq=False)
class SemanticLogits:
    """C x h x w scores; of some heads `stride` times smaller than the network's input."""

    scores: torch.Tensor
    stride: int = 1

    @classmethod
    def each(cls, batch: torch.Tensor | Sequence[torch.Tensor], stride: int = 1) -> list[SemanticLogits]:
        return [cls(scores, stride) for scores in batch]

    def full(self) -> torch.Tensor:
        """C x h x w in the size of the network's input, padding included."""
        return self.scores if self.stride == 1 else enlarged(self.scores[None], self.stride)[0]

    def labels(self, input_size: tuple[int, int], height: int, width: int) -> NDArray[np.integer[Any]]:
        """H x W labels of the output image; `input_size` is that of the network's input without padding."""
        if self.stride > 1 and self.scores.device.type == "cpu" and len(self.scores) <= 256:
            return blended_labels(self.scores, self.stride, input_size, height, width)
        return stuff_labels(self.full(), input_size, height, width)
