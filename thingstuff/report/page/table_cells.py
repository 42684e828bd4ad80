"""The cells of a page's tables: as they are shown, and as they sort."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from thingstuff.report.page.model import PageTable
from thingstuff.report.table import UNDEFINED, cell_text

_LEADING_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cell:
    """`value` is what a column of numbers is sorted by: empty for what is undefined, None for a text."""

    text: str
    value: str | None


def table_cells(table: PageTable) -> list[list[Cell]]:
    """One list a row."""
    return [[Cell(cell_text(value, table.digits), _sort_value(value)) for value in row] for row in table.rows]


def _sort_value(value: Any) -> str | None:
    if value is None or value == UNDEFINED or (isinstance(value, float | np.floating) and math.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return None
    return _number(float(value)) if isinstance(value, float | np.floating) else _leading_number(str(value))


def _number(value: float) -> str:
    return repr(value).replace("inf", "Infinity")  # as JavaScript spells it


def _leading_number(text: str) -> str | None:
    """Of "41.2 ± 0.3" 41.2."""
    found = _LEADING_NUMBER.match(text.replace("−", "-"))
    return found[0].strip() if found else None
