"""Products in bf16 against the same in float64: linear layers, 1 x 1 convolutions, additions, scores of masks."""

import shutil

import pytest
import torch

from thingstuff.modeling.inference import cpu, product
from thingstuff.modeling.inference.dense import Conv, Geometry, Linear

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and cpu.multiplies_bf16_pairs()), reason="needs a C compiler and AVX-512 BF16 without AMX"
)
BF16 = torch.bfloat16
CLOSE = {"rtol": 2**-8, "atol": 1e-3}  # a bf16 number has 8 bits


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def narrow(*size):
    return torch.randn(*size).to(BF16)


def rows_last(*size):
    return narrow(*size).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("rows", [0, 1, 6, 7, 121, 250])
@pytest.mark.parametrize(("channels", "out"), [(2, 16), (50, 80), (1024, 64), (1026, 48), (2500, 144)])
def test_rows(rows, channels, out):
    """Parts of many input channels, and output channels that do not fill a panel."""
    x, weight, bias = narrow(rows, channels), (narrow(out, channels) / channels**0.5).float(), torch.randn(out)
    expected = x.double() @ weight.double().T + bias
    for relu in (False, True):
        y = product.Product(weight, bias, relu).rows(x)
        assert (y.dtype, y.shape) == (BF16, (rows, out))
        assert torch.allclose(y.double(), expected.relu() if relu else expected, **CLOSE)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("step", [(1, 1), (2, 2), (2, 3)])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (16, 11)])
def test_pixels_with_a_stride_and_an_addition(size, step, threads):
    x, weight, bias = rows_last(3, 32, *size), (narrow(48, 32, 1, 1) / 6).float(), torch.randn(48)
    expected = torch.einsum("nchw,oc->nohw", x[:, :, :: step[0], :: step[1]].double(), weight[:, :, 0, 0].double())
    add = rows_last(*expected.shape)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        y = product.Product(weight, bias, True).pixels(x, step, add)
    finally:
        torch.set_num_threads(before)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(y.double(), (expected + bias[:, None, None] + add.double()).relu(), **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
def test_a_coarser_level_is_added_to_four_pixels_each(dtype):
    weight, x, coarse = (narrow(32, 64, 1, 1) / 8).float(), rows_last(2, 64, 6, 10), rows_last(2, 32, 3, 5)
    repeated = coarse.double().repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    expected = torch.einsum("nchw,oc->nohw", x.double(), weight[:, :, 0, 0].double()) + repeated
    with torch.inference_mode():
        y = Conv(weight, None, Geometry(), False, dtype)(x, coarse=coarse)
    assert torch.allclose(y.double(), expected, **CLOSE)


def test_sizes_that_do_not_fit_are_refused():
    """The kernel would read memory of others."""
    conv = Conv(torch.randn(32, 64, 1, 1), None, Geometry(), False, BF16)
    with torch.inference_mode():
        with pytest.raises(ValueError, match=r"what is added is \(1, 32, 6, 8\), expected \(1, 32, 6, 10\)"):
            conv(rows_last(1, 64, 6, 10), coarse=rows_last(1, 32, 3, 4))
        with pytest.raises(ValueError, match="32 input channels, expected 64"):
            conv(rows_last(1, 32, 6, 10))
        with pytest.raises(ValueError, match="32 input channels, expected 64"):
            Linear(torch.randn(128, 64), None, False, BF16).dots(narrow(4, 32), torch.randn(2, 64))


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
@pytest.mark.parametrize(("each", "vectors", "rows"), [(64, 3, 5), (128, 2, 49), (32, 2, 4), (64, 0, 7)])
def test_dots_are_products_of_a_rows_answer_with_its_vector(each, vectors, rows, dtype):
    weight, bias = (narrow(4 * each, 48) / 7).float(), torch.randn(4 * each)
    x, own = narrow(vectors * rows, 48), torch.randn(vectors, each)
    answers = (x.double() @ weight.double().T + bias).relu().view(vectors, rows, 4, each)
    expected = torch.einsum("nrpe,ne->nrp", answers, own.double()).flatten(0, 1)
    with torch.inference_mode():
        found = Linear(weight, bias, True, dtype).dots(x, own)
    assert (found.dtype, found.shape) == (torch.float32, (vectors * rows, 4))
    assert torch.allclose(found.double(), expected, rtol=0.01, atol=0.1)


@pytest.mark.parametrize("size", [(15, 32), (16, 33), (16, 32, 3, 3)])
def test_what_it_does_not_serve(size):
    assert not product.serves(torch.zeros(size))


def test_nan_stays():
    x = narrow(9, 32)
    x[4, 3] = torch.nan
    y = product.Product(torch.randn(64, 32), None, True).rows(x)
    assert torch.isnan(y[4]).all()
    assert not torch.isnan(y[[0, 1, 2, 3, 5, 6, 7, 8]]).any()
