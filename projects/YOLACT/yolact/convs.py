"""The convolutions of which YOLACT's two branches are made."""

from __future__ import annotations

from torch import nn


def conv(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Conv2d:
    """Of the same size as its input, with the start that the paper's program has: Xavier's, and biases of 0."""
    layer = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
