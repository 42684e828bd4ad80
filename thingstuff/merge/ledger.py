"""The ledger: what a merge did with every instance and every stuff region, and the number that decided it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from thingstuff.errors import DataError

Outcome = Literal["kept", "eroded", "dropped"]


@dataclass(frozen=True, slots=True)
class InstanceEntry:
    """One instance. `index` is its place in the detections; `covered_by` names who took its pixels, by index.

    The greedy rule's reasons are "confidence" (`value` is the score), "empty" (pixels of the mask), "overlap" (share
    of the mask that is taken) and "covered" (pixels left).
    """

    index: int
    category_id: int
    score: float
    area_px: int  # of its mask
    outcome: Outcome
    visible_px: int = 0  # of its segment
    segment_id: int | None = None
    reason: str | None = None  # why it was dropped
    value: float | None = None  # the number that decided it
    threshold: float | None = None
    covered_by: tuple[tuple[int, int], ...] = ()  # (index, pixels), most pixels first

    @property
    def lost_px(self) -> int:
        return self.area_px - self.visible_px


@dataclass(frozen=True, slots=True)
class StuffEntry:
    """One stuff region: all pixels of a category in the stuff map.

    The greedy rule's reasons are "area" (`value` is the pixels left, `threshold` the limit in pixels) and "covered"
    (nothing left, where there is no limit).
    """

    category_id: int
    area_px: int  # in the stuff map
    outcome: Outcome
    visible_px: int = 0  # of its segment
    segment_id: int | None = None
    reason: str | None = None
    value: float | None = None
    threshold: float | None = None

    @property
    def lost_px(self) -> int:
        return self.area_px - self.visible_px


KINDS: dict[str, type[InstanceEntry] | type[StuffEntry]] = {"instance": InstanceEntry, "stuff": StuffEntry}
FIELDS = {kind: tuple(field.name for field in fields(entry)) for kind, entry in KINDS.items()}


@dataclass(frozen=True)
class Ledger:
    """Entries in the order in which the rule decided them. There is one for every instance and stuff region."""

    instances: tuple[InstanceEntry, ...]
    stuff: tuple[StuffEntry, ...]

    def summary(self) -> dict[int, dict[str, int]]:
        """Category id -> how many were kept, eroded, dropped (and by which reason), and pixels lost."""
        counts: dict[int, Counter[str]] = {}
        entries: tuple[InstanceEntry | StuffEntry, ...] = (*self.instances, *self.stuff)
        for entry in entries:
            count = counts.setdefault(entry.category_id, Counter(kept=0, eroded=0, dropped=0, lost_px=0))
            count[entry.outcome] += 1
            count["lost_px"] += entry.lost_px
            if entry.reason:
                count[f"dropped_{entry.reason}"] += 1
        return {category_id: dict(count) for category_id, count in counts.items()}

    def records(self) -> Iterator[dict[str, Any]]:
        """One plain dictionary an entry, for JSON lines; `kind` says which."""
        for entry in self.instances:
            record = _record("instance", entry)
            record["covered_by"] = [list(taker) for taker in entry.covered_by]
            yield record
        for region in self.stuff:
            yield _record("stuff", region)

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Ledger:
        """What `records` gave, before or after a journey through JSON -> an equal ledger."""
        entries: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        for number, record in enumerate(records):
            entries[_kind(number, record)].append(_entry(record))
        return cls(tuple(entries["instance"]), tuple(entries["stuff"]))


def _record(kind: str, entry: InstanceEntry | StuffEntry) -> dict[str, Any]:
    # dataclasses.asdict copies every value deeply, at ten times the cost
    return {"kind": kind, **{name: getattr(entry, name) for name in FIELDS[kind]}}


def _kind(number: int, record: Mapping[str, Any]) -> str:
    kind = record.get("kind")
    if kind not in KINDS:
        raise DataError(f"ledger record {number}: expected a kind of {' or '.join(KINDS)}, got {kind!r}")
    expected = {"kind", *FIELDS[kind]}
    wrong = sorted(expected ^ set(record))
    if wrong:
        raise DataError(f"ledger record {number}: expected the keys {sorted(expected)}, {wrong[0]!r} differs")
    return str(kind)


def _entry(record: Mapping[str, Any]) -> InstanceEntry | StuffEntry:
    values = {name: record[name] for name in FIELDS[record["kind"]]}
    if "covered_by" in values:
        values["covered_by"] = tuple((int(index), int(pixels)) for index, pixels in values["covered_by"])
    return KINDS[record["kind"]](**values)
