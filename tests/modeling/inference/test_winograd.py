"""Winograd's convolution against the direct one in float64, and what happens where it cannot be compiled."""

import logging
import shutil

import pytest
import torch
import torch.nn.functional as F

from thingstuff.modeling.inference import native, winograd

NEEDS_COMPILER = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")


def rows_last(*size):
    return torch.randn(*size).contiguous(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@NEEDS_COMPILER
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (4, 4), (5, 3), (13, 7), (16, 33)])
@pytest.mark.parametrize("channels", [(32, 48), (64, 32), (96, 96), (64, 144)])
def test_equals_the_direct_convolution(size, channels):
    """The error bound is that of float32 sums of 9 C products, ten times as wide as the direct convolution needs."""
    x, weight, bias = rows_last(2, channels[0], *size), torch.randn(channels[1], channels[0], 3, 3), None
    assert winograd.serves(weight)
    y = winograd.WinogradConv(weight, bias, relu=False)(x)
    expected = F.conv2d(x.double(), weight.double(), padding=1)
    scale = F.conv2d(x.double().abs(), weight.double().abs(), padding=1).max()
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert (y - expected).abs().max() < 3e-6 * scale


@NEEDS_COMPILER
@pytest.mark.parametrize("threads", [1, 3])
def test_bias_addition_and_relu(threads):
    x, weight, bias, add = (
        rows_last(3, 64, 30, 22),
        torch.randn(64, 64, 3, 3),
        torch.randn(64),
        rows_last(3, 64, 30, 22),
    )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        y = winograd.WinogradConv(weight, bias, relu=True)(x, add)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(y, F.relu(F.conv2d(x, weight, bias, padding=1) + add), rtol=1e-4, atol=2e-3)
    assert (y == 0).any()


@NEEDS_COMPILER
def test_nan_stays_and_nothing_gives_nothing():
    conv = winograd.WinogradConv(torch.randn(32, 32, 3, 3), None, relu=True)
    x = rows_last(1, 32, 20, 20)
    x[0, 5, 2, 2] = torch.nan
    assert torch.isnan(conv(x)[0, :, 2, 2]).all()
    assert not torch.isnan(conv(x)[0, :, 12:, 12:]).any()
    assert conv(rows_last(0, 32, 20, 20)).shape == (0, 32, 20, 20)


@NEEDS_COMPILER
@pytest.mark.parametrize("size", [(32, 32, 1, 1), (16, 64, 3, 3), (64, 16, 3, 3), (32, 33, 3, 3)])
def test_what_it_does_not_serve(size):
    assert not winograd.serves(torch.zeros(size))


@pytest.fixture
def fresh_library():
    native.library.cache_clear()
    yield native.library
    native.library.cache_clear()


def test_without_a_compiler_it_says_so_once(fresh_library, monkeypatch, caplog):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with caplog.at_level(logging.INFO, "thingstuff"):
        assert fresh_library("winograd") is None
        assert fresh_library("winograd") is None
    assert [r.getMessage() for r in caplog.records] == [
        "no C compiler here: prediction goes without winograd.c and takes longer"
    ]


@pytest.mark.parametrize("compiler", ["false", "nowhere/cc"])
def test_a_compiler_that_fails_is_told_and_leaves_nothing(fresh_library, monkeypatch, caplog, tmp_path, compiler):
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setenv("THINGSTUFF_CACHE", str(tmp_path))
    with caplog.at_level(logging.INFO, "thingstuff"):
        assert fresh_library("winograd") is None
    assert "could not be compiled" in caplog.text
    assert not list(tmp_path.rglob("*.so"))


@NEEDS_COMPILER
def test_it_is_compiled_once(fresh_library, monkeypatch, tmp_path):
    monkeypatch.setenv("THINGSTUFF_CACHE", str(tmp_path))
    assert fresh_library("winograd") is not None
    (made,) = tmp_path.rglob("*.so")
    written = made.stat().st_mtime_ns
    native.library.cache_clear()
    assert fresh_library("winograd") is not None
    assert made.stat().st_mtime_ns == written
    assert [p.name for p in made.parent.iterdir()] == [made.name]
