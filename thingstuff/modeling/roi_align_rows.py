"""RoIAlign on a CPU as weighted sums of rows: each pixel's channels are one row, read and added as a whole.

torchvision's CPU kernel computes the bilinear weights of every sample anew for each channel, forward and backward, and
its backward takes a sixth of a training step in fp32 and a quarter in bf16. The weights of a bin are a product of
weights along y and along x, so that the samples that fall between the same pixels are merged here, and PyTorch's
embedding bag, which is vectorised over channels in both directions, does the rest. Results differ from torchvision's by
rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from detectron2.layers import ROIAlign

_MOST_BAGS = 1 << 17  # bins at a time, which bounds the memory of their indices


class RowsROIAlign(ROIAlign):
    """Detectron2's layer, by rows where that pays: on a CPU, under autocast or for features that are channels_last.

    Everywhere else, an fp32 training in the usual layout included, it is Detectron2's own. Boxes stay float32.
    """

    def forward(self, input, rois):  # noqa: A002  Detectron2's argument name
        """Features N x C x H x W and boxes R x 5 (image, xyxy in pixels) -> R x C x h x w of the features' dtype."""
        if not _pays(input, rois):
            return super().forward(input, rois)
        return roi_align_rows(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)


def use_rows(model: torch.nn.Module) -> None:
    """Turn every `ROIAlign` of a model into a `RowsROIAlign`; they have no state, so checkpoints stay the same."""
    for module in model.modules():
        if type(module) is ROIAlign:
            module.__class__ = RowsROIAlign


def _pays(features: torch.Tensor, rois: torch.Tensor) -> bool:
    if features.device.type != "cpu" or features.dtype not in (torch.float32, torch.bfloat16) or not len(rois):
        return False
    if torch.jit.is_tracing() or torch.compiler.is_compiling():
        return False
    is_rows = features.is_contiguous(memory_format=torch.channels_last) and not features.is_contiguous()
    return is_rows or torch.is_autocast_enabled("cpu")


def roi_align_rows(
    features: torch.Tensor,
    rois: torch.Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """As `torchvision.ops.roi_align`; sums are float32 whatever the features are, and the result has their dtype."""
    pooled = pool_rows(features, rois, output_size, spatial_scale, sampling_ratio, aligned)
    return pooled.unflatten(1, pair(output_size)).permute(0, 3, 1, 2).to(features.dtype)


def pool_rows(
    features: torch.Tensor,
    rois: torch.Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """The same as R x (h w) x C float32, bins along a row first."""
    images, channels, height, width = features.shape
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels).float()
    grid = Grid(images, height, width, *pair(output_size), spatial_scale, sampling_ratio, aligned)
    parts = [_pool(rows, part, grid) for part in rois.detach().float().split(max(_MOST_BAGS // grid.bins, 1))]
    pooled = torch.cat(parts) if len(parts) > 1 else parts[0]
    return pooled.view(len(rois), grid.bins, channels)


@dataclass(frozen=True)
class Grid:
    """The feature map's size and what RoIAlign was asked for."""

    images: int
    height: int
    width: int
    bins_y: int
    bins_x: int
    scale: float
    sampling_ratio: int
    aligned: bool

    @property
    def bins(self) -> int:
        return self.bins_y * self.bins_x


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _pool(rows: torch.Tensor, rois: torch.Tensor, grid: Grid) -> torch.Tensor:
    """(N H W) x C rows and R x 5 boxes -> (R bins_y bins_x) x C."""
    pixels, weights, starts = _bags(rois, grid)
    return F.embedding_bag(pixels, rows, starts, mode="sum", per_sample_weights=weights, include_last_offset=True)


@torch.no_grad()
def _bags(rois: torch.Tensor, grid: Grid) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which rows each bin adds and with which weights: pixels and weights, and where each bin begins in them."""
    along_y, along_x = bin_axes(rois, grid)
    sizes = (along_y.count[:, :, None] * along_x.count[:, None, :]).flatten()
    starts = F.pad(sizes.cumsum(0), (1, 0))
    total = int(starts[-1])
    bag = torch.repeat_interleave(torch.arange(len(sizes)), sizes, output_size=total)
    place = torch.arange(total) - starts.index_select(0, bag)
    row_length = along_x.count[:, None, :].expand(-1, grid.bins_y, -1).flatten().index_select(0, bag)
    dy = torch.div(place, row_length, rounding_mode="floor")
    dx = place - dy * row_length
    line = rois[:, 0].long()[:, None] * grid.height + along_y.first
    corner = (line[:, :, None] * grid.width + along_x.first[:, None, :]).flatten()
    pixels = corner.index_select(0, bag) + dy * grid.width + dx
    at_y = along_y.places()[:, :, None].expand(-1, -1, grid.bins_x).flatten().index_select(0, bag) + dy
    at_x = along_x.places()[:, None, :].expand(-1, grid.bins_y, -1).flatten().index_select(0, bag) + dx
    return (
        pixels,
        along_y.weights.flatten().index_select(0, at_y) * along_x.weights.flatten().index_select(0, at_x),
        starts,
    )


@dataclass(frozen=True)
class Axis:
    """The pixels of each bin along one axis: `count` from `first` on (both R x bins), `weights` R x bins x most."""

    first: torch.Tensor
    count: torch.Tensor
    weights: torch.Tensor

    def places(self) -> torch.Tensor:
        """Where the weights of each bin begin in the flat weights: R x bins."""
        return torch.arange(self.first.numel()).view_as(self.first) * self.weights.shape[-1]


def bin_axes(rois: torch.Tensor, grid: Grid) -> tuple[Axis, Axis]:
    """Along y and along x, for R x 5 float32 boxes."""
    shift = 0.5 if grid.aligned else 0.0
    x1, y1, x2, y2 = (rois[:, 1:] * grid.scale - shift).unbind(1)
    return _axis(y1, y2, grid.bins_y, grid.height, grid), _axis(x1, x2, grid.bins_x, grid.width, grid)


def _axis(start: torch.Tensor, end: torch.Tensor, bins: int, length: int, grid: Grid) -> Axis:
    """The mean over a bin's samples of linear interpolation, as a weight for each pixel.

    A sample farther than a pixel outside counts as 0, and one at the border as the border's pixel, as in torchvision.
    """
    size = end - start if grid.aligned else (end - start).clamp(min=1)
    samples = (
        (size / bins).ceil().clamp(min=0) if grid.sampling_ratio <= 0 else torch.full_like(size, grid.sampling_ratio)
    )
    position, inside = _samples(start, size / bins, samples, bins, length)
    low = position.long().clamp(max=length - 1)
    share_high = torch.where(low < length - 1, position - low, 0.0)
    high = (low + 1).clamp(max=length - 1)
    first = torch.where(inside, low, length - 1).amin(-1)
    count = (torch.where(inside, high, -1).amax(-1) - first + 1).clamp(min=0)
    most = max(int(count.amax()), 1)
    weights = torch.zeros(*first.shape, most)
    share = inside / samples.clamp(min=1)[:, None, None]
    weights.scatter_add_(2, (low - first[..., None]).clamp(0, most - 1), share * (1 - share_high))
    weights.scatter_add_(2, (high - first[..., None]).clamp(0, most - 1), share * share_high)
    return Axis(first, count, weights)


def _samples(
    start: torch.Tensor, bin_size: torch.Tensor, samples: torch.Tensor, bins: int, length: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates of the samples (R x bins x most, at least 0), and which of them exist and lie in the map."""
    number = torch.arange(max(int(samples.amax()), 1))
    step = (bin_size / samples.clamp(min=1))[:, None, None]
    bin_start = start[:, None] + torch.arange(bins) * bin_size[:, None]
    position = bin_start[:, :, None] + (number + 0.5) * step
    inside = (position >= -1) & (position <= length) & (number < samples[:, None, None])
    return position.clamp(min=0), inside
