"""Categories whose ids or names clash, are no integers, or which are only the parent of the others."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace

from thingstuff.data.checks.check import Code, as_text
from thingstuff.data.checks.numbers import is_key, is_whole_number, rows_by_key
from thingstuff.data.truth import Record, SplitTruth

CATEGORY_ID_DUPLICATE = Code("category-id-duplicate", "error", "give each category an id of its own")
CATEGORY_NAME_DUPLICATE = Code("category-name-duplicate", "warning", "rename one, or join the two")
CATEGORY_ID_INVALID = Code("category-id-invalid", "error", "give the category an integer as its id")
CATEGORY_UNUSED_ROOT = Code("category-unused-root", "warning", "leave the category out", is_fixable=True)

_NO_PARENT = (None, "", "none")


def category_faults(split: SplitTruth, roots: Set[object]) -> Iterator[tuple[Code, int, str]]:
    """`roots`: the names of categories to be named as CATEGORY_UNUSED_ROOT."""
    categories = split.categories
    first_of_id = rows_by_key(category.get("id") for category in categories)
    first_of_name = rows_by_key(category.get("name") for category in categories)
    for number, category in enumerate(categories):
        own_id, name = category.get("id"), category.get("name")
        if not is_whole_number(own_id):
            yield CATEGORY_ID_INVALID, number, f"{as_text(name)} has the id {as_text(own_id)}, expected an integer"
        elif first_of_id[own_id] != number:
            other = as_text(categories[first_of_id[own_id]].get("name"))
            yield CATEGORY_ID_DUPLICATE, number, f"{as_text(name)} and {other} share the id {as_text(own_id)}"
        if name is not None and is_key(name) and first_of_name[name] != number:
            other = as_text(categories[first_of_name[name]].get("id"))
            yield (
                CATEGORY_NAME_DUPLICATE,
                number,
                f"the ids {other} and {as_text(own_id)} share the name {as_text(name)}",
            )
        if is_key(name) and name in roots:
            said = f"{as_text(name)} (id {as_text(own_id)}) is only the supercategory of the others"
            yield CATEGORY_UNUSED_ROOT, number, f"{said}: nothing is labelled with it, and it would take a class"


def unused_roots(split: SplitTruth) -> set[object]:
    """The names of categories that all others have as their supercategory, and that the split does not use."""
    supers = {_key(category.get("supercategory")) for category in split.categories}
    names = {_key(category.get("name")) for category in split.categories}
    if not (supers - {None}) & names:
        return set()
    used = _used_ids(split)
    return {
        _key(category.get("name"))
        for category in split.categories
        if _is_parent_of_all(category, split.categories) and _key(category.get("id")) not in used
    }


def without_categories(split: SplitTruth, names: Set[object]) -> SplitTruth:
    if not names:
        return split
    kept = [category for category in split.categories if _key(category.get("name")) not in names]
    note = f"categories that nothing is labelled with left out: {', '.join(sorted(map(str, names)))}"
    return replace(split, categories=kept, notes=(*split.notes, note))


def _is_parent_of_all(category: Record, categories: list[Record]) -> bool:
    name, others = category.get("name"), [other for other in categories if other is not category]
    is_root = category.get("supercategory") in _NO_PARENT
    return bool(name and others) and is_root and all(other.get("supercategory") == name for other in others)


def _used_ids(split: SplitTruth) -> set[object]:
    """By instances, by label maps that know the label, and by panoptic segments."""
    used = {_key(record.get("category_id")) for record in split.annotations or []}
    if split.stuff is not None:
        used |= set(split.stuff.label_ids.values())
    if split.panoptic is not None:
        infos = (one.get("segments_info") for one in split.panoptic.annotations)
        segments = (segment for info in infos if isinstance(info, list) for segment in info)
        used |= {_key(segment.get("category_id")) for segment in segments if isinstance(segment, dict)}
    return used


def _key(value: object) -> object:
    return value if is_key(value) else None
