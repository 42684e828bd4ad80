"""The confusion matrix: what the objects of each class were taken for, in percent of the class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thingstuff.errors import DataError
from thingstuff.report.figures.style import FONT_POINTS, GRAY, new_figure, shown_name, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_MOST_CELLS_WITH_NUMBERS = 20
_MOST_NAMES = 80
_INCHES_A_CLASS = 0.36
_LEAST_INCHES, _MOST_INCHES = 3.4, 9.0


def confusion_figure(counts: npt.ArrayLike, names: Sequence[str], subtitle: str = "") -> Figure:
    """(K + 1) x (K + 1) counts, truth in rows and predictions in columns, the last of each for what has no partner.

    Every row is shown in percent of its sum, which stands behind its name; the last row is of false detections, hence
    in percent of these. A row without anything is gray. Up to 20 classes the cells hold their numbers, 0 left out;
    above 80 only every n-th class is named.
    """
    matrix = _checked(counts, len(names))
    inches = min(_MOST_INCHES, max(_LEAST_INCHES, 1.6 + _INCHES_A_CLASS * len(matrix)))
    figure = new_figure(inches + 1.2, inches)
    axes = figure.subplots()
    percents = _row_percents(matrix)
    image = axes.imshow(np.ma.masked_invalid(percents), cmap=_color_map(), vmin=0, vmax=100)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("% of the row", fontsize=FONT_POINTS)
    bar.ax.tick_params(labelsize=FONT_POINTS - 1)
    _name_the_classes(axes, names, matrix.sum(axis=1))
    if subtitle:
        axes.set_title(subtitle, fontsize=FONT_POINTS)
    if len(names) <= _MOST_CELLS_WITH_NUMBERS:
        _write_numbers(axes, percents)
    return figure


def _checked(counts: npt.ArrayLike, classes: int) -> npt.NDArray[np.float64]:
    try:
        matrix = np.asarray(counts, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"confusion: expected a square table of numbers: {error}") from error
    if matrix.shape != (classes + 1, classes + 1):
        expected = f"{classes + 1} x {classes + 1} counts for {classes} classes and the background"
        raise DataError(f"confusion: expected {expected}, got the shape {matrix.shape}")
    return matrix


def _row_percents(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    sums = matrix.sum(axis=1, keepdims=True)
    percents = np.full(matrix.shape, np.nan)
    np.divide(100 * matrix, sums, out=percents, where=sums > 0)
    return percents


def _color_map() -> Colormap:
    """White to dark blue, in which lightness alone says how much."""
    from matplotlib import colormaps

    return colormaps["Blues"].with_extremes(bad="#E5E5E5")


def _name_the_classes(axes: Axes, names: Sequence[str], sums: npt.NDArray[np.float64]) -> None:
    """The background is always named."""
    shown = np.append(thinned(len(names), _MOST_NAMES), len(names))
    if len(shown) > 2 and shown[-1] - shown[-2] < shown[1] - shown[0]:
        shown = np.delete(shown, -2)
    labels = [*map(shown_name, names)]
    size = FONT_POINTS - (1 if len(shown) <= 25 else 3)
    rows = [f"{label} ({total:.0f})" for label, total in zip([*labels, "nothing"], sums, strict=True)]
    axes.set_yticks(shown, [rows[i] for i in shown], fontsize=size)
    columns = [*labels, "missed"]
    axes.set_xticks(shown, [columns[i] for i in shown], fontsize=size, rotation=90 if len(shown) > 12 else 45)
    if len(shown) <= 12:
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_xlabel("predicted as", fontsize=FONT_POINTS)
    axes.set_ylabel("truth (number)", fontsize=FONT_POINTS)
    if len(sums) > 2:
        for line in (axes.axhline, axes.axvline):
            line(len(names) - 0.5, color=GRAY, linewidth=0.8)  # behind it lies what has no partner


def _write_numbers(axes: Axes, percents: npt.NDArray[np.float64]) -> None:
    for row, column in np.argwhere(percents > 0).tolist():
        value = percents[row, column]
        text = f"{value:.0f}" if value >= 0.5 else "<1"
        color = "white" if value > 55 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=FONT_POINTS - 2, color=color)
