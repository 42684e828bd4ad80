"""Whether a store and a ground truth mean the same categories by the same ids: names decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category


def renumbering(store: Categories, truth: Iterable[Any]) -> tuple[dict[int, int], list[str]]:
    """{id in the store: id in the truth} where they differ, and notes; `truth` are COCO's category records.

    Empty if every category that both know by name has one id. If ids differ, all names must be known: guessing the
    rest by their ids would mix two numberings.
    """
    id_of = {c["name"]: c["id"] for c in truth if isinstance(c, Mapping) and {"name", "id"} <= c.keys()}
    name_of = {category_id: name for name, category_id in id_of.items()}
    moved = {c.id: id_of[c.name] for c in store.things if id_of.get(c.name, c.id) != c.id}
    strange = [c for c in store.things if c.name not in id_of and c.id in name_of]
    if moved and strange:
        raise DataError(f"{_example(moved, store)}, and it does not know {strange[0].name!r}: give both the same names")
    if moved:
        return moved, [f"categories are matched by their names: {_example(moved, store)}"]
    return {}, [_renamed(category, name_of) for category in strange[:1]]


def refuse_other_numbering(store: Categories, truth: Categories) -> None:
    """Panoptic maps, ledgers and stuff maps are full of ids."""
    moved, _ = renumbering(store, truth.to_coco())
    if moved:
        raise DataError(f"{_example(moved, store)}: give the categories of the panoptic truth the store's ids")


def _example(moved: Mapping[int, int], store: Categories) -> str:
    first, other = next(iter(moved.items()))
    return f"{store.by_id(first).name!r} has the id {first} in the store and {other} in the ground truth"


def _renamed(category: Category, name_of: Mapping[Any, str]) -> str:
    return (
        f"category {category.id} is {category.name!r} in the store and {name_of[category.id]!r} in the ground truth: "
        "is it the same?"
    )
