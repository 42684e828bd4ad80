"""Small drawings for a page, in SVG that takes the page's colours: bars, histograms, maps and dots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 400  # of all drawings, in their own units; the page scales them
_COLOR_COUNT = 5
_LONGEST_NAME = 20
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 16, 24, 34  # margins of a plot


@dataclass(frozen=True)
class Bins:
    """A histogram's axis: `edges` are positions from 0 to 1, `names` say which values a bin holds."""

    edges: Sequence[float]
    names: Sequence[str]
    ticks: Sequence[tuple[float, str]]
    title: str
    bounds: Sequence[float] = ()  # dashed lines


def bars(series: Mapping[str, Sequence[float]], names: Sequence[str], tips: Sequence[str]) -> str:
    """Horizontal bars in percent: a row a name, in it one bar for each of the series."""
    gutter, bar = 130, 7
    row = bar * len(series) + 7
    most = max((value for values in series.values() for value in values), default=0) or 1
    width, height = WIDTH - gutter - _RIGHT, _TOP + row * len(names) + 20
    parts = [_legend(list(series))]
    for value in _ticks(most):
        x = gutter + width * value / most
        parts += [_line(x, _TOP, x, height - 20), _text(x, height - 5, f"{value:g} %", "middle")]
    for n, name in enumerate(names):
        top = _TOP + n * row + 3
        parts.append(_text(gutter - 6, top + (row - 7) / 2 + 4, _short(name), "end strong"))
        for s, values in enumerate(series.values()):
            length = width * values[n] / most
            parts.append(_rectangle(gutter, top + s * bar, length, bar - 1, f"full {_color(s)}"))
        parts.append(_rectangle(0, top - 3, WIDTH, row, "touch", tips[n]))
    return _svg(height, parts)


def histogram(series: Mapping[str, Sequence[float]], bins: Bins) -> str:
    """Steps in percent, one outline for each of the series."""
    height = 240
    most = max((value for values in series.values() for value in values), default=0) or 1
    width, depth = WIDTH - _LEFT - _RIGHT, height - _TOP - _BOTTOM
    bottom = height - _BOTTOM
    xs = [_LEFT + width * edge for edge in bins.edges]
    parts = [_legend(list(series)), *_percent_axis(most, depth)]
    parts += [_text(_LEFT + width * place, bottom + 14, text, "middle") for place, text in bins.ticks]
    parts += [_line(_LEFT + width * place, _TOP, _LEFT + width * place, bottom, "bound") for place in bins.bounds]
    for s, values in enumerate(series.values()):
        corners = [(x, bottom - depth * v / most) for n, v in enumerate(values) for x in xs[n : n + 2]]
        outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(xs[0], bottom), *corners, (xs[-1], bottom)])
        parts.append(f'<polygon class="line {_color(s)}" points="{outline}"/>')
    for n, name in enumerate(bins.names):
        tip = f"{name}: " + ", ".join(f"{s} {values[n]:.2g} %" for s, values in series.items())
        parts.append(_rectangle(xs[n], _TOP, xs[n + 1] - xs[n], depth, "touch", tip))
    parts.append(_text(_LEFT + width / 2, height - 4, bins.title, "middle"))
    return _svg(height, parts)


def heat_map(cells: Sequence[Sequence[int]], number: int) -> str:
    """A square of cells, the darker the more; `number` is the colour's."""
    side = 260
    left = (WIDTH - side) / 2
    most = max((count for row in cells for count in row), default=0) or 1
    total = sum(map(sum, cells)) or 1
    size = side / max(len(cells), 1)
    parts = []
    for r, row in enumerate(cells):
        for c, count in enumerate(row):
            if count:
                style = f'class="full {_color(number)}" fill-opacity="{count / most:.3f}"'
                place = f'x="{left + c * size:.2f}" y="{2 + r * size:.2f}" width="{size:.2f}" height="{size:.2f}"'
                parts.append(f"<rect {style} {place}><title>{100 * count / total:.2g} %</title></rect>")
    parts.append(_rectangle(left, 2, side, side, "frame"))
    return _svg(side + 4, [f'<g shape-rendering="crispEdges">{"".join(parts)}</g>'])


def dots(series: Mapping[str, Sequence[tuple[int, int, int]]]) -> str:
    """Widths, heights and how many have both, as dots over two axes of one scale; the dashed line is a square's."""
    side = 300
    longest = max((max(w, h) for places in series.values() for w, h, _ in places), default=0) or 1
    most = max((count for places in series.values() for *_, count in places), default=0) or 1
    step = side / (1.05 * longest)
    left, bottom = _LEFT + 6, _TOP + side
    parts = [_legend(list(series))]
    for value in _ticks(1.05 * longest):
        parts += [_line(left + value * step, _TOP, left + value * step, bottom)]
        parts += [_line(left, bottom - value * step, left + side, bottom - value * step)]
        parts += [_text(left + value * step, bottom + 14, f"{value:g}", "middle")] if value else []
        parts += [_text(left - 5, bottom - value * step + 4, f"{value:g}", "end")]
    parts.append(_line(left, bottom, left + side, _TOP, "bound"))
    for s, places in enumerate(series.values()):
        for w, h, count in places:
            radius = 2.5 + 9 * math.sqrt(count / most)
            circle = f'cx="{left + w * step:.1f}" cy="{bottom - h * step:.1f}" r="{radius:.1f}"'
            parts.append(f'<circle class="dot {_color(s)}" {circle}><title>{w} x {h}: {count}</title></circle>')
    parts.append(_text(left + side / 2, bottom + 30, "width in px, height upwards", "middle"))
    return _svg(bottom + 36, parts)


def _svg(height: float, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img">{"".join(parts)}</svg>'


def _legend(names: Sequence[str]) -> str:
    """One name is in no need of a colour's meaning."""
    if len(names) < 2:
        return ""
    parts, x = [], 0.0
    for n, name in enumerate(names):
        parts += [_rectangle(x, 4, 10, 10, f"full {_color(n)}"), _text(x + 14, 13, _short(name), "strong")]
        x += 30 + 7 * len(_short(name))
    return "".join(parts)


def _percent_axis(most: float, depth: float) -> list[str]:
    parts = []
    for value in _ticks(most):
        y = _TOP + depth * (1 - value / most)
        parts += [_line(_LEFT, y, WIDTH - _RIGHT, y), _text(_LEFT - 4, y + 4, f"{value:g} %", "end")]
    return parts


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 on, about four."""
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [float(f"{n * step:.6g}") for n in range(math.floor(most / step * 1.001) + 1)]


def _color(number: int) -> str:
    return f"s{number % _COLOR_COUNT}"


def _line(x0: float, y0: float, x1: float, y1: float, kind: str = "grid") -> str:
    return f'<line class="{kind}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'


def _rectangle(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> str:
    shape = f'class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
    return f"<rect {shape}><title>{escape(tip)}</title></rect>" if tip else f"<rect {shape}/>"


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
