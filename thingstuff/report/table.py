"""Tables for a terminal: numbers on the right, `-` for what is undefined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

UNDEFINED = "-"


def text_table(
    rows: Sequence[Sequence[Any]],
    headers: Sequence[str],
    align: str | None = None,
    digits: int = 3,
    footnotes: Sequence[str] = (),
) -> str:
    """Aligned columns under `headers`, then one line a footnote.

    `align` is one letter a column (l, r, c); without it columns of numbers stand right and others left. Floats get
    `digits` decimals, a bool says yes or no, None and NaN are undefined. Strings are shown as they are.
    """
    from tabulate import tabulate

    _refuse_ragged(rows, headers, align)
    letters = align or "".join(_alignment(column) for column in _columns(rows, len(headers)))
    sides = [{"l": "left", "r": "right", "c": "center"}[letter] for letter in letters]
    cells = [[_cell(value, digits) for value in row] for row in rows]
    # tabulate's own alignments apply to rows only, so that without any the headers need theirs said
    table = tabulate(cells, headers, disable_numparse=True, colalign=sides if cells else None, headersalign=sides)
    return "\n".join([table, *footnotes])


def _refuse_ragged(rows: Sequence[Sequence[Any]], headers: Sequence[str], align: str | None) -> None:
    for number, row in enumerate(rows):
        if len(row) != len(headers):
            raise ValueError(f"row {number} has {len(row)} cells, but there are {len(headers)} headers")
    if align is not None and (len(align) != len(headers) or set(align) - set("lrc")):
        raise ValueError(f"align is {align!r}, expected one of l, r, c for each of {len(headers)} columns")


def _columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    return [[row[i] for row in rows] for i in range(count)]


def _alignment(column: Sequence[Any]) -> str:
    return "r" if all(value is None or _is_number(value) for value in column) else "l"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _cell(value: Any, digits: int) -> str:
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return UNDEFINED
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.{digits}f}" if isinstance(value, float | np.floating) else str(value)
