"""Tables for a terminal and for Markdown: numbers on the right, `-` for what is undefined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

UNDEFINED = "-"
_SIDES = {"l": "left", "r": "right", "c": "center"}


@dataclass(frozen=True)
class Table:
    """Rows under `headers`, then one line a footnote.

    `align` is one letter a column (l, r, c); without it columns of numbers stand right and others left. Floats get
    `digits` decimals, a bool says yes or no, None and NaN are undefined. Strings are shown as they are.
    """

    rows: Sequence[Sequence[Any]]
    headers: Sequence[str]
    align: str | None = None
    digits: int = 3
    footnotes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.headers):
                raise ValueError(f"row {number} has {len(row)} cells, but there are {len(self.headers)} headers")
        if self.align is not None and (len(self.align) != len(self.headers) or set(self.align) - set(_SIDES)):
            raise ValueError(
                f"align is {self.align!r}, expected one of l, r, c for each of {len(self.headers)} columns"
            )

    def text(self) -> str:
        return "\n".join([self._formatted("simple"), *self.footnotes])

    def markdown(self) -> str:
        notes = (f"\\{note}" if note.startswith(UNDEFINED) else note for note in self.footnotes)  # no bullet
        plain = replace(self, rows=[[_escaped(cell) for cell in row] for row in self.rows])
        return "\n\n".join([plain._formatted("pipe"), *notes])

    def _formatted(self, style: str) -> str:
        from tabulate import tabulate

        sides = column_sides(self.rows, len(self.headers), self.align)
        cells = [[cell_text(value, self.digits) for value in row] for row in self.rows]
        # tabulate's own alignments apply to rows only, so that without any the headers need theirs said
        options: dict[str, Any] = {"colalign": sides if cells else None, "headersalign": sides}
        return tabulate(cells, self.headers, tablefmt=style, disable_numparse=True, **options)


def _escaped(cell: Any) -> Any:
    """What would end a cell or a row of Markdown."""
    return " ".join(cell.replace("|", "\\|").splitlines()) if isinstance(cell, str) else cell


def text_table(
    rows: Sequence[Sequence[Any]],
    headers: Sequence[str],
    align: str | None = None,
    digits: int = 3,
    footnotes: Sequence[str] = (),
) -> str:
    """A `Table` as a terminal shows it."""
    return Table(rows, headers, align, digits, footnotes).text()


def column_sides(rows: Sequence[Sequence[Any]], count: int, align: str | None) -> list[str]:
    """left, right or center for each of `count` columns, as `align` says or as their values ask for."""
    return [_SIDES[letter] for letter in align or "".join(_alignment([row[n] for row in rows]) for n in range(count))]


def cell_text(value: Any, digits: int) -> str:
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return UNDEFINED
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.{digits}f}" if isinstance(value, float | np.floating) else str(value)


def _alignment(column: Sequence[Any]) -> str:
    return "r" if all(value is None or _is_number(value) for value in column) else "l"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
