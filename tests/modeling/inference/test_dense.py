"""Fused convolutions and linear layers against PyTorch's in separate steps, with and without oneDNN's operators."""

import pytest
import torch
import torch.nn.functional as F
from detectron2 import layers
from detectron2.layers import FrozenBatchNorm2d
from torch import nn

from thingstuff.modeling.inference import dense, product, winograd
from thingstuff.modeling.inference.blocks import FusedConv2d, fuse_blocks
from thingstuff.modeling.inference.dense import Conv, Geometry, Linear
from thingstuff.modeling.inference.fold import folded

CLOSE = {torch.float32: {"rtol": 1e-4, "atol": 1e-4}, torch.bfloat16: {"rtol": 0.03, "atol": 0.1}}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(params=["fused", "plain"])
def _way(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(dense, "has_fused_ops", lambda dtype: False)
        monkeypatch.setattr(winograd, "serves", lambda *_: False)
        monkeypatch.setattr(product, "serves", lambda weight: False)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("kernel", "geometry", "channels"),
    [
        (1, Geometry(), (8, 24)),
        (1, Geometry(stride=(2, 2)), (1024, 512)),
        (3, Geometry(padding=(1, 1)), (32, 64)),
        (3, Geometry(padding=(1, 1), groups=4), (32, 64)),
        (3, Geometry(stride=(2, 2), padding=(2, 2), dilation=(2, 2)), (6, 8)),
        (7, Geometry(stride=(2, 2), padding=(3, 3)), (3, 16)),
    ],
)
def test_conv(kernel, geometry, channels, dtype):
    g = geometry
    weight = torch.randn(channels[1], channels[0] // g.groups, kernel, kernel) / (channels[0] * kernel**2) ** 0.5
    bias, x = torch.randn(channels[1]), torch.randn(2, channels[0], 13, 10)
    seen, narrow = x.to(dtype).float(), weight.to(dtype).float()
    expected = F.conv2d(seen, narrow, bias.to(dtype).float(), g.stride, g.padding, g.dilation, g.groups)
    add = torch.randn_like(expected)
    with torch.inference_mode():
        for relu in (False, True):
            conv = Conv(weight, bias, geometry, relu, dtype)
            ours = conv(x), conv(x, add)
            theirs = expected, expected + add.to(dtype).float()
            for y, right in zip(ours, theirs, strict=True):
                assert y.dtype is dtype
                assert torch.allclose(y.float(), right.relu() if relu else right, **CLOSE[dtype])
        assert conv(x[:0]).shape == expected[:0].shape


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [0, 1, 37])
def test_linear(rows, dtype):
    weight, bias, x = torch.randn(20, 50) / 7, torch.randn(20), torch.randn(rows, 50)
    expected = F.linear(x.to(dtype).float(), weight.to(dtype).float(), bias.to(dtype).float())
    with torch.inference_mode():
        for relu in (False, True):
            y = Linear(weight, bias, relu, dtype)(x)
            assert (y.dtype, y.shape) == (dtype, (rows, 20))
            assert torch.allclose(y.float(), expected.relu() if relu else expected, **CLOSE[dtype])


def test_operators_that_take_other_arguments_are_not_used(monkeypatch):
    dense.has_fused_ops.cache_clear()

    def other_signature(*args):
        raise TypeError

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", other_signature)
    assert not dense.has_fused_ops(torch.float32)
    dense.has_fused_ops.cache_clear()


def test_operators_that_give_other_numbers_are_not_used(monkeypatch):
    dense.has_fused_ops.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", type("Op", (), {"binary": lambda x, *_: x})())
    assert not dense.has_fused_ops(torch.float32)
    dense.has_fused_ops.cache_clear()


def normed(norm):
    conv = layers.Conv2d(6, 8, 3, padding=1, bias=False, norm=norm, activation=F.relu)
    for name, value in norm.named_buffers():
        if value.dtype.is_floating_point:
            value.uniform_(0.5, 2) if "var" in name else value.normal_()
    return conv.eval()


@pytest.mark.parametrize("norm", [FrozenBatchNorm2d(8), nn.BatchNorm2d(8), nn.BatchNorm2d(8, affine=False)])
def test_batch_norms_are_folded(norm):
    conv, x = normed(norm), torch.randn(1, 6, 9, 9)
    with torch.no_grad():
        weight, bias, left = folded(conv)
        assert left is None
        assert torch.allclose(F.conv2d(x, weight, bias, padding=1).relu(), conv(x), atol=1e-5)


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 8), nn.BatchNorm2d(8, track_running_stats=False)])
def test_norms_that_depend_on_the_image_remain(norm):
    conv, x = normed(norm), torch.randn(1, 6, 9, 9)
    assert folded(conv)[2] is norm
    with torch.inference_mode():
        expected = conv(x)
        holder = nn.Sequential(conv)
        fuse_blocks(holder, torch.float32)
        assert isinstance(holder[0], FusedConv2d)
        assert torch.allclose(holder(x), expected, atol=1e-5)


def test_convolutions_of_other_padding_stay_as_they_are():
    holder = nn.Sequential(nn.Conv2d(4, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"))
    fuse_blocks(holder, torch.float32)
    assert [type(conv) for conv in holder] == [nn.Conv2d, nn.Conv2d]
