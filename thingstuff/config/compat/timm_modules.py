"""The two layers that Detectron2's transformers take from timm, by their formulas."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., ECCV 2016): in training a residual branch is left out for whole images.

    Each row of a batch is 0 with the chance `drop_prob`, and else divided by 1 - drop_prob, so that the mean stays.
    """

    def __init__(self, drop_prob: float = 0.0) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        if self.drop_prob == 0 or not self.training:
            return x
        kept = 1 - self.drop_prob
        rows = x.new_empty((len(x),) + (1,) * (x.dim() - 1)).bernoulli_(kept)
        return x * (rows / kept if kept > 0 else rows)


class Mlp(nn.Module):
    """Two linear layers with an activation between them: `fc2(act(fc1(x)))` over the last dimension."""

    def __init__(
        self,
        in_features: int,
        hidden_features: int | None = None,
        out_features: int | None = None,
        act_layer: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        """Sizes that are not given are `in_features`."""
        super().__init__()
        hidden = hidden_features or in_features
        self.fc1 = nn.Linear(in_features, hidden)
        self.act = act_layer()
        self.fc2 = nn.Linear(hidden, out_features or in_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))
