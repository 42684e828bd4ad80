"""Error bars of a metric and of the difference of two: the bootstrap over images, percentiles corrected for bias.

Drawn images hold fewer different objects than the data set, and a metric may come out too high or too low of them: AP
does, since interpolated precision takes the luckiest case. Bias-corrected percentiles (Efron, 1981) are those between
which the value itself lies in the middle; here the correction has a bound, and the value is always within. An interval
speaks of other images of the same kind, with the same trained model; how much another training run would change the
result it cannot say. Where most classes are in only a handful of images it is somewhat too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Verdict = Literal["better", "worse", "undecided", "unchanged"]

_NORMAL = NormalDist()
_95_PERCENT = 1.959963984540054  # standard deviations of it on either side
_LEAST_SHARE = _NORMAL.cdf(-1)  # of draws on either side of the value: a larger bias is more than can be corrected
_MAX_UNDEFINED_SHARE = 0.1  # what one or two of many images decide is undefined in 37 % or 14 % of the draws
_ROUNDING = 1e-12  # relative; a smaller difference comes from the order of a sum
_BLOCK_BYTES = 2**24
_BLOCK_DRAWS = 256


@dataclass(frozen=True, slots=True)
class Interval:
    """A metric of the images as they are, and its 95 % bounds; NaN bounds say that these images allow none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric minus its baseline with 95 % bounds, and whether they exclude 0 ("undecided" if not, or if NaN).

    "unchanged": there is no difference in any draw.
    """

    value: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True)
class BlockMetric:
    """A metric that is computed for many draws at once.

    `values` maps weights (D x images, int64), one draw a row, to D values (float64). With one draw's weights the
    object is called like any other metric.
    """

    values: Callable[[IntArray], FloatArray]

    def __call__(self, weights: IntArray) -> float:
        return float(self.values(weights[None])[0])


Metric: TypeAlias = Callable[[IntArray], float] | BlockMetric


def bootstrap(metric: Metric, images: int, *, draws: int = 1000, seed: int = 0) -> Interval:
    """The metric's value and its 95 % interval over `draws` draws of `images` images with replacement.

    `metric` gets how often each image is drawn (int64, length `images`, read-only; all ones give the value itself)
    and returns a float. Draws in which it is NaN are left out. If those are more than a tenth, or the value itself is
    NaN, or there are fewer than two images, the bounds are NaN: too few images decide the metric.
    """
    value, drawn = _value_and_draws((metric,), images, draws, seed)
    return Interval(float(value[0]), *_bounds(value[0], drawn[0]))


def compare(metric: Metric, baseline: Metric, images: int, *, draws: int = 1000, seed: int = 0) -> Difference:
    """`metric` minus `baseline`, both of the same drawn images, so that what makes an image hard cancels.

    Higher is better. Both are metrics as `bootstrap` takes them, over the same images in the same order. A draw in
    which either is NaN is left out, with the same limits.
    """
    values, drawn = _value_and_draws((metric, baseline), images, draws, seed)
    value = _difference(*values[:, None]).item()
    low, high = _bounds(value, _difference(*drawn))
    return Difference(value, low, high, _verdict(low, high))


def _verdict(low: float, high: float) -> Verdict:
    if low == high == 0:
        return "unchanged"
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def semantic_miou(confusions: npt.ArrayLike) -> BlockMetric:
    """mIoU as `SemanticScores` defines it, a fraction: the mean over the classes in the truth of the drawn images.

    `confusions`: images x (C + 1) x (C + 1), each one image's `SemanticCounts.confusion`: int64 pixels by prediction
    (row) and truth (column), index C is "no class".
    """
    hit, union, true = _class_columns(confusions)
    return _mean_of_ratios(hit, union, counted=true)


def semantic_iou(confusions: npt.ArrayLike, place: int) -> BlockMetric:
    """The IoU of the class at `place`, a fraction, of `confusions` as `semantic_miou` takes them."""
    hit, union, true = _class_columns(confusions)
    own = slice(place, place + 1)
    return _mean_of_ratios(hit[:, own], union[:, own], counted=true[:, own])


def _class_columns(confusions: npt.ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
    """images x C each: pixels that are rightly, or either way, or truly of a class."""
    counts = np.asarray(confusions)
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2]:
        raise ValueError(f"expected images x (C + 1) x (C + 1) pixel counts, got {counts.shape}")
    hit = counts.diagonal(axis1=1, axis2=2)[:, :-1]
    true = counts[:, :, :-1].sum(axis=1)
    predicted = counts[:, :-1, :-1].sum(axis=2)
    return hit, true + predicted - hit, true


def panoptic_pq(per_image: npt.ArrayLike) -> BlockMetric:
    """PQ as `PanopticQuality` defines it, a fraction: the mean over the categories with a segment in the drawn images.

    `per_image`: images x C x 4, each category's tp, fp, fn and iou_sum in one image's `PanopticCounts`. PQ of things
    alone is that of `per_image[:, isthing]`.
    """
    counts = np.asarray(per_image, np.float64)
    if counts.ndim != 3 or counts.shape[2] != 4:
        raise ValueError(f"expected images x C x 4 counts (tp, fp, fn, iou_sum), got {counts.shape}")
    tp, fp, fn, iou_sum = np.moveaxis(counts, 2, 0)
    segments = tp + 0.5 * fp + 0.5 * fn
    return _mean_of_ratios(iou_sum, segments, counted=segments)


def _mean_of_ratios(part: npt.ArrayLike, whole: npt.ArrayLike, counted: npt.ArrayLike) -> BlockMetric:
    """Columns images x C are summed over the drawn images, divided, and averaged over the classes with `counted` > 0.

    The sums are those of float64, which is exact for counts below 2^53.
    """
    columns = [np.asarray(column, np.float64) for column in (part, whole, counted)]

    def values(weights: IntArray) -> FloatArray:
        if weights.shape[1] != len(columns[0]):
            raise ValueError(f"asked to draw from {weights.shape[1]} images, but there are counts of {len(columns[0])}")
        times = weights.astype(np.float64)
        parts, wholes, counts = (times @ column for column in columns)
        present = counts > 0
        ratios = np.divide(parts, wholes, out=np.zeros_like(parts), where=present)
        return _divide(ratios.sum(axis=1), present.sum(axis=1))

    return BlockMetric(values)


def _divide(totals: FloatArray, counts: IntArray) -> FloatArray:
    return np.divide(totals, counts, out=np.full_like(totals, math.nan), where=counts > 0)


def _value_and_draws(metrics: tuple[Metric, ...], images: int, draws: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Each metric's value (M) and its values in the draws (M x draws; M x 0 of fewer than two images)."""
    if images < 0 or draws < 1:
        raise ValueError(f"expected a number of images and at least 1 draw, got {images} and {draws}")
    if images == 0:
        return np.full(len(metrics), math.nan), np.empty((len(metrics), 0))
    value = _evaluate(metrics, np.ones((1, images), np.int64))[:, 0]
    if images == 1:
        return value, np.empty((len(metrics), 0))
    blocks = [_evaluate(metrics, weights) for weights in _weights(images, draws, seed)]
    return value, np.concatenate(blocks, axis=1)


def _weights(images: int, draws: int, seed: int) -> Iterator[IntArray]:
    """Blocks of draws (D x images): how often each image is drawn. The draws do not depend on the blocks' size."""
    rng = np.random.default_rng(seed)
    block_draws = max(1, min(_BLOCK_DRAWS, _BLOCK_BYTES // (8 * images)))
    for start in range(0, draws, block_draws):
        rows = min(block_draws, draws - start)
        drawn = rng.integers(images, size=(rows, images)) + images * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images)


def _evaluate(metrics: tuple[Metric, ...], weights: IntArray) -> FloatArray:
    weights.flags.writeable = False  # the next metric is to see the same draws
    return np.array([_values(metric, weights) for metric in metrics], np.float64)


def _values(metric: Metric, weights: IntArray) -> FloatArray:
    if not isinstance(metric, BlockMetric):
        return np.array([metric(row) for row in weights], np.float64)
    values = metric.values(weights)
    if values.shape != (len(weights),):
        raise ValueError(f"expected one value for each of {len(weights)} draws, got shape {values.shape}")
    return values


def _difference(values: FloatArray, baseline: FloatArray) -> FloatArray:
    return np.where(np.isclose(values, baseline, rtol=_ROUNDING, atol=0), 0.0, values - baseline)


def _bounds(value: float, drawn: FloatArray) -> tuple[float, float]:
    defined = drawn[~np.isnan(drawn)]
    if math.isnan(value) or defined.size == 0 or defined.size < (1 - _MAX_UNDEFINED_SHARE) * drawn.size:
        return math.nan, math.nan
    below, tied = defined < value, np.isclose(defined, value, rtol=_ROUNDING, atol=0)
    share = np.mean(np.where(tied, 0.5, below)).clip(_LEAST_SHARE, 1 - _LEAST_SHARE)
    bias = _NORMAL.inv_cdf(float(share))
    low, high = np.quantile(defined, [_NORMAL.cdf(2 * bias + side * _95_PERCENT) for side in (-1, 1)])
    return float(min(low, value)), float(max(high, value))
