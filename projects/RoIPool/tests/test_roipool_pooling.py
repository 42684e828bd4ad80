"""What RoIPool and RoIAlign compute, by their formulas, and RoIPool in the precision of a training."""

import math

import numpy as np
import pytest
import torch
from detectron2.layers import ROIAlign
from detectron2.modeling import build_model
from roipool import FloatPoolROIHeads, FloatRoIPool
from torchvision.ops import RoIPool

from thingstuff.config import load_config

RAMP = torch.arange(16.0).expand(1, 1, 12, 16)  # a cell's value is its column


def roi(*box):
    return torch.tensor([[0.0, *box]])


def pooled_by_formula(cells, box, side, scale):
    """Fast R-CNN: corners rounded to cells, the last one inside; bin n of a side of L cells is floor(n L / side) to
    ceil((n + 1) L / side), the maximum of what lies on the map, 0 of nothing."""
    left, top, right, bottom = (math.floor(value * scale + 0.5) for value in box)
    width, height = max(right - left + 1, 1), max(bottom - top + 1, 1)
    found = np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            y0, y1 = (np.clip(top + each, 0, cells.shape[0]) for each in _bin(row, height, side))
            x0, x1 = (np.clip(left + each, 0, cells.shape[1]) for each in _bin(column, width, side))
            inside = cells[y0:y1, x0:x1]
            found[row, column] = inside.max() if inside.size else 0
    return found


def _bin(number, length, side):
    return number * length // side, -(-(number + 1) * length // side)


def test_four_by_four_cells_become_the_maxima_of_four_quarters():
    cells = torch.tensor([[[[1.0, 2, 9, 3], [4, 3, 2, 1], [0, 5, 6, 7], [8, 1, 2, 3]]]])
    assert FloatRoIPool((2, 2), 1.0)(cells, roi(0, 0, 3, 3)).tolist() == [[[[4, 9], [8, 7]]]]


def test_three_cells_in_two_bins_share_the_middle_one():
    cells = torch.tensor([[[[1.0, 7, 2], [0, 0, 0], [3, 0, 4]]]])
    assert FloatRoIPool((2, 2), 1.0)(cells, roi(0, 0, 2, 2)).tolist() == [[[[7, 7], [3, 4]]]]


@pytest.mark.parametrize("box", [(3, 5, 40, 33), (10.1, 2.9, 21.7, 44), (0, 0, 1, 1), (50, 30, 90, 70), (6, 6, 30, 9)])
@pytest.mark.parametrize("side", [2, 7])
def test_roipool_is_fast_rcnns_formula(box, side):
    cells = torch.rand(1, 1, 12, 16, generator=torch.Generator().manual_seed(0))
    found = FloatRoIPool((side, side), 0.25)(cells, roi(*box))[0, 0].numpy()
    np.testing.assert_array_equal(found, pooled_by_formula(cells[0, 0].numpy(), box, side, 0.25).astype(np.float32))


def test_a_box_that_moves_within_half_a_cell_pools_the_same_and_roialign_follows_it():
    here, there = roi(16, 8, 40, 32), roi(17.9, 8, 41.9, 32)  # 1.9 pixels at stride 4: 0.475 cells
    pool, align = FloatRoIPool((7, 7), 0.25), ROIAlign((7, 7), 0.25, 2, aligned=True)
    assert torch.equal(pool(RAMP, here), pool(RAMP, there))
    torch.testing.assert_close(align(RAMP, there) - align(RAMP, here), torch.full((1, 1, 7, 7), 1.9 / 4))


@pytest.mark.parametrize("samples", [1, 2])
def test_aligned_roialign_reads_a_ramp_at_the_middle_of_each_bin(samples):
    """The middle of cell n lies at n + 0.5, so that the ramp is x - 0.5 there; without the half pixel it is x."""
    x0, x1 = 9.3, 50.2
    middles = [(x0 + (n + 0.5) * (x1 - x0) / 7) / 4 for n in range(7)]
    for aligned, shift in ((True, 0.5), (False, 0.0)):
        found = ROIAlign((7, 7), 0.25, samples, aligned=aligned)(RAMP, roi(x0, 8, x1, 40))[0, 0]
        torch.testing.assert_close(found, torch.tensor([m - shift for m in middles]).expand(7, 7))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_pools_what_float32_would(dtype):
    cells = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(1)).to(dtype)
    boxes = torch.tensor([[0, 3.0, 5, 40, 33], [1, 257.0 / 8, 2.9, 61.7, 44]])
    found = FloatRoIPool((7, 7), 0.25)(cells, boxes)
    assert found.dtype == dtype
    assert torch.equal(found.float(), RoIPool((7, 7), 0.25)(cells.float(), boxes))


def test_gradients_reach_the_cells_with_the_maxima():
    cells = torch.tensor([[[[1.0, 2], [4, 3]]]], dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        FloatRoIPool((1, 1), 1.0)(cells, roi(0, 0, 1, 1)).sum().backward()
    assert cells.grad.tolist() == [[[[0, 0], [1, 0]]]]


def test_the_heads_pool_with_it_where_the_config_says_roipool(small_shapes):
    for name, expected in (("roipool", (True, True)), ("roipool_mask", (False, True)), ("align2", (False, False))):
        heads = build_model(_config(name)).roi_heads
        assert isinstance(heads, FloatPoolROIHeads)
        poolers = (heads.box_pooler, heads.mask_pooler)
        found = tuple(all(isinstance(p, FloatRoIPool) for p in pooler.level_poolers) for pooler in poolers)
        assert found == expected, name


def test_without_masks_there_is_no_mask_pooler(small_shapes):
    heads = build_model(_config("roipool", "MODEL.MASK_ON", "False")).roi_heads
    assert isinstance(heads.box_pooler.level_poolers[0], FloatRoIPool)


def _config(name, *overrides):
    from roipool.variants import VARIANTS

    return load_config(VARIANTS[name].config, ["MODEL.DEVICE", "cpu", *overrides])
