"""What is known of one entry: its training and what was measured of it, or the reason why there is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from thingstuff.benchmark.projects.training import Training


@dataclass(frozen=True)
class ProjectRow:
    """`scores` are those of `score_entry`, `latency` that of `latency_record`; after a `failure` some are None."""

    name: str
    training: Training | None = None
    scores: Mapping[str, Any] | None = None
    latency: Mapping[str, Any] | None = None
    failure: str | None = None

    def number(self, kind: str, name: str) -> float | None:
        """AP in percent: `kind` is box or mask."""
        return None if self.scores is None else self.scores["numbers"].get(kind, {}).get(name)

    def interval(self, metric: str) -> tuple[float, float] | None:
        found = None if self.scores is None else self.scores["intervals"].get(metric)
        return None if found is None else (found["low"], found["high"])

    def thing_pq(self) -> float | None:
        things = None if self.scores is None else self.scores["things"]
        return None if things is None else things["pq"]

    def measured(self, name: str) -> Any:
        return None if self.latency is None else self.latency.get(name)

    def record(self) -> dict[str, Any]:
        """For JSON; the place of the weights, which is this machine's, is left out."""
        record = asdict(self)
        if self.training is not None:
            del record["training"]["weights"]
        return record
