"""What the checks of a data set found: a table, sentences and a record for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thingstuff.data.checks import Found
from thingstuff.report.table import Table

SCHEMA = 1  # of the record, raised when a key changes its meaning


def check_table(found: Sequence[Found]) -> Table:
    """One row a kind of mistake and split."""
    rows = [[one.code.severity, one.code.name, one.split, one.count, _example(one)] for one in found]
    return Table(rows, ["", "code", "split", "count", "for example"], align="lllrl")


def check_text(found: Sequence[Found], splits: Sequence[str], checks: int) -> str:
    """The table, then how to mend each kind, then the verdict."""
    lines = [check_table(found).text(), ""] if found else []
    mends = {one.code.name: one.code for one in found if one.code.severity != "info"}
    width = max((len(name) for name in mends), default=0)
    lines += [f"{name:{width}}  {_mend(code)}" for name, code in mends.items()]
    return "\n".join([*lines, *([""] if mends else []), verdict(found, splits, checks)])


def verdict(found: Sequence[Found], splits: Sequence[str], checks: int) -> str:
    counts = {severity: [one for one in found if one.code.severity == severity] for severity in ("error", "warning")}
    errors, warnings = counts["error"], counts["warning"]
    looked = f"{checks} checks of {', '.join(splits)}"
    if not errors and not warnings:
        return f"sound: {looked} found no mistake"
    words = [_counted(kinds, severity) for severity, kinds in counts.items() if kinds]
    return f"{looked} found {' and '.join(words)}{'' if errors else ': training is possible'}"


def check_record(name: str, found: Sequence[Found], is_quick: bool) -> dict[str, Any]:
    """For JSON."""
    return {
        "schema": SCHEMA,
        "data": name,
        "quick": is_quick,
        "errors": sum(one.count for one in found if one.code.severity == "error"),
        "warnings": sum(one.count for one in found if one.code.severity == "warning"),
        "findings": [_finding(one) for one in found],
    }


def _finding(one: Found) -> dict[str, Any]:
    return {
        "code": one.code.name,
        "severity": one.code.severity,
        "split": one.split,
        "count": one.count,
        "mend": one.code.mend,
        "fixable": one.code.is_fixable,
        "examples": [{"place": each.place, "message": each.message} for each in one.examples],
    }


def _example(one: Found) -> str:
    return f"{one.examples[0].place}: {one.examples[0].message}"


def _mend(code: Any) -> str:
    return f"{code.mend}{' (--fix does it)' if code.is_fixable else ''}"


def _counted(kinds: Sequence[Found], severity: str) -> str:
    total = sum(one.count for one in kinds)
    return f"{total} {severity}{'' if total == 1 else 's'} of {len(kinds)} kind{'' if len(kinds) == 1 else 's'}"
