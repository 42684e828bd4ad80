"""Annotations of categories that nobody declared, as labels that a project does not list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from thingstuff.data.formats.instance_records import shown
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError


def refuse_unknown_categories(truth: SplitTruth) -> None:
    """Before they are written where others would read them."""
    first = next(_strangers(truth), None)
    if first is not None:
        own = shown((truth.annotations or [])[first].get("category_id"))
        place = truth.annotation_place(first)
        raise DataError(f"{place}: there is no category {own}: declare it, or leave it out with --lenient")


def without_unknown_categories(truth: SplitTruth) -> SplitTruth:
    """The split without them, and a note that counts them."""
    gone = set(_strangers(truth))
    if not gone:
        return truth
    notes = truth.annotations or []
    kept = [number for number in range(len(notes)) if number not in gone]
    first = min(gone)
    told = f"{truth.annotation_place(first)}: {shown(notes[first].get('category_id'))}"
    return replace(
        truth,
        annotations=[notes[number] for number in kept],
        annotation_places=[truth.annotation_place(number) for number in kept],
        json_path=None,
        notes=(*truth.notes, f"left out: {len(gone)} x annotations of unknown categories, the first: {told}"),
    )


def _strangers(truth: SplitTruth) -> Iterator[int]:
    known = {category.get("id") for category in truth.categories if isinstance(category.get("id"), int | str)}
    for number, note in enumerate(truth.annotations or ()):
        own = note.get("category_id")
        if not isinstance(own, int | str) or own not in known:
            yield number
