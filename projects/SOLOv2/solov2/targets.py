"""Which cell learns which object: the assignment of SOLO (X. Wang et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.structures import BitMasks, Instances, PolygonMasks
from torch import Tensor
from torch.nn import functional as F

from solov2.levels import Level
from thingstuff.errors import ConfigError, DataError

NOBODY = -1


@dataclass(frozen=True)
class Truth:
    """An image's objects. `masks` is n x H x W bool in the size of the padded batch, `classes` n int64."""

    boxes_xyxy: Tensor
    classes: Tensor
    masks: Tensor

    @classmethod
    def of(cls, instances: Instances, padded_size: tuple[int, int], num_classes: int) -> Truth:
        """From a training input of Detectron2, whose mapper has left crowds out. Masks may be polygons or bitmaps."""
        classes = instances.gt_classes
        if len(classes) and int(classes.max()) >= num_classes:
            highest = int(classes.max())
            raise ConfigError(
                f"the data set has a class {highest}, counted from 0, but MODEL.ROI_HEADS.NUM_CLASSES is {num_classes}"
            )
        masks = _bitmaps(instances)
        height, width = instances.image_size
        padded = F.pad(masks, (0, padded_size[1] - width, 0, padded_size[0] - height))
        return cls(instances.gt_boxes.tensor, classes, padded)

    def small_masks(self, stride: int) -> Tensor:
        """n x h x w bool: a pixel of the mask features is the object's if half of the pixels below it are."""
        count, height, width = self.masks.shape
        blocks = self.masks.view(count, height // stride, stride, width // stride, stride)
        return 2 * blocks.sum(dim=(2, 4)) >= stride**2


@dataclass(frozen=True)
class CellTargets:
    """Of an image's cells, row by row, level by level: the number of the object in each, or NOBODY."""

    owners: Tensor

    @property
    def positive(self) -> Tensor:
        return self.owners != NOBODY

    def one_hot(self, classes: Tensor, num_classes: int) -> Tensor:
        """Cells x C float32: the truth of the scores."""
        truth = torch.zeros(len(self.owners), num_classes, device=self.owners.device)
        rows = self.positive.nonzero()[:, 0]
        truth[rows, classes[self.owners[rows]]] = 1
        return truth


def assign(levels: Sequence[Level], center_share: float, truth: Truth, learnable: Tensor) -> CellTargets:
    """The cells into which the centre region of an object reaches are its own, in the levels for its scale.

    The region has `center_share` of the box's width and height and lies around the mask's centre of mass. Where regions
    of several objects meet, the smallest box has the cell; the paper leaves that open. `learnable`: n bool, which
    objects have a mask that can be learnt.
    """
    if not len(truth.classes):
        cells = sum(level.grid**2 for level in levels)
        return CellTargets(torch.full((cells,), NOBODY, device=truth.classes.device))
    sizes = (truth.boxes_xyxy[:, 2:] - truth.boxes_xyxy[:, :2]).clamp(min=0)
    scales = sizes.prod(dim=1).sqrt()
    first, last = _center_regions(truth.masks, sizes * center_share)
    owners = []
    for level in levels:
        fits = learnable & (scales >= level.min_scale_px) & (scales <= level.max_scale_px)
        inside = _reaches(first, last, level.grid) & fits[:, None, None]
        owners.append(_smallest(inside, scales).flatten())
    return CellTargets(torch.cat(owners))


def _center_regions(masks: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """n x 2 widths and heights -> n x 2 upper left and n x 2 lower right corners, as shares of the image's sides."""
    height, width = masks.shape[1:]
    centers, image = mass_centers(masks), sizes.new_tensor([width, height])
    return (centers - sizes / 2) / image, (centers + sizes / 2) / image


def mass_centers(masks: Tensor) -> Tensor:
    """n x H x W bool -> n x 2 float32, the mean x and y of the pixels' centres; of an empty mask 0, 0."""
    height, width = masks.shape[1:]
    x = torch.arange(width, device=masks.device) + 0.5
    y = torch.arange(height, device=masks.device) + 0.5
    columns, rows = masks.sum(dim=1).float(), masks.sum(dim=2).float()
    sums = torch.stack([(columns * x).sum(dim=1), (rows * y).sum(dim=1)], dim=1)
    return sums / columns.sum(dim=1).clamp(min=1)[:, None]


def _reaches(first: Tensor, last: Tensor, grid: int) -> Tensor:
    """n x 2 corners x, y as shares of the image -> n x S x S bool."""
    cells = torch.arange(grid, device=first.device)
    low = (first * grid).floor().clamp(0, grid - 1)
    high = (last * grid).floor().clamp(0, grid - 1)
    within = (cells >= low[:, :, None]) & (cells <= high[:, :, None])  # n x (x, y) x S
    return within[:, 1, :, None] & within[:, 0, None, :]


def _smallest(inside: Tensor, scales: Tensor) -> Tensor:
    """n x S x S -> S x S: the number of the smallest object in each cell, or NOBODY."""
    claims = scales[:, None, None].where(inside, torch.inf)
    least, owners = claims.min(dim=0)
    return owners.where(least.isfinite(), NOBODY)


def _bitmaps(instances: Instances) -> Tensor:
    if not instances.has("gt_masks"):
        raise DataError("SOLOv2 learns masks, and an image of the training set has objects without: add them")
    masks = instances.gt_masks
    if isinstance(masks, PolygonMasks):
        masks = BitMasks.from_polygon_masks(masks.polygons, *instances.image_size).to(instances.gt_classes.device)
    return masks.tensor
