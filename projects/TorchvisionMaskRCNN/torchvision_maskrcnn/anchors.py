"""torchvision's anchors for a model of Detectron2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY, DefaultAnchorGenerator


@ANCHOR_GENERATOR_REGISTRY.register()
class TorchvisionAnchorGenerator(DefaultAnchorGenerator):
    """Unlike Detectron2's: corners are whole pixels, sizes follow one another within a ratio, and a level's stride is
    the padded image's size by the level's, rounded down. So the last level, which is pooled and may be rounded up,
    stands closer than its nominal 64 pixels: 61 for an image of 800.
    """

    def generate_cell_anchors(
        self, sizes: Sequence[float] = (32, 64, 128, 256, 512), aspect_ratios: Sequence[float] = (0.5, 1, 2)
    ) -> torch.Tensor:
        """(ratios x sizes) x 4 corners around 0."""
        tall = torch.tensor(aspect_ratios, dtype=torch.float32).sqrt()[:, None]
        lengths = torch.tensor(sizes, dtype=torch.float32)[None]
        widths, heights = ((factor * lengths).flatten() for factor in (1 / tall, tall))
        return (torch.stack([-widths, -heights, widths, heights], dim=1) / 2).round()

    def _grid_anchors(self, grid_sizes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """The first level is not rounded: the image is padded to whole strides of the last stage."""
        padded = [length * self.strides[0] for length in grid_sizes[0]]
        return [
            _shifted(cell, size, [whole // length for whole, length in zip(padded, size, strict=True)])
            for cell, size in zip(self.cell_anchors, grid_sizes, strict=True)
        ]


def _shifted(cell: torch.Tensor, grid_size: Sequence[int], strides_px: Sequence[int]) -> torch.Tensor:
    """A x 4 anchors at every place of a grid, along a row first -> (h w A) x 4."""
    down, across = (
        torch.arange(length, device=cell.device, dtype=cell.dtype) * stride
        for length, stride in zip(grid_size, strides_px, strict=True)
    )
    y, x = torch.meshgrid(down, across, indexing="ij")
    shifts = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
    return (shifts + cell).reshape(-1, 4)
