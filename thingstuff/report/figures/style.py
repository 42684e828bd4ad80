"""What all figures share: colours that everybody can tell apart, sizes that can be read in print, and files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from thingstuff.errors import ConfigError
from thingstuff.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008) without yellow, which is hard to see on white, and with the strongest contrasts first
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", ":", "-.")  # after the last colour, the colours come again with the next of these
GRAY = "#7F7F7F"
SUFFIXES = (".png", ".svg")
FONT_POINTS = 9

_PRINT_DPI = 200
_LONGEST_NAME = 28


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """A figure that belongs to no window, whose parts make room for each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write the figure as its suffix says, `.png` or `.svg`; the same figure gives the same bytes."""
    from matplotlib import rc_context

    path = Path(path)
    suffix = checked_suffix(path.suffix)
    # text stays text in an SVG: it can be searched, and needs no font here that has the letters of all languages
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "thingstuff"}), whole_file(path) as file:
        figure.savefig(file, format=suffix[1:], dpi=_PRINT_DPI, metadata={"Date": None} if suffix == ".svg" else {})
    return path


def checked_suffix(suffix: str) -> str:
    """The suffix in small letters, if figures can be written so."""
    if suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"figures are written as {' or '.join(SUFFIXES)}, not as {suffix or 'a file without suffix'!r}"
        )
    return suffix.lower()


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the curve with this number, the first ones told apart by colour alone."""
    return {"color": COLORS[number % len(COLORS)], "linestyle": LINES[number // len(COLORS) % len(LINES)]}


def shown_name(name: str) -> str:
    """A name from the data as matplotlib shows it: not as a formula, not hidden by a leading `_`, not too long."""
    short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return (" " if short.startswith("_") else "") + short.replace("$", r"\$")


def thinned(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` of the positions 0 ... count - 1, evenly spaced from the first."""
    return np.arange(0, count, max(1, math.ceil(count / most)))


def say(axes: Axes, text: str) -> None:
    """In the middle of axes that have nothing else to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GRAY, backgroundcolor="white")


def dress(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    """A grid behind the data, small letters, and no frame where there is no axis."""
    axes.set_axisbelow(True)
    axes.grid(axis=grid, alpha=0.3, linewidth=0.6)
    axes.tick_params(labelsize=FONT_POINTS - 1)
    axes.spines[["top", "right"]].set_visible(False)
