"""What cannot be read in the files of a split: counted by kind, then refused in one line, or left out and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from thingstuff.errors import DataError

_NAMED = 3  # kinds with an example each, in a refusal


@dataclass
class Faults:
    """Of one split. Readers `add` what they find and go on; `settle` refuses it all, or says what was left out.

    A kind is in words that a count stands before: "labels without an image".
    """

    lenient: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        """`example` names file and record, and what is wrong with it."""
        self.counts[kind] += 1
        self.first.setdefault(kind, example)

    @contextmanager
    def skipping(self, kind: str) -> Iterator[None]:
        """A DataError inside is a fault of that kind, and what stands behind it in the block is left out."""
        try:
            yield
        except DataError as error:
            self.add(kind, str(error))

    def settle(self, name: str) -> tuple[str, ...]:
        """The notes for whoever reads a report; DataError where something is wrong and nobody said that it may be."""
        if not self.counts:
            return ()
        if self.lenient:
            return tuple(f"left out: {count} {kind}, the first is {self.first[kind]}" for kind, count in self._ordered)
        named = "; ".join(f"{count} {kind} ({self.first[kind]})" for kind, count in self._ordered[:_NAMED])
        more = f" and {len(self._ordered) - _NAMED} other kinds" if len(self._ordered) > _NAMED else ""
        raise DataError(f"{name}: {named}{more}: mend them, or leave them out by `lenient`")

    @property
    def _ordered(self) -> list[tuple[str, int]]:
        return self.counts.most_common()
