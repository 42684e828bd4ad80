"""What the checks of a data set found: in words, and as a record for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thingstuff.data.checks import Found

SCHEMA = 1  # of the record, raised when a key changes its meaning


def check_text(found: Sequence[Found], splits: Sequence[str], looked_for: int) -> str:
    """Each kind of mistake and split with an example and a way to mend it, then the verdict."""
    lines = []
    for one in found:
        times = f"{one.count} time{'' if one.count == 1 else 's'}"
        lines.append(f"{one.code.severity:8} {one.code.name} in {one.split}, {times}")
        lines.append(f"{'':8} {_example(one)}")
        if one.code.severity != "info":
            lines.append(f"{'':8} mend: {_mend(one.code)}")
    return "\n".join([*lines, *([""] if lines else []), verdict(found, splits, looked_for)])


def verdict(found: Sequence[Found], splits: Sequence[str], looked_for: int) -> str:
    """`looked_for`: how many kinds of mistakes would have been found."""
    counts = {severity: [one for one in found if one.code.severity == severity] for severity in ("error", "warning")}
    errors, warnings = counts["error"], counts["warning"]
    looked = f"looked for {looked_for} kinds of mistakes in {', '.join(splits)}"
    if not errors and not warnings:
        return f"sound: {looked}, and found none"
    words = [_counted(kinds, severity) for severity, kinds in counts.items() if kinds]
    return f"{looked}, and found {' and '.join(words)}{'' if errors else ': training is possible'}"


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
    total, codes = sum(one.count for one in kinds), len({one.code.name for one in kinds})
    return f"{total} {severity}{'' if total == 1 else 's'} of {codes} kind{'' if codes == 1 else 's'}"
