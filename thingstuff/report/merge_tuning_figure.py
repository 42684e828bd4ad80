"""A picture of what a merge trades: PQ against the mask AP that is left in the panoptic map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thingstuff.files import whole_file
from thingstuff.report.merge_tuning import MergeTuning

_GREY, _BLUE, _ORANGE, _GREEN = "#9a9a9a", "#0072B2", "#E69F00", "#009E73"  # Okabe and Ito's, for all eyes


def draw_front(folder: Path, tuning: MergeTuning) -> list[Path]:
    """front.png and front.svg; nothing where no AP was measured."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not tuning.front:
        return []
    written = []
    with rc_context({"svg.hashsalt": "thingstuff"}):
        figure = Figure(figsize=(6.4, 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.subplots(), tuning)
        for suffix, metadata in (("png", None), ("svg", {"Date": None})):
            with whole_file(folder / f"front.{suffix}") as file:
                figure.savefig(file, format=suffix, dpi=150, metadata=metadata)
            written.append(folder / f"front.{suffix}")
    return written


def _draw(axes: Any, tuning: MergeTuning) -> None:
    points = [(one.ap, one.quality["PQ"]) for one in tuning.tried]
    others = [p for n, p in enumerate(points) if p[0] is not None and n not in (*tuning.front, 0, tuning.best)]
    if others:
        axes.scatter(*zip(*others, strict=True), s=24, color=_GREY, label="other combinations")
    front = [points[n] for n in tuning.front]
    axes.plot(*zip(*front, strict=True), "-o", color=_BLUE, markersize=6, label="front")
    for number, point in enumerate(front, 1):
        axes.annotate(str(number), point, xytext=(0, 10), textcoords="offset points", ha="center", color=_BLUE)
    for place, marker, color, label in ((0, "D", _ORANGE, "present"), (tuning.best, "*", _GREEN, "best")):
        if points[place][0] is not None:
            size = 260 if marker == "*" else 90
            axes.scatter(*points[place], s=size, marker=marker, color=color, edgecolors="black", zorder=3, label=label)
    axes.set(xlabel="mask AP of the map's things", ylabel="PQ", title=f"On the {len(tuning.tuning_ids)} tuning images")
    axes.margins(0.12)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
