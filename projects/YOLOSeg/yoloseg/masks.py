"""Masks of instances out of prototypes, computed inside their boxes only: N crops, and no N x H x W of floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thingstuff.structures import MaskCrops
from yoloseg.letterbox import Place


@dataclass(frozen=True, eq=False)
class Crops:
    """N masks of an H x W image: bool tensors of the pixels in `regions`, N x (x0, y0, x1, y1), whole numbers."""

    masks: list[Tensor]
    regions: list[list[int]]
    size: tuple[int, int]

    def nonempty(self, device: torch.device) -> Tensor:
        """N bool."""
        if not self.masks:
            return torch.zeros(0, dtype=torch.bool, device=device)
        return torch.stack([mask.any() for mask in self.masks])

    def chosen(self, rows: Sequence[int]) -> Crops:
        return Crops([self.masks[row] for row in rows], [self.regions[row] for row in rows], self.size)

    def to_mask_crops(self) -> MaskCrops:
        """On the CPU, in one transfer."""
        flat = torch.cat([mask.flatten() for mask in self.masks]).cpu().numpy() if self.masks else np.zeros(0, bool)
        ends = np.cumsum([mask.numel() for mask in self.masks], dtype=int)[:-1]
        parts = np.split(flat, ends) if self.masks else []
        arrays = tuple(_as_crop(part, mask) for part, mask in zip(parts, self.masks, strict=True))
        return MaskCrops.trusted(arrays, np.array(self.regions, np.int32).reshape(-1, 4), *self.size)

    def to_bitmaps(self, device: torch.device) -> Tensor:
        """N x H x W bool, as Detectron2's models give masks."""
        whole = torch.zeros((len(self.masks), *self.size), dtype=torch.bool, device=device)
        for bitmap, mask, (x0, y0, x1, y1) in zip(whole, self.masks, self.regions, strict=True):
            bitmap[y0:y1, x0:x1] = mask
        return whole


def _as_crop(part: NDArray[np.bool_], mask: Tensor) -> NDArray[np.uint8]:
    return part.view(np.uint8).reshape(tuple(mask.shape))


def crop_masks(
    prototypes: Tensor, coefficients: Tensor, boxes_xyxy: Tensor, place: Place, output_size: tuple[int, int]
) -> Crops:
    """k x h x w prototypes of a padded image, N x k coefficients and N x 4 boxes in the pixels of the output -> masks.

    A pixel belongs to a mask where the mixture of prototypes, interpolated at its centre, is above 0, and its index
    lies in the box: from the left and upper side on and before the others. At the size of the network's input that is
    what ultralytics computes. For another size it interpolates twice where there is padding (with `retina_masks`),
    and else leaves its masks in the size of the input; here every size is sampled from the prototypes directly.
    """
    rows, columns = _axes(prototypes, place, output_size)
    regions = _regions(boxes_xyxy, *output_size)
    masks = [_mask(prototypes, one, rows, columns, region) for one, region in zip(coefficients, regions, strict=True)]
    return Crops(masks, regions, output_size)


@dataclass(frozen=True, eq=False)
class _Axis:
    """Where the pixel rows, or columns, of the output lie among those of the prototypes.

    `before` has the whole parts on the CPU, so that no mask waits for a GPU.
    """

    places: Tensor
    before: list[int]

    def window(self, first: int, end: int) -> tuple[int, int]:
        """The cells, first and behind the last, that pixels of a range need."""
        return self.before[first], self.before[end - 1] + 2


def _axes(prototypes: Tensor, place: Place, output_size: tuple[int, int]) -> tuple[_Axis, _Axis]:
    parts = zip(output_size, place.size, (place.top, place.left), place.padded_size, prototypes.shape[-2:], strict=True)
    rows, columns = (_axis(*part, prototypes.device) for part in parts)
    return rows, columns


def _axis(pixels: int, inside: int, before: int, padded: int, cells: int, device: torch.device) -> _Axis:
    in_batch = (torch.arange(pixels, dtype=torch.float32) + 0.5) * (inside / pixels) + before
    places = (in_batch * (cells / padded) - 0.5).clamp(0, cells - 1)
    return _Axis(places.to(device), places.long().tolist())


def _regions(boxes_xyxy: Tensor, height: int, width: int) -> list[list[int]]:
    limit = boxes_xyxy.new_tensor([width, height, width, height])
    whole = boxes_xyxy.ceil().minimum(limit).clamp(min=0)
    whole[:, 2:] = whole[:, 2:].maximum(whole[:, :2])
    regions: list[list[int]] = whole.long().tolist()
    return regions


def _mask(prototypes: Tensor, coefficients: Tensor, rows: _Axis, columns: _Axis, region: list[int]) -> Tensor:
    """Bilinear interpolation is separable: between rows first, then between columns."""
    x0, y0, x1, y1 = region
    if x0 == x1 or y0 == y1:
        return torch.zeros((y1 - y0, x1 - x0), dtype=torch.bool, device=prototypes.device)
    (top, bottom), (left, right) = rows.window(y0, y1), columns.window(x0, x1)
    logits = torch.einsum("k,khw->hw", coefficients, prototypes[:, top:bottom, left:right])
    return _between(_between(logits, rows.places[y0:y1] - top, 0), columns.places[x0:x1] - left, 1) > 0


def _between(values: Tensor, places: Tensor, dim: int) -> Tensor:
    lower = places.floor().long()
    upper = (lower + 1).clamp(max=values.shape[dim] - 1)
    share = (places - lower).unsqueeze(1 - dim)
    first, second = values.index_select(dim, lower), values.index_select(dim, upper)
    return first * (1 - share) + second * share
