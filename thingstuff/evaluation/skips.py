"""What a lenient evaluation left out: counted by kind, with the first of each kind named."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Skips:
    """Handed to a reader it makes it lenient: a record that cannot count is noted here instead of being refused."""

    counts: dict[str, int] = field(default_factory=dict)
    firsts: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, message: str) -> None:
        """`kind` as a plural ("detections of unknown images"), `message` names the record and what is wrong."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.firsts.setdefault(kind, message)

    def lines(self) -> list[str]:
        """One line a kind, for the reader of the scores."""
        return [f"left out: {count} x {kind}, the first: {self.firsts[kind]}" for kind, count in self.counts.items()]
