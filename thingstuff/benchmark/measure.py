"""Honest speed: ours and the reference in turns, in one process, on the same input, with the same answer."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One comparison. `ours` and `theirs` take nothing, leave their input as it is, and return what `equal` compares.

    What is timed is the whole call, so that work on a device must be waited for inside it.
    """

    name: str
    reference: str  # the program that `theirs` runs, with its version
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    equal: Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Row:
    """Median milliseconds of one case; `ratio` = reference / ours; `equal` if the answers of every turn are."""

    case: str
    reference: str
    ours_ms: float
    reference_ms: float
    ratio: float
    equal: bool


@dataclass(frozen=True)
class MemoryRow:
    """Peak memory of one case above what both programs were given; `ratio` = reference / ours."""

    case: str
    reference: str
    ours_mib: float
    reference_mib: float
    ratio: float
    equal: bool


@dataclass(frozen=True)
class OwnMeasurement:
    """`rows` are dataclasses with a field `equal`; `table` makes of them what `text_table` takes.

    `more` are further tables, shown below it; `finish` writes what else was asked for.
    """

    rows: Callable[[argparse.Namespace], Iterator[Any]]
    table: Callable[[Sequence[Any], argparse.Namespace], dict[str, Any]]
    more: Callable[[Sequence[Any], argparse.Namespace], Iterator[dict[str, Any]]] | None = None
    finish: Callable[[Sequence[Any], argparse.Namespace], None] | None = None


@dataclass(frozen=True)
class Measurement:
    """A subcommand: its own arguments, the cases that they ask for, and where it is measured the memory of some.

    Cases are made one by one, so that a case's data can go before the next one's is made. Where programs cannot take
    turns in one process, `own` measures in a way of its own, and `cases` is None.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    cases: Callable[[argparse.Namespace], Iterator[Case]] | None
    memory: Callable[[argparse.Namespace], Iterator[MemoryRow]] | None = None
    own: OwnMeasurement | None = None


def measure(case: Case, repeats: int) -> Row:
    """Run both once unmeasured, then `repeats` turns of both, the first of a turn being the second of the next."""
    equal = case.equal(case.ours(), case.theirs())
    ours_ms, theirs_ms = [], []
    for turn in range(repeats):
        times, answers = _run_turn(case, ours_first=turn % 2 == 0)
        ours_ms.append(times["ours"])
        theirs_ms.append(times["theirs"])
        equal &= case.equal(answers["ours"], answers["theirs"])
    ours, theirs = statistics.median(ours_ms), statistics.median(theirs_ms)
    return Row(case.name, case.reference, ours, theirs, theirs / ours, equal)


def _run_turn(case: Case, ours_first: bool) -> tuple[dict[str, float], dict[str, Any]]:
    programs = {"ours": case.ours, "theirs": case.theirs}
    times, answers = {}, {}
    for name in sorted(programs, reverse=not ours_first):  # o < t
        start = time.perf_counter()
        answers[name] = programs[name]()
        times[name] = 1000 * (time.perf_counter() - start)
    return times, answers
