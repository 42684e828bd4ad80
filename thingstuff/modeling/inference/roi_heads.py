"""Detectron2's box and mask heads on rows: what lies between pooling and the answer is never transposed.

Of the masks only the predicted class's is computed, and of the boxes only those above the score threshold are decoded.
"""

from __future__ import annotations

import torch
from detectron2 import layers
from detectron2.modeling.roi_heads import FastRCNNConvFCHead, MaskRCNNConvUpsampleHead, StandardROIHeads
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from torch import nn

from thingstuff.modeling.inference.blocks import FusedConv2d
from thingstuff.modeling.inference.dense import Linear
from thingstuff.modeling.inference.pool import pool_boxes, serves

_TOGETHER = 16  # masks that are enlarged at a time, in the cache


def fuse_roi_heads(heads: nn.Module, dtype: torch.dtype) -> None:
    """Change `StandardROIHeads` of Detectron2's own parts; any other stays as it is. Convolutions are fused before."""
    if type(heads) is not StandardROIHeads:
        return
    fuse_box = serves(heads.box_pooler) and _is_box_head(heads.box_head)
    fuse_mask = heads.mask_on and serves(heads.mask_pooler) and _is_mask_head(heads.mask_head)
    if fuse_box:
        _fuse_box_head(heads.box_head, heads.box_pooler.output_size, dtype)
        if type(heads.box_predictor) is FastRCNNOutputLayers:
            heads.box_predictor.__class__ = _ThriftyOutputs
    if fuse_mask:
        _fuse_mask_head(heads.mask_head, dtype)
    heads.__class__ = _CLASS_OF[fuse_box, fuse_mask]


class _FusedBox(StandardROIHeads):
    def _forward_box(self, features: dict[str, torch.Tensor], proposals: list[Instances]) -> list[Instances]:
        maps = [features[name] for name in self.box_in_features]
        boxes = [one.proposal_boxes for one in proposals]
        rows = pool_boxes(self.box_pooler, maps, boxes, self.box_head.dtype)
        predictions = self.box_predictor(self.box_head(rows).float())
        return self.box_predictor.inference(predictions, proposals)[0]


class _FusedMask(StandardROIHeads):
    def _forward_mask(self, features: dict[str, torch.Tensor], instances: list[Instances]) -> list[Instances]:
        if not self.mask_on:  # test-time augmentation wants the boxes first
            return instances
        maps = [features[name] for name in self.mask_in_features]
        rows = pool_boxes(self.mask_pooler, maps, [one.pred_boxes for one in instances], self.mask_head.dtype)
        return self.mask_head(rows.unflatten(1, self.mask_pooler.output_size).permute(0, 3, 1, 2), instances)


class _FusedBoxAndMask(_FusedBox, _FusedMask):
    pass


_CLASS_OF = {
    (False, False): StandardROIHeads,
    (True, False): _FusedBox,
    (False, True): _FusedMask,
    (True, True): _FusedBoxAndMask,
}


# ---- boxes -------------------------------------------------------------------------------------------------------


def _is_box_head(head: nn.Module) -> bool:
    return type(head) is FastRCNNConvFCHead and all(isinstance(conv, FusedConv2d) for conv in head.conv_norm_relus)


class _RowsBoxHead(FastRCNNConvFCHead):
    """Takes R x (h w) x C instead of R x C x h x w."""

    dtype: torch.dtype
    bins: tuple[int, int]
    linears: list[Linear]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        x = rows.unflatten(1, self.bins).permute(0, 3, 1, 2)
        for conv in self.conv_norm_relus:
            x = conv(x)
        if not self.linears:
            return x
        y = x.permute(0, 2, 3, 1).flatten(1)
        for linear in self.linears:
            y = linear(y)
        return y


def _fuse_box_head(head: FastRCNNConvFCHead, bins: tuple[int, int], dtype: torch.dtype) -> None:
    head.linears = []
    for number, fc in enumerate(head.fcs):
        weight = _bins_first(fc.weight.detach(), bins) if number == 0 else fc.weight.detach()
        head.linears.append(Linear(weight, fc.bias.detach(), True, dtype))
        fc.weight = fc.bias = None
    head.dtype, head.bins = dtype, bins
    head.__class__ = _RowsBoxHead


def _bins_first(weight: torch.Tensor, bins: tuple[int, int]) -> torch.Tensor:
    """D x (C h w) -> D x (h w C)."""
    return weight.unflatten(1, (-1, bins[0] * bins[1])).transpose(1, 2).flatten(1)


class _ThriftyOutputs(FastRCNNOutputLayers):
    """Only the boxes of scores above the threshold are decoded."""

    def inference(
        self, predictions: tuple[torch.Tensor, torch.Tensor], proposals: list[Instances]
    ) -> tuple[list[Instances], list[torch.Tensor]]:
        counts = [len(one) for one in proposals]
        probs, deltas = self.predict_probs(predictions, proposals), predictions[1].float().split(counts)
        pairs = [self._detect(*parts) for parts in zip(probs, deltas, proposals, strict=True)]
        return [found for found, _ in pairs], [rows for _, rows in pairs]

    def _detect(
        self, probs: torch.Tensor, deltas: torch.Tensor, proposals: Instances
    ) -> tuple[Instances, torch.Tensor]:
        """As Detectron2's `fast_rcnn_inference_single_image`, with the rows of the proposals that were kept."""
        by_class = deltas.unflatten(1, (-1, 4))
        usable = torch.isfinite(probs).all(dim=1) & _give_boxes(by_class)
        is_shown = (probs[:, :-1] > self.test_score_thresh) & usable[:, None]
        rows, classes = is_shown.nonzero(as_tuple=True)
        scores = probs[rows, classes]
        chosen = by_class[rows, classes if by_class.shape[1] > 1 else 0]
        boxes = Boxes(self.box2box_transform.apply_deltas(chosen, proposals.proposal_boxes.tensor[rows]))
        boxes.clip(proposals.image_size)
        kept = layers.batched_nms(boxes.tensor, scores, classes, self.test_nms_thresh)
        kept = kept[: self.test_topk_per_image] if self.test_topk_per_image >= 0 else kept
        found = Instances(proposals.image_size)
        found.pred_boxes, found.scores, found.pred_classes = boxes[kept], scores[kept], classes[kept]
        return found, rows[kept]


def _give_boxes(by_class: torch.Tensor) -> torch.Tensor:
    """Whether all the deltas of a proposal, R x K x 4, give boxes: an infinite growth is clamped, a shift is not."""
    return torch.isfinite(by_class[..., :2]).flatten(1).all(dim=1) & ~by_class[..., 2:].isnan().flatten(1).any(dim=1)


# ---- masks -------------------------------------------------------------------------------------------------------


def _is_mask_head(head: nn.Module) -> bool:
    enlarges = getattr(head, "deconv", None)
    return (
        type(head) is MaskRCNNConvUpsampleHead
        and all(isinstance(conv, FusedConv2d) for conv in head.conv_norm_relus)
        and (enlarges.kernel_size, enlarges.stride, enlarges.padding) == ((2, 2), (2, 2), (0, 0))
        and head.predictor.kernel_size == (1, 1)
    )


class _ClassMaskHead(MaskRCNNConvUpsampleHead):
    """Of each instance the mask of its predicted class alone."""

    dtype: torch.dtype
    enlarge: Linear

    def forward(self, x: torch.Tensor, instances: list[Instances]) -> list[Instances]:
        for conv in self.conv_norm_relus:
            x = conv(x)
        classes = torch.cat([one.pred_classes for one in instances])
        rows = x.permute(0, 2, 3, 1)
        parts = zip(rows.split(_TOGETHER), classes.split(_TOGETHER), strict=True)
        probs = torch.cat([self._logits(*part) for part in parts]).sigmoid()[:, None]
        for one, mask in zip(instances, probs.split([len(one) for one in instances]), strict=True):
            one.pred_masks = mask
        return instances

    def _logits(self, rows: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """n x h x w x C features -> n x 2h x 2w float32."""
        count, height, width, _ = rows.shape
        of_class = classes if self.predictor.out_channels > 1 else torch.zeros_like(classes)
        weight = self.predictor.weight.flatten(1)[of_class]
        logits = self.enlarge.dots(rows.flatten(0, 2), weight).view(count, height * width * 4, 1)
        if self.predictor.bias is not None:
            logits = logits + self.predictor.bias[of_class][:, None, None]
        return logits.view(count, height, width, 2, 2).transpose(2, 3).reshape(count, 2 * height, 2 * width)


def _fuse_mask_head(head: MaskRCNNConvUpsampleHead, dtype: torch.dtype) -> None:
    """A transposed convolution of 2 x 2 with stride 2 gives each pixel four: a matrix product, (dy dx out) x in."""
    deconv = head.deconv
    weight = deconv.weight.detach().permute(2, 3, 1, 0).flatten(0, 2)
    head.enlarge = Linear(weight, None if deconv.bias is None else deconv.bias.detach().repeat(4), True, dtype)
    deconv.weight = deconv.bias = None
    head.dtype = dtype
    head.__class__ = _ClassMaskHead
