"""Detectron2's region proposals with the best anchors chosen first: only they are regressed, decoded and compared."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from detectron2 import layers
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.modeling.proposal_generator.rpn import RPN, StandardRPNHead
from detectron2.structures import ImageList, Instances
from torch import nn

_ROWS = 1 << 12  # pixels whose scores are computed at a time on a CPU, in its cache


def fuse_proposals(rpn: nn.Module) -> None:
    """Change an RPN of Detectron2's own parts; any other stays as it is. Its convolution is fused elsewhere."""
    head = getattr(rpn, "rpn_head", None)
    is_standard = type(rpn) is RPN and type(head) is StandardRPNHead
    if is_standard and type(rpn.anchor_generator) is DefaultAnchorGenerator and _are_products(head):
        rpn.__class__ = _ChoosingRPN


def _are_products(head: StandardRPNHead) -> bool:
    return all(conv.kernel_size == (1, 1) for conv in (head.objectness_logits, head.anchor_deltas))


class _ChoosingRPN(RPN):
    """In inference. Scores and boxes are float32 whatever the features are."""

    def forward(
        self, images: ImageList, features: dict[str, torch.Tensor], gt_instances: Any = None
    ) -> tuple[list[Instances], dict[str, torch.Tensor]]:
        levels = [self._choose(level, features[name]) for level, name in enumerate(self.in_features)]
        proposals = find_top_rpn_proposals(
            [boxes for boxes, _ in levels],
            [scores for _, scores in levels],
            images.image_sizes,
            self.nms_thresh,
            self.pre_nms_topk[False],
            self.post_nms_topk[False],
            self.min_box_size,
            False,
        )
        return proposals, {}

    def _choose(self, level: int, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """N x k x 4 boxes and N x k scores of the best anchors of a level, best first."""
        hidden = self.rpn_head.conv(features)
        rows = hidden.permute(0, 2, 3, 1).flatten(1, 2)
        scores = _scores(rows, self.rpn_head.objectness_logits).flatten(1)
        scores, best = scores.topk(min(scores.shape[1], self.pre_nms_topk[False]), dim=1)
        anchors = self._anchors(level, best, hidden.shape[-1])
        deltas = _deltas(rows, best, self.rpn_head.anchor_deltas)
        boxes = self.box2box_transform.apply_deltas(deltas.flatten(0, 1), anchors.flatten(0, 1))
        return boxes.view_as(anchors), scores

    def _anchors(self, level: int, index: torch.Tensor, width: int) -> torch.Tensor:
        """Those of the anchor generator at N x k indices, which count anchors of a pixel first, then along a row."""
        generator = self.anchor_generator
        cell, stride = list(generator.cell_anchors)[level], generator.strides[level]
        pixel = torch.div(index, len(cell), rounding_mode="floor")
        y = torch.div(pixel, width, rounding_mode="floor")
        shift = torch.stack([pixel - y * width, y], dim=-1).to(cell.dtype).add_(generator.offset).mul_(stride)
        return cell[index % len(cell)] + torch.cat([shift, shift], dim=-1)


def _scores(rows: torch.Tensor, conv: layers.Conv2d) -> torch.Tensor:
    """N x pixels x C -> N x pixels x anchors."""
    weight = conv.weight.flatten(1)
    together = _ROWS if rows.device.type == "cpu" else max(rows.shape[1], 1)
    parts = [F.linear(part.float(), weight, conv.bias) for part in rows.split(together, dim=1)]
    return torch.cat(parts, dim=1)


def _deltas(rows: torch.Tensor, best: torch.Tensor, conv: layers.Conv2d) -> torch.Tensor:
    """N x pixels x C and N x k indices of anchors -> N x k x 4 deltas, of those anchors only."""
    dims = 4
    anchors = conv.out_channels // dims
    image = torch.arange(len(rows), device=rows.device)[:, None]
    chosen = rows[image, torch.div(best, anchors, rounding_mode="floor")].float()
    every = F.linear(chosen, conv.weight.flatten(1), conv.bias).unflatten(-1, (anchors, dims))
    return every.gather(2, (best % anchors)[:, :, None, None].expand(-1, -1, 1, dims)).squeeze(2)
