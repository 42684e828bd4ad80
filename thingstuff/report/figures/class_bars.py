"""A metric of each class as bars, the best class on top, with intervals where they are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from thingstuff.evaluation.bootstrap import Interval
from thingstuff.report.figures.style import COLORS, FONT_POINTS, GRAY, dress, new_figure, say, shown_name, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES_A_BAR = 0.18
_MOST_INCHES = 15.0
_MOST_NAMES = 80


def class_bars_figure(
    percents: Mapping[str, float],
    metric: str,
    *,
    intervals: Mapping[str, Interval] | None = None,
    overall: Interval | None = None,
) -> Figure:
    """One horizontal bar a class, in percent from 0 to 100; `metric` is the axis label.

    Classes go by value, those without one (NaN, no truth) are last, marked as undefined. `intervals` of some or all
    classes become whiskers; `overall`, the value of all classes together, a line with its interval as a band.
    However many classes there are the figure fits a page: above 80 only every n-th is named.
    """
    names = sorted(percents, key=lambda name: -percents[name] if percents[name] == percents[name] else math.inf)
    height = min(_MOST_INCHES, 1.2 + _INCHES_A_BAR * len(names))
    figure = new_figure(5.5, max(height, 1.8))
    axes = figure.subplots()
    dress(axes, grid="x")
    axes.set_xlabel(metric, fontsize=FONT_POINTS)
    axes.set_xlim(0, 100)
    if not names:
        say(axes, "no classes")
        axes.set_yticks([])
        return figure
    _bars(axes, names, percents)
    _whiskers(axes, names, intervals or {})
    if overall is not None and not math.isnan(overall.value):
        _overall(axes, overall)
    return figure


def _bars(axes: Axes, names: list[str], percents: Mapping[str, float]) -> None:
    values = np.array([percents[name] for name in names], float)
    named = thinned(len(names), _MOST_NAMES)
    # gaps narrower than a pixel would make a pattern of their own
    thick = 0.75 if len(named) == len(names) else 1
    axes.barh(np.arange(len(names)), np.nan_to_num(values), height=thick, color=COLORS[0])
    axes.set_yticks(named, [shown_name(names[i]) for i in named], fontsize=FONT_POINTS - 1)
    axes.set_ylim(len(names) - 0.4, -0.6)  # downwards
    for i in named[np.isnan(values[named])]:
        axes.text(0.5, i, "undefined", va="center", fontsize=FONT_POINTS - 2, color=GRAY)
    if len(named) < len(names):
        axes.set_ylabel(f"{len(names)} classes, one in {named[1]} is named", fontsize=FONT_POINTS)


def _whiskers(axes: Axes, names: list[str], intervals: Mapping[str, Interval]) -> None:
    known = [i for i, n in enumerate(names) if n in intervals and math.isfinite(intervals[n].low + intervals[n].high)]
    if known:
        found = [intervals[names[i]] for i in known]
        middles = [(each.low + each.high) / 2 for each in found]
        lengths = [(each.high - each.low) / 2 for each in found]
        axes.errorbar(middles, known, xerr=lengths, fmt="none", ecolor="black", elinewidth=1, capsize=2)


def _overall(axes: Axes, overall: Interval) -> None:
    label = f"all classes {overall.value:.1f}"
    if math.isfinite(overall.low + overall.high):
        axes.axvspan(overall.low, overall.high, color=COLORS[1], alpha=0.2, linewidth=0)
        label += f" (95 %: {overall.low:.1f} to {overall.high:.1f})"
    axes.axvline(overall.value, color=COLORS[1], linewidth=1.2, label=label)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, fontsize=FONT_POINTS - 1)
