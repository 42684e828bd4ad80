"""One list of categories for all splits of a data set: joined by name, and as the declaration wants them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from thingstuff.data.category_lists import with_category_ids
from thingstuff.data.declared.joined_categories import joined_categories
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import Categories


def settle_categories(splits: Mapping[str, SplitTruth], declared: Categories | None) -> dict[str, SplitTruth]:
    """The splits with the same categories under the same ids.

    - Without declared ones: those of all splits. Where two splits mean different things by an id, the ids are those of
      the first split that has a name, and a note says so.
    - Declared ones are matched by name, and give ids, kinds and colours; what is not declared is left out with its
      annotations, and a note says so. A split that names its categories must have every declared one somewhere.

    A category that cannot be told by its name (none, or one that is there twice) leaves all as it is, for the checks.
    """
    lists = [split.categories for split in splits.values()]
    if any(not _is_plain(categories) for categories in lists):
        return dict(splits)
    if declared is None:
        wanted = functools.reduce(lambda here, there: joined_categories(here, there)[0], lists)
        return {name: _with(split, wanted, "") for name, split in splits.items()}
    _refuse_unknown(declared, lists)
    wanted = declared.to_coco()
    return {name: _with(split, wanted, "declared") for name, split in splits.items()}


def _is_plain(categories: Iterable[Record]) -> bool:
    names = [category.get("name") for category in categories]
    ids = [category.get("id") for category in categories]
    are_texts = all(isinstance(name, str) for name in names) and all(type(i) is int for i in ids)
    return are_texts and len(set(names)) == len(names) and len(set(ids)) == len(ids)


def _refuse_unknown(declared: Categories, lists: Iterable[list[Record]]) -> None:
    known = {category["name"] for categories in lists for category in categories}
    for category in declared.all:
        if category.name not in known:
            some = ", ".join(shown(name)[1:-1] for name in sorted(known)[:10])
            raise DataError(f"categories: no split has {shown(category.name)}: they have {some}")


def _with(split: SplitTruth, wanted: list[Record], why: str) -> SplitTruth:
    id_of = {category["name"]: category["id"] for category in wanted}
    moved = {c["id"]: id_of[c["name"]] for c in split.categories if c["name"] in id_of}
    left_out = {c["id"] for c in split.categories if c["name"] not in id_of}
    notes = list(split.notes)
    changed = {old: new for old, new in moved.items() if old != new}
    if changed and not why:
        notes.append(f"{split.name}: the ids of {len(changed)} categories are those of another split, by their names")
    by_name = {c["name"]: c for c in split.categories}
    categories = [{**by_name.get(c["name"], {}), **c} for c in wanted]
    if not changed and not left_out:
        same_kinds = [c.get("isthing", 1) for c in split.categories] == [c.get("isthing", 1) for c in categories]
        json_path = split.json_path if same_kinds else None
        return replace(split, categories=categories, json_path=json_path, notes=tuple(notes))
    kept, places = _annotations(split, moved, left_out)
    if left_out and split.annotations is not None and len(kept or ()) < len(split.annotations):
        count = len(split.annotations) - len(kept or ())
        notes.append(
            f"{split.name}: {count} annotations of {len(left_out)} categories that are not declared are left out"
        )
    stuff = None if split.stuff is None else split.stuff.with_categories(moved).without(left_out)
    panoptic = split.panoptic
    if panoptic is not None:
        if left_out:
            raise DataError(f"{panoptic.json_path}: has categories that are not declared: a panoptic truth needs all")
        panoptic = replace(panoptic, annotations=[_segments(n, moved) for n in panoptic.annotations], is_whole=False)
    return replace(
        split,
        categories=categories,
        images=[with_category_ids(image, moved) for image in split.images],
        annotations=kept,
        annotation_places=places,
        stuff=stuff,
        panoptic=panoptic,
        json_path=None,
        notes=tuple(notes),
    )


def _annotations(
    split: SplitTruth, moved: Mapping[Any, int], left_out: set[Any]
) -> tuple[list[Record] | None, list[str]]:
    if split.annotations is None:
        return None, []
    rows = [n for n, note in enumerate(split.annotations) if _hashable(note.get("category_id")) not in left_out]
    kept = [_moved(split.annotations[n], moved) for n in rows]
    return kept, [split.annotation_place(n) for n in rows]


def _moved(note: Record, moved: Mapping[Any, int]) -> Record:
    own = _hashable(note.get("category_id"))
    return {**note, "category_id": moved[own]} if own in moved and moved[own] != own else note


def _hashable(value: Any) -> Any:
    """A damaged record may have a list or a dictionary for an id."""
    return value if isinstance(value, int | str | float) else None


def _segments(note: Record, moved: Mapping[Any, int]) -> Record:
    segments = note.get("segments_info")
    if not isinstance(segments, list):
        return note
    return {**note, "segments_info": [_moved(s, moved) if isinstance(s, dict) else s for s in segments]}
