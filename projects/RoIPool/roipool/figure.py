"""Mask AP over the IoU threshold, and what each variant adds to the baseline there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roipool.comparison import Comparison
from roipool.scores import IOUS, iou_key
from roipool.variants import BASELINE
from thingstuff.report.figures.style import FONT_POINTS, dress, line_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def ap_figure(compared: Comparison) -> Figure:
    """Left the means over the seeds, right the differences with their 95 % intervals as bands."""
    figure = new_figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    for number, variant in enumerate(compared.variants):
        means = [compared.mean(variant.name, "segm", iou_key(iou)) for iou in IOUS]
        left.plot(IOUS, means, label=variant.title, **line_style(number))
        if variant.name != BASELINE:
            _difference(right, compared, variant.name, number)
    for axes, label in ((left, "mask AP"), (right, "minus the baseline, points")):
        dress(axes)
        axes.set_xlabel("IoU threshold", fontsize=FONT_POINTS)
        axes.set_ylabel(label, fontsize=FONT_POINTS)
    left.set_ylim(bottom=0)
    right.axhline(0, **line_style(0))
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return figure


def _difference(axes: Axes, compared: Comparison, name: str, number: int) -> None:
    found = [compared.difference(name, "segm", iou_key(iou)) for iou in IOUS]
    if any(each is None for each in found):
        return
    axes.plot(IOUS, [each.mean for each in found if each], **line_style(number))
    low, high = ([getattr(each, bound) for each in found] for bound in ("low", "high"))
    axes.fill_between(IOUS, low, high, color=line_style(number)["color"], alpha=0.12, linewidth=0)
