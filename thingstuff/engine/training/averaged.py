"""A running mean of a model's weights, which often generalises better than the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_FIRST = 10  # at step t the mean forgets no slower than (1 + t) / (10 + t): else it would long remember the beginning


class AveragedWeights:
    """Two sets of weights: the model's own, and `other`. Between steps the other is the mean over the steps.

    Parameters and floating buffers, as the statistics of batch norm, are averaged; whole numbers are copied. A mean is
    `decay` x the old one + (1 - decay) x the new weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self.other = {name: value.clone() for name, value in self._own().items()}
        self._decay = decay
        self._updates = 0

    def _own(self) -> dict[str, Tensor]:
        """Looked up every time: a change of layout or device gives a model new tensors."""
        return {name: value for name, value in self._model.state_dict().items() if isinstance(value, Tensor)}

    @torch.no_grad()
    def update(self) -> None:
        """After a step of the optimiser."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (_FIRST + self._updates))
        own = self._own()
        floating = [name for name, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.other[n] for n in floating], [own[n] for n in floating], 1 - decay)
        for name in own.keys() - set(floating):
            self.other[name].copy_(own[name])

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """The model has the mean, and `other` holds its own weights, until the block ends."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    @torch.no_grad()
    def exchange(self) -> None:
        for name, value in self._own().items():
            kept = value.clone()
            value.copy_(self.other[name])
            self.other[name].copy_(kept)

    def state_dict(self) -> dict[str, object]:
        return {"other": dict(self.other), "updates": self._updates}

    @torch.no_grad()
    def load_state_dict(self, state: dict) -> None:
        self._updates = state["updates"]
        for name, value in self.other.items():
            value.copy_(state["other"][name])
