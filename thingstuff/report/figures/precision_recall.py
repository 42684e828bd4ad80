"""Precision over recall, the mean over the classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from thingstuff.evaluation.ap_curves import PrecisionRecall
from thingstuff.report.figures.style import FONT_POINTS, dress, line_style, new_figure
from thingstuff.report.results_table import TASK_TITLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IOUS = (0.5, 0.75, None)  # None is the mean over 0.50:0.95


def precision_recall_figure(curves: Mapping[str, PrecisionRecall]) -> Figure:
    """One panel a task, at IoU 0.5, 0.75 and over 0.50:0.95."""
    figure = new_figure(3.6 * max(len(curves), 1), 3.4)
    panels = figure.subplots(1, max(len(curves), 1), squeeze=False)[0]
    for axes, (task, curve) in zip(panels, curves.items(), strict=True):
        dress(axes)
        for number, iou in enumerate(_IOUS):
            title = "IoU 0.50:0.95" if iou is None else f"IoU {iou:.2f}"
            axes.plot(curve.recalls, curve.mean(iou), label=title, **line_style(number))
        axes.set_title(TASK_TITLES[task], fontsize=FONT_POINTS)
        axes.set_xlabel("recall", fontsize=FONT_POINTS)
        axes.set_ylabel("precision", fontsize=FONT_POINTS)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.legend(loc="lower left", fontsize=FONT_POINTS)
    return figure
