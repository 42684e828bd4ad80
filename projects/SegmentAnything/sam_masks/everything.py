"""Everything in an image: a grid of points, of whose masks the good ones stay, once each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from sam_masks.frame import Frame
from sam_masks.prompts import Prompts
from sam_masks.segmenter import Segmenter
from sam_masks.upscale import crops_of, joined, upscaled
from thingstuff.structures import MaskCrops
from thingstuff.structures.rle import Rle


@dataclass(frozen=True)
class GridOptions:
    """Which masks stay: those of a predicted IoU and a stability above the thresholds, and of those whose boxes overlap
    by an IoU above `nms_thresh` the one with the highest predicted IoU. A threshold of 0 lets all pass.

    The stability of a mask is its IoU with itself when the threshold of its logits moves by `stability_offset` up and
    down. The numbers are those of the paper's program.
    """

    points_per_side: int = 32
    iou_thresh: float = 0.88
    stability_thresh: float = 0.95
    stability_offset: float = 1.0
    nms_thresh: float = 0.7


@dataclass(frozen=True, eq=False)
class Found:
    """N masks, none of them empty, by falling predicted IoU: `ious` and `stabilities` are float32."""

    masks: MaskCrops
    ious: np.ndarray
    stabilities: np.ndarray


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Masks before those that are there twice are gone: as RLE, since there may be thousands, most of them large."""

    rles: list[Rle]
    boxes_xyxy: np.ndarray  # N x 4 int32
    ious: np.ndarray
    stabilities: np.ndarray


_DEFAULT = GridOptions()


def find_everything(segmenter: Segmenter, image_bgr: np.ndarray, options: GridOptions = _DEFAULT) -> Found:
    """Kirillov et al. (2023), section "Fully automatic stage", on the whole image alone, without crops of it.

    All three masks of each point compete. As in the reference, small regions and holes are not removed by default.
    """
    encoded = segmenter.encode(image_bgr)
    grid = Prompts.grid(options.points_per_side, *image_bgr.shape[:2])
    pieces = [
        piece
        for logits, ious in segmenter.logits(encoded, grid, multimask=True)
        for piece in _good(logits.flatten(0, 1), ious.flatten(), encoded.frame, segmenter.options.mask_thresh, options)
    ]
    if not pieces:
        return Found(joined([], encoded.frame), np.zeros(0, np.float32), np.zeros(0, np.float32))
    return _once_each(_together(pieces), encoded.frame, options.nms_thresh)


def _good(
    logits: Tensor, ious: Tensor, frame: Frame, mask_thresh: float, options: GridOptions
) -> Iterator[_Candidates]:
    """Those of K masks that pass the thresholds. What a low IoU rules out is never upscaled."""
    passes = _above(ious, options.iou_thresh)
    start, expected = 0, ious[passes]
    for chunk in upscaled(logits[passes], frame):
        stability = stability_of(chunk, mask_thresh, options.stability_offset)
        bitmaps = chunk > mask_thresh
        stays = _above(stability, options.stability_thresh) & bitmaps.flatten(1).any(1)
        masks = crops_of(bitmaps[stays])
        own = expected[start : start + len(chunk)][stays]
        yield _Candidates(masks.to_rles(), masks.boxes_xyxy, _plain(own), _plain(stability[stays]))
        start += len(chunk)


def _together(pieces: list[_Candidates]) -> _Candidates:
    return _Candidates(
        [rle for piece in pieces for rle in piece.rles],
        np.concatenate([piece.boxes_xyxy for piece in pieces]),
        np.concatenate([piece.ious for piece in pieces]),
        np.concatenate([piece.stabilities for piece in pieces]),
    )


def _once_each(found: _Candidates, frame: Frame, nms_thresh: float) -> Found:
    """Those that greedy NMS of the masks' boxes leaves.

    As in the reference, the last pixel of a box counts as its edge, so that boxes are a pixel smaller than here.
    """
    boxes = torch.from_numpy(found.boxes_xyxy.astype(np.float32)) - torch.tensor([0.0, 0.0, 1.0, 1.0])
    kept = nms(boxes, torch.from_numpy(found.ious), nms_thresh).numpy()
    masks = MaskCrops.from_rles([found.rles[number] for number in kept], frame.height, frame.width)
    return Found(masks, found.ious[kept], found.stabilities[kept])


def stability_of(logits: Tensor, mask_thresh: float, offset: float) -> Tensor:
    """K x H x W logits -> K float32: the pixels above the higher threshold over those above the lower; NaN for none."""
    inner, outer = (_areas(logits > mask_thresh + d) for d in (offset, -offset))
    return inner / outer


def _areas(bitmaps: Tensor) -> Tensor:
    # in int64, which is the default, PyTorch would make a copy of eight bytes a pixel first
    return bitmaps.sum(-1, dtype=torch.int32).sum(-1).float()


def _above(values: Tensor, thresh: float) -> Tensor:
    return values > thresh if thresh > 0 else torch.ones_like(values, dtype=torch.bool)


def _plain(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()
