"""RoIAlign of bf16 features by the kernel against torchvision's of the same numbers in float32."""

import shutil

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torchvision.ops import roi_align

from thingstuff.modeling.inference import cpu, pool_bf16
from thingstuff.modeling.inference.pool import pool_boxes

NEEDS_KERNEL = pytest.mark.skipif(
    not (shutil.which("cc") and cpu.multiplies_bf16_pairs()), reason="needs a C compiler and AVX-512 BF16 without AMX"
)


def boxes(count):
    corner = torch.rand(count, 2) * 150 - 10
    return torch.cat([corner, corner + torch.rand(count, 2) * 100], dim=1)


@NEEDS_KERNEL
@pytest.mark.parametrize("channels", [16, 80])
@pytest.mark.parametrize(("size", "ratio"), [(7, 0), (14, 2), ((3, 5), 0)])
def test_boxes_of_two_images(size, ratio, channels):
    """Boxes beyond the image too; answers are sums in float32, rounded once."""
    torch.manual_seed(0)
    maps = torch.randn(2, channels, 40, 36).bfloat16()
    found = [Boxes(boxes(30)), Boxes(boxes(21))]
    pooler = ROIPooler(size, [1 / 4], ratio, "ROIAlignV2")
    assert pool_bf16.serves(maps, maps)
    ours = pool_boxes(pooler, [maps], found, torch.bfloat16)
    rois = torch.cat([torch.cat([torch.full((len(b), 1), float(i)), b.tensor], dim=1) for i, b in enumerate(found)])
    theirs = roi_align(maps.float(), rois, size, 1 / 4, ratio, True).flatten(2).transpose(1, 2)
    assert torch.allclose(ours.float(), theirs, rtol=2**-8, atol=1e-5)


@NEEDS_KERNEL
def test_levels_and_no_boxes():
    torch.manual_seed(0)
    maps = [torch.randn(1, 32, side, side).bfloat16() for side in (64, 32, 16, 8)]
    pooler = ROIPooler(7, [1 / 4, 1 / 8, 1 / 16, 1 / 32], 0, "ROIAlignV2")
    large = torch.tensor([[3.0, 5.0, 250.0, 240.0], [10.0, 12.0, 40.0, 41.0], [0.0, 0.0, 130.0, 128.0]])
    ours = pool_boxes(pooler, maps, [Boxes(large)], torch.bfloat16).float()
    wide = pool_boxes(pooler, [m.float() for m in maps], [Boxes(large)], torch.float32)
    assert torch.allclose(ours, wide, rtol=2**-8, atol=1e-5)
    assert pool_boxes(pooler, maps, [Boxes(large[:0])], torch.bfloat16).shape == (0, 49, 32)


@pytest.mark.parametrize(
    ("channels", "features", "rows"),
    [(24, torch.bfloat16, torch.bfloat16), (32, torch.float32, torch.bfloat16), (32, torch.bfloat16, torch.float32)],
)
def test_what_it_does_not_serve(channels, features, rows):
    assert not pool_bf16.serves(torch.zeros(1, channels, 4, 4, dtype=features), torch.zeros(1, dtype=rows))
