"""The cells of a page's tables: as they are shown, and as they sort."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from thingstuff.report.page.model import PageTable
from thingstuff.report.table import UNDEFINED

_SIDES = {"l": "left", "r": "right", "c": "center"}
_LEADING_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cell:
    """`value` is what a column of numbers is sorted by: empty for what is undefined, None for a text."""

    text: str
    value: str | None


def table_cells(table: PageTable) -> list[list[Cell]]:
    """One list a row."""
    return [[_cell(value, table.digits) for value in row] for row in table.rows]


def column_sides(table: PageTable) -> list[str]:
    """left, right or center for each column; without `align` columns of numbers stand right."""
    return [_SIDES[letter] for letter in table.align or "".join(_letters(table))]


def _cell(value: Any, digits: int) -> Cell:
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return Cell(UNDEFINED, "")
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no", None)
    if isinstance(value, float | np.floating):
        return Cell(f"{value:.{digits}f}", _number(float(value)))
    return Cell(str(value), "" if value == UNDEFINED else _leading_number(str(value)))


def _number(value: float) -> str:
    return repr(value).replace("inf", "Infinity")  # as JavaScript spells it


def _leading_number(text: str) -> str | None:
    """Of "41.2 ± 0.3" 41.2."""
    found = _LEADING_NUMBER.match(text.replace("−", "-"))
    return found[0].strip() if found else None


def _letters(table: PageTable) -> Iterator[str]:
    for place in range(len(table.headers)):
        column = [row[place] for row in table.rows]
        yield "r" if all(value is None or _is_number(value) for value in column) else "l"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
