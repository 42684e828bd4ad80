"""Two lists of categories as one, by name."""

from __future__ import annotations

from thingstuff.data.truth import Record


def joined_categories(here: list[Record], there: list[Record]) -> tuple[list[Record], dict[object, object]]:
    """COCO's records of both, each name once, and the ids of `there` -> those that they have now.

    An id that means something else here is replaced by a free one.
    """
    id_of = {category.get("name"): category.get("id") for category in here}
    taken = {category.get("id") for category in here} | {category.get("id") for category in there}
    joined, moved = list(here), {}
    for category in there:
        name, own = category.get("name"), category.get("id")
        if name in id_of:
            moved[own] = id_of[name]
            continue
        free = own if own not in id_of.values() else max((i for i in taken if isinstance(i, int)), default=0) + 1
        taken.add(free)
        moved[own] = id_of[name] = free
        joined.append({**category, "id": free})
    return joined, moved
