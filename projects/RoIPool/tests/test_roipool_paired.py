"""Differences over seeds against written-out formulas and the printed tables of Student's t."""

import math

import pytest
from roipool.paired import paired_difference, t_quantile


@pytest.mark.parametrize(
    ("degrees", "printed"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)]
)
def test_quantiles_are_those_of_the_printed_tables(degrees, printed):
    assert t_quantile(0.975, degrees) == pytest.approx(printed, abs=5e-4)


@pytest.mark.parametrize("share", [0.5, 0.6, 0.9, 0.999])
def test_quantiles_of_one_and_two_degrees_have_closed_forms(share):
    assert t_quantile(share, 1) == pytest.approx(math.tan(math.pi * (share - 0.5)), abs=1e-6)
    assert t_quantile(share, 2) == pytest.approx((2 * share - 1) / math.sqrt(2 * share * (1 - share)), abs=1e-6)


def test_the_interval_is_the_mean_and_t_standard_errors():
    found = paired_difference([50.0, 53.0, 55.0], [51.0, 55.0, 58.0])  # -1, -2, -3: s = 1
    assert found.mean == -2
    assert found.low == pytest.approx(-2 - 4.303 / math.sqrt(3), abs=1e-3)
    assert found.high == pytest.approx(-2 + 4.303 / math.sqrt(3), abs=1e-3)
    assert not found.is_sure


def test_what_a_seed_does_to_both_cancels_out():
    found = paired_difference([10.0, 50.0, 90.0], [11.0, 51.0, 91.0])
    assert (found.mean, found.low, found.high, found.runs) == (-1, -1, -1, 3)
    assert found.is_sure


def test_one_pair_has_no_interval():
    found = paired_difference([2.0], [1.0])
    assert found.mean == 1
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert not found.is_sure


def test_what_is_no_pair_is_refused():
    with pytest.raises(ValueError, match="zip"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="one pair or more"):
        paired_difference([], [])


@pytest.mark.parametrize(("share", "degrees"), [(0.4, 3), (1.0, 3), (0.9, 0), (math.nan, 3)])
def test_what_is_no_quantile_is_refused(share, degrees):
    with pytest.raises(ValueError, match="expected a share"):
        t_quantile(share, degrees)
