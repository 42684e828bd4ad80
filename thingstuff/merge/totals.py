"""What merges did to many images, in two lines: how much was kept, eroded and dropped, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from thingstuff.merge.ledger import InstanceEntry, Ledger, StuffEntry


@dataclass
class LedgerTotals:
    """Counts of outcomes and of reasons, of things and of stuff, over the ledgers that were added."""

    instances: Counter[str] = field(default_factory=Counter)
    stuff: Counter[str] = field(default_factory=Counter)

    def add(self, ledger: Ledger) -> None:
        _count(self.instances, ledger.instances)
        _count(self.stuff, ledger.stuff)

    def add_records(self, records: Iterable[Mapping[str, Any]]) -> None:
        """A ledger as its records, without making a `Ledger` of them: a store has thousands."""
        for record in records:
            _count_one(
                self.instances if record["kind"] == "instance" else self.stuff, record["outcome"], record["reason"]
            )

    def __add__(self, other: LedgerTotals) -> LedgerTotals:
        return LedgerTotals(self.instances + other.instances, self.stuff + other.stuff)

    def lines(self) -> list[str]:
        """One line for instances and one for stuff regions; none for what never occurred."""
        parts = (("instances", self.instances), ("stuff regions", self.stuff))
        return [f"{what}: {_text(counts)}" for what, counts in parts if counts]


def _count(counts: Counter[str], entries: Iterable[InstanceEntry | StuffEntry]) -> None:
    for entry in entries:
        _count_one(counts, entry.outcome, entry.reason)


def _count_one(counts: Counter[str], outcome: str, reason: str | None) -> None:
    counts[outcome] += 1
    if reason:
        counts[f"by {reason}"] += 1


def _text(counts: Counter[str]) -> str:
    outcomes = [f"{counts[name]} {name}" for name in ("kept", "eroded", "dropped")]
    reasons = [f"{number} {name}" for name, number in sorted(counts.items()) if name.startswith("by ")]
    return ", ".join(outcomes) + (f" ({', '.join(reasons)})" if reasons else "")
