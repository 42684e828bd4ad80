"""How trainings went: loss, its parts and learning rate from Detectron2's metrics.json, of one run or several."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thingstuff.errors import ConfigError, DataError
from thingstuff.report.figures.style import FONT_POINTS, dress, line_style, new_figure, say, shown_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FloatArray = npt.NDArray[np.float64]

_TOTAL = "total_loss"
_RATE = "lr"
_MOST_COLUMNS = 3
_MOST_NAMES_A_COLUMN = 16
_LEAST_LOG_SPAN = 3  # highest by lowest value, within which there is always a 1, 2 or 5 to be named
_WIDE_LOG_SPAN = 100  # from here on there are enough powers of ten


@dataclass(frozen=True, eq=False)
class Series:
    """One number of a run as it went; ascending iterations, values may be NaN."""

    iterations: FloatArray
    values: FloatArray

    def smoothed(self, share: float) -> Series:
        """The mean of the values around each, over `share` of the run; fewer at its ends, so that nothing lags."""
        reach = min(int(share * len(self.values) / 2), len(self.values) - 1)
        if reach < 1:
            return self
        usable = np.isfinite(self.values)
        window = np.ones(2 * reach + 1)
        # the middle of the full convolution, as mode "same" is as long as the window where that is longer
        middle = slice(reach, reach + len(self.values))
        sums = np.convolve(np.where(usable, self.values, 0), window)[middle]
        counts = np.convolve(usable.astype(float), window)[middle]
        means = np.divide(sums, counts, out=np.full(len(sums), math.nan), where=counts > 0.5)
        # a gap stays a gap: a loss that was infinite is not to look finite
        return Series(self.iterations, np.where(usable, means, math.nan))


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """The total loss, its parts, and the learning rate, each at the iterations at which it was written."""

    name: str
    losses: Mapping[str, Series]  # "total_loss" first, then its parts
    rate: Series

    @classmethod
    def read(cls, path: str | Path, name: str | None = None) -> TrainingRun:
        """A metrics.json, or the folder that holds it; the run is called as the folder unless `name` says otherwise.

        A run that was resumed has written some iterations twice: the later ones count. A last line that is cut off,
        as of a run that is still going on, is left out.
        """
        file = Path(path) / "metrics.json" if Path(path).is_dir() else Path(path)
        records = _records(file)
        keys = dict.fromkeys(key for record in records for key in record)
        parts = sorted(key for key in keys if key.startswith("loss"))
        losses = {key: _series(records, key, file) for key in (_TOTAL, *parts) if key in keys}
        return cls(name or file.absolute().parent.name, losses, _series(records, _RATE, file))


def training_figure(runs: Sequence[TrainingRun], smooth: float = 0.05) -> Figure:
    """One run: a panel with all losses and one with the learning rate. Several: a panel for each loss, a colour a run.

    Means over `smooth` of a run are drawn over the values themselves, which are faint; 0 leaves the values alone.
    """
    if not 0 <= smooth <= 1:
        raise ConfigError(f"smooth is a share of the run from 0 to 1, got {smooth}")
    return _figure_of_one(runs[0], smooth) if len(runs) == 1 else _figure_of_many(runs, smooth)


def _records(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: no metrics.json of a training: {error}") from error
    records = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line) if line.strip() else {}
        except ValueError as error:
            if number == len(lines):
                break
            raise DataError(f"{file}: line {number} is not JSON: {error}") from error
        if record and not (isinstance(record, dict) and _is_number(record.get("iteration"))):
            raise DataError(f"{file}: line {number} has no iteration: expected the metrics.json of a training")
        records.append(record)
    return records


def _series(records: list[dict[str, Any]], key: str, file: Path) -> Series:
    points: list[tuple[float, float]] = []
    for record in records:
        if key in record:
            value = math.nan if record[key] is None else record[key]
            if not _is_number(value):
                raise DataError(f"{file}: {key} at iteration {record['iteration']} is no number: {value!r}")
            while points and points[-1][0] >= record["iteration"]:
                points.pop()
            points.append((float(record["iteration"]), float(value)))
    columns = np.array(points, np.float64).reshape(-1, 2)
    return Series(columns[:, 0], columns[:, 1])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _figure_of_one(run: TrainingRun, smooth: float) -> Figure:
    name_columns = math.ceil(len(run.losses) / _MOST_NAMES_A_COLUMN) or 1
    figure = new_figure(4.8 + 1.7 * name_columns, 5)
    losses, rate = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for number, (key, series) in enumerate(run.losses.items()):
        _draw(losses, series, smooth, number, key)
    _finish(losses, "loss")
    if run.losses:
        place = {"loc": "upper left", "bbox_to_anchor": (1, 1), "ncols": name_columns}
        losses.legend(**place, frameon=False, fontsize=FONT_POINTS - 1)
    _draw(rate, run.rate, 0, 0, None)
    _finish(rate, "learning rate", log=False)
    rate.set_xlabel("iteration", fontsize=FONT_POINTS)
    losses.set_title(shown_name(run.name), fontsize=FONT_POINTS)
    return figure


def _figure_of_many(runs: Sequence[TrainingRun], smooth: float) -> Figure:
    keys = [*dict.fromkeys(key for run in runs for key in run.losses), _RATE]
    columns = min(_MOST_COLUMNS, len(keys))
    rows = math.ceil(len(keys) / columns)
    figure = new_figure(max(4.5, 3 * columns), 0.6 + 2.4 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, key in zip(panels, keys, strict=False):
        for number, run in enumerate(runs):
            if key == _RATE or key in run.losses:
                series = run.rate if key == _RATE else run.losses[key]
                _draw(axes, series, 0 if key == _RATE else smooth, number, run.name)
        _finish(axes, "learning rate" if key == _RATE else key, log=key != _RATE)
        axes.set_xlabel("iteration", fontsize=FONT_POINTS)
    for axes in panels[len(keys) :]:
        axes.set_axis_off()
    if runs:
        handles = [_handle(number) for number in range(len(runs))]
        names = [shown_name(run.name) for run in runs]
        figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=FONT_POINTS - 1)
    return figure


def _draw(axes: Axes, series: Series, smooth: float, number: int, name: str | None) -> None:
    """The smoothed line carries the name; beneath it the values, faint, where they differ."""
    style, line = line_style(number), series.smoothed(smooth)
    values = np.where(np.isfinite(series.values), series.values, math.nan)
    if line is not series:
        axes.plot(series.iterations, values, color=style["color"], alpha=0.25, linewidth=0.8)
        values = line.values
    # a single point is no line
    marker = "o" if len(values) == 1 else None
    axes.plot(series.iterations, values, **style, linewidth=1.4, marker=marker, label=name and shown_name(name))


def _finish(axes: Axes, title: str, log: bool = True) -> None:
    """Logarithmic if `log`, since the parts of a loss differ a hundredfold, unless it would have nothing to show."""
    dress(axes)
    axes.set_ylabel(title, fontsize=FONT_POINTS)
    values = np.concatenate([np.zeros(0), *(np.asarray(line.get_ydata(), float) for line in axes.get_lines())])
    known = values[np.isfinite(values)]
    if not len(known):
        say(axes, "no values")
    elif log and known.min() > 0 and known.max() > _LEAST_LOG_SPAN * known.min():
        _scale_by_decades(axes, known.max() / known.min())
    else:
        axes.set_ylim(bottom=min(0, known.min()))


def _scale_by_decades(axes: Axes, span: float) -> None:
    """Plain numbers on the axis, as 0.05 is read more easily than 5 times a power of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < _WIDE_LOG_SPAN else (1,)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _handle(number: int) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], **line_style(number))
