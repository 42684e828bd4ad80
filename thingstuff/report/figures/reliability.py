"""Whether a score means what it says: of the detections with score .8, do 80 % hit?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation.ap_matches import ApMatches
from thingstuff.evaluation.coco_backends import COCO_IOU_THRESHS
from thingstuff.report.figures.style import COLORS, FONT_POINTS, GRAY, dress, new_figure, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_IOU_ROW = 0
IOU_THRESH = float(COCO_IOU_THRESHS[_IOU_ROW])


@dataclass(frozen=True, eq=False)
class Reliability:
    """Detections of all classes in B bins of equal width over the scores from 0 to 1."""

    counts: IntArray  # B detections; a score on an edge is in the bin above it, 1 in the last
    mean_scores: FloatArray  # B, NaN in empty bins
    precisions: FloatArray  # B fractions that hit, NaN in empty bins

    @classmethod
    def of(cls, scores: npt.ArrayLike, hits: npt.ArrayLike, bins: int = 10) -> Reliability:
        """N scores and whether each is a true positive."""
        values, found = np.asarray(scores, np.float64), np.asarray(hits, bool)
        if values.shape != found.shape or values.ndim != 1:
            raise ValueError(f"expected N scores and N hits, got {values.shape} and {found.shape}")
        if bins < 1:
            raise ConfigError(f"bins must be at least 1, got {bins}")
        if not ((values >= 0) & (values <= 1)).all():
            wrong = values[~((values >= 0) & (values <= 1))][0]
            raise DataError(f"reliability needs scores from 0 to 1, got {wrong:g}: turn them into probabilities first")
        # not by a product, which may round to the other side of an edge: 0.29 * 100 is below 29
        place = np.searchsorted(np.arange(1, bins) / bins, values, side="right")
        counts = np.bincount(place, minlength=bins).astype(np.int64)
        sums = (np.bincount(place, weights, minlength=bins).astype(np.float64) for weights in (values, found))
        return cls(counts, *(_means(each, counts) for each in sums))

    @property
    def expected_error(self) -> float:
        """ECE (Guo et al. 2017): the mean gap between score and precision, each bin by its count; NaN without any."""
        if not self.counts.sum():
            return math.nan
        gaps = np.nan_to_num(np.abs(self.mean_scores - self.precisions))
        return float((self.counts * gaps).sum() / self.counts.sum())


def score_reliability(matches: ApMatches, bins: int = 10) -> Reliability:
    """Of the detections that COCO's AP looks at, matched as there at IoU .5, less those that a crowd excuses."""
    all_scores, all_hits = [np.zeros(0)], [np.zeros(0, bool)]
    for found in matches.categories.values():
        counted = ~found.ignored[_IOU_ROW]
        all_scores.append(found.scores[counted])
        all_hits.append(found.tp[_IOU_ROW][counted])
    return Reliability.of(np.concatenate(all_scores), np.concatenate(all_hits), bins)


def reliability_figure(found: Reliability, title: str = "") -> Figure:
    """Precision over score with the diagonal on which a score is a probability, and below it how many each bin has."""
    figure = new_figure(4.2, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for axes in (above, below):
        dress(axes)
    _draw_precisions(above, found)
    if title:
        above.set_title(title, fontsize=FONT_POINTS)
    edges, width = _edges(found)
    below.bar(edges, found.counts, width, align="edge", color=GRAY, edgecolor="white", linewidth=0.5)
    below.set_ylim(0, 1)
    if found.counts.any():
        below.set_yscale("log")
        below.set_ylim(0.7, 2 * found.counts.max())  # a bar of one detection is to be seen
    below.set_xlabel("score", fontsize=FONT_POINTS)
    below.set_ylabel("detections", fontsize=FONT_POINTS)
    below.set_xlim(0, 1)
    return figure


def _means(sums: FloatArray, counts: IntArray) -> FloatArray:
    means = np.full(len(counts), math.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _draw_precisions(axes: Axes, found: Reliability) -> None:
    axes.plot((0, 1), (0, 1), color=GRAY, linestyle="--", linewidth=1, label="score = precision")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_ylabel(f"precision at IoU {IOU_THRESH:.2f}", fontsize=FONT_POINTS)
    if not found.counts.any():
        say(axes, "no detections")
        return
    edges, width = _edges(found)
    axes.bar(edges, np.nan_to_num(found.precisions), width, align="edge", color=COLORS[5], edgecolor="white")
    label = f"bins; expected calibration error {found.expected_error:.3f}"
    axes.plot(found.mean_scores, found.precisions, "o", color=COLORS[0], markersize=4, clip_on=False, label=label)
    axes.legend(loc="upper left", fontsize=FONT_POINTS - 1)


def _edges(found: Reliability) -> tuple[FloatArray, float]:
    return np.arange(len(found.counts)) / len(found.counts), 1 / len(found.counts)
