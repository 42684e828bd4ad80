"""Non-maximum suppression whose number of survivors may be anything, 0 and 1 included, in an exported graph."""

from __future__ import annotations

import torch
from torchvision.ops import nms

# torchvision tells torch.export that at least two boxes survive: so two do, apart from all others and last of all
_SENTINELS = ((-8.0, -8.0, -7.0, -7.0), (-4.0, -4.0, -3.0, -3.0))


def surviving(boxes: torch.Tensor, scores: torch.Tensor, iou_thresh: float) -> torch.Tensor:
    """N x 4 boxes without negative coordinates, N scores -> indices of the survivors, by falling score.

    Equal scores go by index. The lowest score, -inf, is that of boxes which do not exist: they may be among the
    survivors, and suppress nobody else.
    """
    apart = boxes.new_tensor(_SENTINELS)
    with_sentinels = torch.cat([boxes, apart]), torch.cat([scores, scores.new_full((2,), -torch.inf)])
    return nms(*with_sentinels, iou_thresh)[:-2]
