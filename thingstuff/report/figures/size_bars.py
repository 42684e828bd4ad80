"""AP of small, medium and large objects side by side, of one result or of several."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from thingstuff.report.figures.style import FONT_POINTS, GRAY, dress, line_style, new_figure, say, shown_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = {"APs": "small\n< 32² pixels", "APm": "medium", "APl": "large\n> 96² pixels"}
_MOST_WITH_NUMBERS = 6


def size_bars_figure(results: Mapping[str, Mapping[str, float | None]], metric: str = "AP in percent") -> Figure:
    """Name -> metrics in percent, of which `APs`, `APm` and `APl` are read, -> a group of bars for each size.

    What is missing or NaN, as where no object has the size, is marked with a dash instead of a bar of length 0. A
    single result may have an empty name.
    """
    figure = new_figure(max(4.0, 1 + 1.25 * min(len(results), _MOST_WITH_NUMBERS)), 3.4)
    axes = figure.subplots()
    dress(axes, grid="y")
    axes.set_ylabel(metric, fontsize=FONT_POINTS)
    axes.set_ylim(0, 100)
    axes.set_xticks(range(len(SIZES)), SIZES.values(), fontsize=FONT_POINTS)
    if not results:
        say(axes, "no results")
        return figure
    width = 0.8 / len(results)
    for number, (name, metrics) in enumerate(results.items()):
        values = [_number(metrics.get(size)) for size in SIZES]
        places = np.arange(len(SIZES)) + (number - (len(results) - 1) / 2) * width
        color = line_style(number)["color"]
        axes.bar(places, np.nan_to_num(values), width * 0.92, color=color, label=shown_name(name))
        for place, value in zip(places, values, strict=True):
            if len(results) <= _MOST_WITH_NUMBERS or math.isnan(value):
                text, ink = ("—", GRAY) if math.isnan(value) else (f"{value:.1f}", "black")
                axes.text(place, np.nan_to_num(value) + 1, text, ha="center", fontsize=FONT_POINTS - 2, color=ink)
    if any(results):
        figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=FONT_POINTS - 1)
    return figure


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
