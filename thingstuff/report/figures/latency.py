"""Latency of programs that predict: accuracy over it where it is known, or else bars of its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from thingstuff.report.figures.style import COLORS, FONT_POINTS, dress, new_figure, say, shown_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Program = tuple[str, float, Mapping[str, float], Mapping[str, Any]]
_INCHES_A_BAR = 0.28
_HATCHES = ("", "//", "..", "xx")  # after the last colour, the colours come again with the next of these


def latency_figure(programs: Sequence[Program]) -> Figure:
    """Each program is its name, milliseconds, milliseconds by stage, and accuracy: metric -> {"percent": ...}."""
    if any(accuracy for *_, accuracy in programs):
        return _accuracy_figure([program for program in programs if program[3]])
    figure = new_figure(6.5, max(2.0, 1.4 + _INCHES_A_BAR * len(programs)))
    axes = figure.subplots()
    dress(axes, grid="x")
    axes.set_xlabel("milliseconds an image", fontsize=FONT_POINTS)
    if not programs:
        say(axes, "no programs")
        return figure
    _stage_bars(axes, programs)
    return figure


def _stage_bars(axes: Axes, programs: Sequence[Program]) -> None:
    stages = list(dict.fromkeys(stage for _, _, of_stages, _ in programs for stage in of_stages))
    left, places = np.zeros(len(programs)), np.arange(len(programs))
    for number, stage in enumerate(stages):
        widths = np.array([of_stages.get(stage, 0.0) for _, _, of_stages, _ in programs])
        color, hatch = COLORS[number % len(COLORS)], _HATCHES[number // len(COLORS) % len(_HATCHES)]
        axes.barh(places, widths, left=left, color=color, hatch=hatch, label=stage, edgecolor="white", linewidth=0.3)
        left += widths
    axes.set_yticks(places, [shown_name(name) for name, *_ in programs], fontsize=FONT_POINTS - 1)
    axes.set_ylim(len(programs) - 0.4, -0.6)  # downwards
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, fontsize=FONT_POINTS - 2, ncols=min(len(stages), 6)
    )


def _accuracy_figure(programs: Sequence[Program]) -> Figure:
    """One panel a metric, a point a program."""
    metrics = list(dict.fromkeys(metric for *_, accuracy in programs for metric in accuracy))
    figure = new_figure(3.2 * len(metrics), 3.0)
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        dress(axes)
        axes.set_xlabel("milliseconds an image", fontsize=FONT_POINTS)
        axes.set_ylabel(f"{metric}, percent", fontsize=FONT_POINTS)
        for number, (name, latency_ms, _, accuracy) in enumerate(programs):
            if metric in accuracy:
                point = (latency_ms, accuracy[metric]["percent"])
                axes.plot(*point, "o", color=COLORS[number % len(COLORS)])
                axes.annotate(shown_name(name), point, xytext=(4, 4), textcoords="offset points", fontsize=7)
        axes.margins(0.25)
    return figure
