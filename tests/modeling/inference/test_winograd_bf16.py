"""Winograd's convolution in bf16 against the direct one in float64: how far off it is, and where it serves."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from thingstuff.modeling.inference import cpu, native, winograd
from thingstuff.modeling.inference.dense import Conv, Geometry

NEEDS_KERNEL = pytest.mark.skipif(
    not (shutil.which("cc") and cpu.multiplies_bf16_pairs()), reason="needs a C compiler and AVX-512 BF16 without AMX"
)
BF16 = torch.bfloat16
HALF_STEP = 2**-9  # the most by which rounding to bf16 changes a number, as a share of it


def rows_last(*size):
    return torch.randn(*size).to(BF16).contiguous(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def convolved(x, weight):
    """The sums in float64 of every product, tap by tap, and the sums of the products' sizes."""
    padded, (height, width) = F.pad(x.double(), (1, 1, 1, 1)), x.shape[2:]
    sums = sizes = 0
    for dy in range(3):
        for dx in range(3):
            seen, taps = padded[:, :, dy : dy + height, dx : dx + width], weight[:, :, dy, dx].double()
            sums = sums + torch.einsum("nchw,oc->nohw", seen, taps)
            sizes = sizes + torch.einsum("nchw,oc->nohw", seen.abs(), taps.abs())
    return sums, sizes


@NEEDS_KERNEL
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (4, 4), (5, 3), (13, 7), (16, 33)])
@pytest.mark.parametrize("channels", [(32, 48), (64, 32), (96, 96), (64, 144)])
def test_equals_the_direct_convolution_but_for_rounding(size, channels):
    """Each product has two rounded factors; the transforms let their errors grow, to less than four times here."""
    x, weight = rows_last(3, channels[0], *size), torch.randn(channels[1], channels[0], 3, 3)
    assert winograd.serves(weight, BF16)
    y = winograd.WinogradConv(weight, None, False, BF16)(x)
    sums, sizes = convolved(x, weight)
    assert y.dtype is BF16
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert ((y.double() - sums).abs() < 4 * 2 * HALF_STEP * sizes.max()).all()


@NEEDS_KERNEL
def test_errors_are_a_small_multiple_of_those_of_rounded_factors():
    """In the mean square: a direct convolution of rounded weights, rounded at the end, is the measure."""
    x, weight = rows_last(1, 128, 40, 56).relu(), torch.randn(128, 128, 3, 3)
    sums, _ = convolved(x, weight)
    narrow = convolved(x, weight.to(BF16))[0].to(BF16)
    ours = winograd.WinogradConv(weight, None, False, BF16)(x)
    measure, off = ((y.double() - sums).square().mean().sqrt() for y in (narrow, ours))
    assert off < 6 * measure


@NEEDS_KERNEL
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
        y = winograd.WinogradConv(weight, bias, True, BF16)(x, add)
    finally:
        torch.set_num_threads(before)
    sums, sizes = convolved(x, weight)
    expected = (sums + bias[:, None, None] + add).relu()
    assert ((y.double() - expected).abs() < 4 * 2 * HALF_STEP * sizes.max()).all()
    assert (y == 0).any()


@NEEDS_KERNEL
def test_nan_stays_and_nothing_gives_nothing():
    conv = winograd.WinogradConv(torch.randn(32, 32, 3, 3), None, True, BF16)
    x = rows_last(1, 32, 20, 20)
    x[0, 5, 2, 2] = torch.nan
    assert torch.isnan(conv(x)[0, :, 2, 2]).all()
    assert not torch.isnan(conv(x)[0, :, 12:, 12:]).any()
    assert conv(rows_last(0, 32, 20, 20)).shape == (0, 32, 20, 20)


@NEEDS_KERNEL
@pytest.mark.parametrize("channels", [(40, 64), (64, 40), (16, 64)])
def test_other_channels_go_the_other_way_and_are_right(channels):
    weight = torch.randn(channels[1], channels[0], 3, 3)
    assert not winograd.serves(weight, BF16)
    x = rows_last(2, channels[0], 9, 6)
    sums, sizes = convolved(x, weight)
    with torch.inference_mode():
        y = Conv(weight, None, Geometry(padding=(1, 1)), False, BF16)(x)
    assert ((y.double() - sums).abs() < 2 * HALF_STEP * sizes.max()).all()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512f avx512_bf16", True),
        ("fpu avx512f avx512_bf16 amx_bf16", False),
        ("fpu avx512f", False),
        ("fp asimd bf16", False),
        ("", False),
    ],
)
def test_the_processors_flags_decide(tmp_path, flags, expected):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor : 0\nflags : {flags}\nmodel name : avx512_bf16\n")
    assert cpu.multiplies_bf16_pairs(file) is expected
    assert not cpu.multiplies_bf16_pairs(tmp_path / "absent")


@pytest.fixture
def _no_kernels():
    caches = (winograd._kernel, native.library)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("_no_kernels")
@pytest.mark.parametrize("missing", ["compiler", "instructions"])
def test_without_the_kernel_pytorch_computes(monkeypatch, missing):
    if missing == "compiler":
        monkeypatch.setenv("CC", "false")
        monkeypatch.setenv("THINGSTUFF_CACHE", "/nowhere")
    else:
        monkeypatch.setattr(winograd, "multiplies_bf16_pairs", lambda: False)
    weight, x = torch.randn(32, 32, 3, 3), rows_last(1, 32, 6, 5)
    assert not winograd.serves(weight, BF16)
    sums, sizes = convolved(x, weight)
    with torch.inference_mode():
        y = Conv(weight, None, Geometry(padding=(1, 1)), False, BF16)(x)
    assert ((y.double() - sums).abs() < 2 * HALF_STEP * sizes.max()).all()
    with pytest.raises(RuntimeError, match="ask serves"):
        winograd.WinogradConv(weight, None, False, BF16)


def test_fp16_is_not_served():
    assert not winograd.serves(torch.zeros(32, 32, 3, 3), torch.float16)
