"""The region proposal network on tensors: Detectron2's `find_top_rpn_proposals` for one image, with fixed shapes."""

from __future__ import annotations

import torch
from detectron2.modeling.proposal_generator import RPN
from torch import nn

from thingstuff.modeling.exportable.boxes import clipped, exists
from thingstuff.modeling.exportable.nms import surviving


class Proposals(nn.Module):
    """Features -> R x 4 proposals and whether each exists, R the same for every image.

    Detectron2's numbers on the CPU, where each level is suppressed for itself. What Detectron2 leaves out, this keeps
    behind all others, marked as nonexistent.
    """

    def __init__(self, rpn: RPN) -> None:
        super().__init__()
        self.head = rpn.rpn_head
        self.transform = rpn.box2box_transform
        self.in_features = tuple(rpn.in_features)
        self.strides = tuple(rpn.anchor_generator.strides)
        self.offset = float(rpn.anchor_generator.offset)
        self.nms_thresh = float(rpn.nms_thresh)
        self.min_box_size = float(rpn.min_box_size)
        self.before_nms, self.after_nms = int(rpn.pre_nms_topk[False]), int(rpn.post_nms_topk[False])
        for level, cells in enumerate(rpn.anchor_generator.cell_anchors):
            self.register_buffer(f"anchors_{level}", cells.detach().clone())

    def forward(self, features: dict[str, torch.Tensor], image_size: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes in pixels of the canvas, clipped to `image_size`."""
        logits, deltas = self.head([features[name] for name in self.in_features])
        levels = [
            self._of_level(level, *both, image_size) for level, both in enumerate(zip(logits, deltas, strict=True))
        ]
        boxes, scores = (torch.cat(parts) for parts in zip(*levels, strict=True))
        scores, order = scores.sort(descending=True, stable=True)
        kept = min(self.after_nms, order.shape[0])
        return boxes[order[:kept]], scores[:kept] > -torch.inf

    def _of_level(
        self, level: int, logits: torch.Tensor, deltas: torch.Tensor, image_size: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The best boxes of a level and their logits, which are -inf where a box is suppressed or empty."""
        width = logits.shape[3]
        flat = logits.permute(0, 2, 3, 1).flatten()
        scores, index = flat.topk(min(self.before_nms, flat.shape[0]))
        chosen = deltas.reshape(-1, 4, *deltas.shape[2:]).permute(2, 3, 0, 1).reshape(-1, 4)[index]
        raw = self.transform.apply_deltas(chosen, self._anchors(level, index, width))
        boxes = clipped(raw, image_size)
        valid = exists(boxes, self.min_box_size) & raw.isfinite().all(1) & scores.isfinite()
        boxes = torch.where(valid[:, None], boxes, torch.zeros_like(boxes))
        scores = torch.where(valid, scores, torch.full_like(scores, -torch.inf))
        survivors = surviving(boxes, scores, self.nms_thresh)
        kept = torch.zeros_like(scores).index_put((survivors,), scores.new_ones(())) > 0
        return boxes, torch.where(kept, scores, torch.full_like(scores, -torch.inf))

    def _anchors(self, level: int, index: torch.Tensor, width: int) -> torch.Tensor:
        """The anchors at K places of a level's row-major list: cell by cell, the cell's anchors together."""
        cells = getattr(self, f"anchors_{level}")
        cell = torch.div(index, len(cells), rounding_mode="floor")
        y = torch.div(cell, width, rounding_mode="floor")
        x = cell - y * width  # not `cell % width`, which ONNX's exporter takes with a fixed width alone
        shift = torch.stack([x, y, x, y], dim=1).to(cells.dtype) * self.strides[level]
        return shift + self.offset * self.strides[level] + cells[index % len(cells)]
