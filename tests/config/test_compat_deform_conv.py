"""Deformable convolutions through torchvision: the definition written out, gradients, empty batches, parameters."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import thingstuff.config  # noqa: F401  puts the layers in their place
from thingstuff.config.compat import deform_conv_layers


def deform_conv_by_hand(x, offset, weight, stride, padding, dilation, groups, deformable_groups, mask=None):
    """The definition, point by point: sum over channels and kernel points of weight * x at the shifted place * mask."""
    n, channels, height, width = x.shape
    out_channels, _, kh, kw = weight.shape
    out_h = (height + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    out_w = (width + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    offset = offset.reshape(n, deformable_groups, kh, kw, 2, out_h, out_w)
    mask = torch.ones(n, deformable_groups, kh, kw, out_h, out_w) if mask is None else mask
    mask = mask.reshape(n, deformable_groups, kh, kw, out_h, out_w)
    out = torch.zeros(n, out_channels, out_h, out_w, dtype=x.dtype)
    per_group, per_deformable = channels // groups, channels // deformable_groups
    for image, o, row, col in np.ndindex(n, out_channels, out_h, out_w):
        for k, i, j in np.ndindex(per_group, kh, kw):
            c = o // (out_channels // groups) * per_group + k
            d = c // per_deformable
            dy, dx = offset[image, d, i, j, :, row, col]
            y = row * stride - padding + i * dilation + float(dy)
            x_ = col * stride - padding + j * dilation + float(dx)
            value = bilinear(x[image, c], y, x_) * mask[image, d, i, j, row, col]
            out[image, o, row, col] += weight[o, k, i, j] * value
    return out


def bilinear(plane, y, x):
    """The value between pixels; 0 outside the image."""
    total = 0.0
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for col in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < plane.shape[0] and 0 <= col < plane.shape[1]:
                total += float(plane[row, col]) * (1 - abs(y - row)) * (1 - abs(x - col))
    return total


GEOMETRIES = [(1, 1, 1, 1, 1), (2, 1, 1, 2, 1), (1, 2, 2, 1, 2), (2, 0, 1, 2, 2)]


def tensors(stride, padding, dilation, deformable_groups, channels=4, size=6, n=2):
    generator = torch.Generator().manual_seed(0)
    out = (size + 2 * padding - dilation * 2 - 1) // stride + 1
    x = torch.randn(n, channels, size, size, generator=generator)
    offset = torch.randn(n, 2 * 9 * deformable_groups, out, out, generator=generator)
    mask = torch.rand(n, 9 * deformable_groups, out, out, generator=generator)
    return x, offset, mask


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups", "deformable_groups"), GEOMETRIES)
def test_deform_conv_is_its_definition(stride, padding, dilation, groups, deformable_groups):
    from detectron2.layers import DeformConv

    x, offset, _ = tensors(stride, padding, dilation, deformable_groups)
    layer = DeformConv(4, 4, 3, stride, padding, dilation, groups, deformable_groups)
    expected = deform_conv_by_hand(x, offset, layer.weight, stride, padding, dilation, groups, deformable_groups)
    torch.testing.assert_close(layer(x, offset), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups", "deformable_groups"), GEOMETRIES)
def test_modulated_deform_conv_is_its_definition(stride, padding, dilation, groups, deformable_groups):
    from detectron2.layers import ModulatedDeformConv

    x, offset, mask = tensors(stride, padding, dilation, deformable_groups)
    layer = ModulatedDeformConv(4, 4, 3, stride, padding, dilation, groups, deformable_groups, bias=True)
    layer.bias.data = torch.arange(4.0)
    geometry = (stride, padding, dilation, groups, deformable_groups)
    expected = deform_conv_by_hand(x, offset, layer.weight, *geometry, mask) + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x, offset, mask), expected, rtol=1e-4, atol=1e-4)


def test_without_offsets_it_is_a_convolution():
    from detectron2.layers import DeformConv

    x, offset, _ = tensors(2, 1, 1, 1)
    layer = DeformConv(4, 6, 3, stride=2, padding=1, groups=2, norm=torch.nn.BatchNorm2d(6), activation=functional.relu)
    expected = functional.conv2d(x, layer.weight, None, 2, 1, 1, 2)
    torch.testing.assert_close(layer(x, 0 * offset), functional.relu(layer.norm(expected)), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_the_function():
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, 2, 4, 4), (1, 2 * 9 * 2, 2, 2), (1, 9 * 2, 2, 2), (2, 1, 3, 3), (2,)]
    values = [torch.rand(s, generator=generator, dtype=torch.float64) for s in shapes]
    x, offset, mask, weight, bias = (v.requires_grad_() for v in values)
    # offsets of 0.2 to 0.8 stay between two pixels, where the interpolation has a derivative
    offset.data = 0.2 + 0.6 * offset.data
    assert torch.autograd.gradcheck(deform_conv_layers.modulated_deform_conv, (x, offset, mask, weight, bias))
    assert torch.autograd.gradcheck(deform_conv_layers.deform_conv, (x, offset, weight))


@pytest.mark.parametrize("modulated", [False, True])
def test_empty_batch_has_the_right_shape_and_zero_gradients(modulated):
    from detectron2.layers import DeformConv, ModulatedDeformConv

    x, offset, mask = tensors(2, 1, 1, 1, n=0)
    layer = (ModulatedDeformConv if modulated else DeformConv)(4, 6, 3, stride=2, padding=1)
    out = layer(x, offset, mask) if modulated else layer(x, offset)
    assert out.shape == (0, 6, 3, 3)
    out.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())


def test_parameters_are_named_and_shaped_as_in_checkpoints():
    from detectron2.layers import DeformConv, ModulatedDeformConv

    shapes = {name: tuple(p.shape) for name, p in ModulatedDeformConv(4, 6, 3, groups=2).named_parameters()}
    assert shapes == {"weight": (6, 2, 3, 3), "bias": (6,)}
    assert [name for name, _ in DeformConv(4, 6, (1, 3)).named_parameters()] == ["weight"]


def test_impossible_layers_are_refused():
    from detectron2.layers import DeformConv

    with pytest.raises(ValueError, match="groups"):
        DeformConv(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="no bias"):
        DeformConv(4, 4, 3, bias=True)
