"""The protonet: k masks of the whole image that know of no instance (section 3.1 of the paper)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from yolact.convs import conv

_CONVS_BEFORE = 3  # the enlargement


class Protonet(nn.Module):
    """N x C x H x W features -> N x `num_prototypes` x 2H x 2W prototypes, 0 or more.

    They have no upper bound: where the network is sure of a background it may say so strongly.
    """

    def __init__(self, in_channels: int, convs_dim: int, num_prototypes: int) -> None:
        super().__init__()
        channels = [in_channels] + [convs_dim] * _CONVS_BEFORE
        self.small = nn.Sequential(*(layer for pair in pairwise(channels) for layer in (conv(*pair), nn.ReLU())))
        self.large = conv(convs_dim, convs_dim)
        self.predictor = conv(convs_dim, num_prototypes, kernel=1)

    def forward(self, features: Tensor) -> Tensor:
        enlarged = F.interpolate(self.small(features), scale_factor=2, mode="bilinear", align_corners=False)
        return F.relu(self.predictor(F.relu(self.large(enlarged))))
