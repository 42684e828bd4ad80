"""What cannot be read in the files of a split: counted by kind, then refused in one line, or left out and told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from thingstuff.errors import DataError
from thingstuff.evaluation.skips import Skips

_NAMED = 3  # kinds with an example each, in a refusal


class Faults(Skips):
    """Of one split. Readers `add` what they find and go on; `settle` refuses it all, or says what was left out."""

    def __init__(self, lenient: bool = False) -> None:
        super().__init__()
        self.lenient = lenient

    @contextmanager
    def skipping(self, kind: str) -> Iterator[None]:
        """A DataError inside is a fault of that kind, and what stands behind it in the block is left out."""
        try:
            yield
        except DataError as error:
            self.add(kind, str(error))

    def settle(self, name: str) -> tuple[str, ...]:
        """The notes for whoever reads a report; DataError where something is wrong and nobody said that it may be."""
        if not self.lenient and self.counts:
            self.refuse(name)
        return tuple(self.lines())

    def refuse(self, name: str) -> NoReturn:
        """For a reader that has nothing left, lenient or not."""
        ordered = sorted(self.counts.items(), key=lambda each: -each[1])
        named = "; ".join(f"{count} {kind} ({self.firsts[kind]})" for kind, count in ordered[:_NAMED])
        more = f" and {len(ordered) - _NAMED} other kinds" if len(ordered) > _NAMED else ""
        raise DataError(
            f"{name}: {named}{more}: mend them, or leave them out with --lenient (`lenient: true` in a declaration)"
        )
