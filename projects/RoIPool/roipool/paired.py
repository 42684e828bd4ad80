"""Differences of two models over the same seeds, with Student's interval."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LEVEL = 0.95
_STEPS = 2000  # of Simpson's rule, an even number
_FARTHEST = 1e4  # no quantile for 1 degree of freedom and more, 12.7, lies beyond


@dataclass(frozen=True)
class PairedDifference:
    """The mean over `runs` pairs, and where it lies with 95 % confidence; NaN bounds of a single pair."""

    mean: float
    low: float
    high: float
    runs: int

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def paired_difference(values: Sequence[float], baseline: Sequence[float]) -> PairedDifference:
    """`values` minus `baseline`, of the same seeds in the same order: mean +- t(n - 1) s / sqrt(n), s of the n
    differences.

    What a seed does to both models alike cancels out, unlike in a comparison of two means.
    """
    differences = [value - other for value, other in zip(values, baseline, strict=True)]
    if not differences:
        raise ValueError("expected one pair or more, got none")
    mean, count = statistics.fmean(differences), len(differences)
    if count == 1:
        return PairedDifference(mean, math.nan, math.nan, count)
    half = t_quantile(0.5 + _LEVEL / 2, count - 1) * statistics.stdev(differences) / math.sqrt(count)
    return PairedDifference(mean, mean - half, mean + half, count)


@functools.cache
def t_quantile(share: float, degrees: int) -> float:
    """The number below which Student's t with `degrees` of freedom lies with the probability `share`, 0.5 or more.

    By bisection, since no package that is here has it.
    """
    if not 0.5 <= share < 1 or degrees < 1:
        raise ValueError(f"expected a share from 0.5 to below 1 and 1 degree or more, got {share} and {degrees}")
    low, high = 0.0, _FARTHEST
    while high - low > 1e-9 * max(high, 1.0):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_below(middle, degrees) < share else (low, middle)
    return (low + high) / 2


def _t_below(value: float, degrees: int) -> float:
    """The probability of t <= `value`, from 0 on. With t = sqrt(degrees) tan(a) the density is that of cos(a)^(degrees
    - 1), smooth on a bounded interval."""
    angles = np.linspace(0.0, math.atan(value / math.sqrt(degrees)), _STEPS + 1)
    weights = np.ones(_STEPS + 1)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    area = float((weights * np.cos(angles) ** (degrees - 1)).sum() * (angles[1] - angles[0]) / 3)
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    return 0.5 + scale * area
