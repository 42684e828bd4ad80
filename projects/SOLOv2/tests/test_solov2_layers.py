"""Coordinates, dynamic convolutions, and the shapes of the branches."""

import pytest
import torch
from solov2.grid_head import GridHead
from solov2.layers import conv_block, dynamic_conv, with_coordinates
from solov2.levels import Level
from solov2.mask_head import MaskHead
from torch.nn import functional as F

from thingstuff.errors import ConfigError

LEVELS = (Level("p2", 8, 5, 1, 20), Level("p3", 8, 4, 10, 40), Level("p4", 16, 3, 20, 999))


def grid_head(**changes):
    arguments = {"levels": LEVELS, "in_channels": 8, "conv_dim": 16, "num_convs": 2, "norm": "", "num_classes": 3}
    return GridHead(**arguments | {"kernel_dim": 6, "prior_prob": 0.01} | changes)


def test_coordinates_are_two_channels_from_minus_one_to_one():
    found = with_coordinates(torch.zeros(2, 3, 3, 5))
    assert found.shape == (2, 5, 3, 5)
    x, y = torch.tensor([-1, -0.5, 0, 0.5, 1]), torch.tensor([-1.0, 0, 1])
    for image in found:
        assert (image[:3] == 0).all()
        torch.testing.assert_close(image[3], x.repeat(3, 1))
        torch.testing.assert_close(image[4], y[:, None].repeat(1, 5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_dynamic_convolution_is_a_convolution_by_each_kernel(dtype):
    torch.manual_seed(0)
    kernels, features = torch.randn(4, 6).to(dtype), torch.randn(6, 5, 7).to(dtype)
    expected = F.conv2d(features.float()[None], kernels.float()[:, :, None, None])[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = dynamic_conv(kernels, features)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_no_kernel_gives_no_mask():
    assert dynamic_conv(torch.zeros(0, 6), torch.zeros(6, 5, 7)).shape == (0, 5, 7)


def test_every_level_has_its_grid_whatever_the_shape_of_the_image():
    features = [torch.zeros(2, 8, 64 // stride, 96 // stride) for stride in (4, 8, 16)]
    category, kernels = grid_head()(features, (64, 96))
    assert [tuple(level.shape) for level in category] == [(2, 3, 5, 5), (2, 3, 4, 4), (2, 3, 3, 3)]
    assert [tuple(level.shape) for level in kernels] == [(2, 6, 5, 5), (2, 6, 4, 4), (2, 6, 3, 3)]


def test_a_level_is_resized_to_its_stride_before_it_is_resized_to_its_grid():
    """Features of stride 4 at the level of stride 8: a mean of 2 x 2, seen by layers that only pass it on."""
    level = Level("p2", 8, 3, 1, 20)
    head = grid_head(levels=(level,), in_channels=1, conv_dim=1, num_convs=1, num_classes=1, kernel_dim=1)
    with torch.no_grad():
        for layer in (head.category_tower[0], head.cls_score):
            layer.weight.zero_()[0, 0, 1, 1] = 1
            layer.bias.zero_()
    features = torch.rand(1, 1, 8, 8)
    category, _ = head([features], (32, 32))
    halved = F.avg_pool2d(features, 2)
    torch.testing.assert_close(category[0], F.interpolate(halved, size=(3, 3), mode="bilinear"))


def test_only_kernels_know_where_they_are():
    head = grid_head()
    assert (head.category_tower[0].in_channels, head.kernel_tower[0].in_channels) == (8, 8 + 2)


def test_every_class_starts_at_the_prior():
    category, _ = grid_head(prior_prob=0.02)([torch.zeros(1, 8, 8, 8)] * 3, (64, 64))
    torch.testing.assert_close(category[0].sigmoid(), torch.full((1, 3, 5, 5), 0.02))


def test_mask_features_have_the_size_of_the_finest_level_and_coordinates_on_the_coarsest():
    head = MaskHead(in_channels=8, num_levels=4, conv_dim=16, out_channels=6, norm="")
    features = [torch.rand(2, 8, 32 // 2**n, 48 // 2**n) for n in range(4)]
    assert head(features).shape == (2, 6, 32, 48)
    assert [branch[0].in_channels for branch in head.branches] == [8, 8, 8, 8 + 2]
    convolutions = [sum(hasattr(layer, "weight") for layer in branch) for branch in head.branches]
    assert convolutions == [1, 1, 2, 3]  # one for each time the size is doubled


def test_one_level_can_be_both_the_finest_and_the_coarsest():
    head = MaskHead(in_channels=8, num_levels=1, conv_dim=16, out_channels=6, norm="")
    assert head([torch.rand(1, 8, 4, 4)]).shape == (1, 6, 4, 4)


@pytest.mark.parametrize(
    ("norm", "channels", "message"),
    [("GX", 32, "NORM is 'GX', expected one of '', 'GN'"), ("GN", 48, "do not divide 48 channels")],
)
def test_a_norm_that_cannot_be_built(norm, channels, message):
    with pytest.raises(ConfigError, match=message):
        conv_block(8, channels, norm)
