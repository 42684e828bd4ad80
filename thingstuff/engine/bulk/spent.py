"""What shards have cost: seconds of workers by stage, and bytes. It says which stage a job waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

COST_FILE = "bulk.json"  # in the output folder


@dataclass(frozen=True)
class Spent:
    """Seconds are those of the processes that did it, added up; loading is that of the model, once a worker."""

    reading_s: float = 0.0
    loading_s: float = 0.0
    predicting_s: float = 0.0
    writing_s: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Spent:
        """What the stages have noted of a shard, in columns of these names."""
        return cls(**{name: row.get(name) or 0 for name in COLUMNS})

    def __add__(self, other: Spent) -> Spent:
        return Spent(**{name: getattr(self, name) + getattr(other, name) for name in COLUMNS})

    def records(self) -> dict[str, Any]:
        return {name: round(value, 3) for name, value in asdict(self).items()}

    def line(self) -> str:
        """In words, for the end of a run."""
        seconds = ", ".join(f"{getattr(self, f'{name}_s'):.1f} s {name}" for name in _STAGES)
        return (
            f"the workers spent {seconds}; they read {self.bytes_read / 1e6:.1f} MB and wrote "
            f"{self.bytes_written / 1e6:.1f} MB"
        )


COLUMNS = tuple(one.name for one in fields(Spent))
_STAGES = ("reading", "loading", "predicting", "writing")
