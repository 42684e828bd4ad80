"""A split with some annotations changed or left out; those that stay keep their places in the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from thingstuff.data.truth import Record, SplitTruth


def with_changes(split: SplitTruth, changes: Mapping[int, Record | None], note: str) -> SplitTruth:
    """`changes`: annotation number -> what it becomes, or None to leave it out. `note` takes their count in {}."""
    if not changes:
        return split
    records = [changes.get(number, record) for number, record in enumerate(split.annotations or [])]
    kept = [number for number, record in enumerate(records) if record is not None]
    places = split.annotation_places if len(kept) == len(records) else _KeptPlaces(split, kept)
    return replace(
        split,
        annotations=[record for record in records if record is not None],
        annotation_places=places,
        notes=(*split.notes, note.format(len(changes))),
    )


class _KeptPlaces(Sequence[str]):
    """The places of the annotations that stayed, made when they are asked for: there may be a million."""

    def __init__(self, split: SplitTruth, numbers: list[int]) -> None:
        self._split, self._numbers = split, numbers

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[str]: ...
    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return _KeptPlaces(self._split, self._numbers[number])
        return self._split.annotation_place(self._numbers[number])

    def __len__(self) -> int:
        return len(self._numbers)
