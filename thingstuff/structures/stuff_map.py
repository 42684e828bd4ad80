"""Stuff maps: H x W uint16, what every pixel is when it is no thing; 0 = not stuff, 65535 = void.

Label i + 1 is the i-th stuff category in `Categories` order.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.arrays import as_integers, expect_array, refuse_duplicates
from thingstuff.structures.runs import positions_of, run_starts

if TYPE_CHECKING:
    from thingstuff.structures.categories import Categories

NOT_STUFF = 0  # a thing may be here
VOID = 65535  # nobody knows; COCO writes 0 for it, which collides with a category 0


def check_stuff_map(
    stuff_map: NDArray[np.uint16], categories: Categories, height: int | None = None, width: int | None = None
) -> None:
    """Refuse what is no H x W uint16 stuff map of these categories (and of this size, where one is given)."""
    expect_array("stuff map", stuff_map, np.uint16, (height, width))
    flat = stuff_map.reshape(-1)
    used = np.unique(flat[run_starts(flat)])
    wrong = used[(used > len(categories.stuff)) & (used != VOID)]
    if wrong.size:
        raise DataError(
            f"stuff map: expected 0 to {len(categories.stuff)} ({len(categories.stuff)} stuff categories) "
            f"or {VOID} (void), got {wrong[0]}"
        )


def stuff_map_from_labels(
    labels: NDArray[Any],
    label_ids: Sequence[int | None] | Mapping[int, int | None],
    categories: Categories,
    void_labels: Iterable[int] = (255,),
) -> NDArray[np.uint16]:
    """H x W integer labels, of a semantic model or a file, -> stuff map; there may be labels of thing classes too.

    `label_ids[label]` is the data set id that a label stands for; things become NOT_STUFF, and so does None, the
    "things" label of Panoptic FPN. A label that is neither listed nor void is refused.
    """
    void = sorted(set(void_labels))
    ids = dict(label_ids) if isinstance(label_ids, Mapping) else dict(enumerate(label_ids))
    known = [*ids, *void]
    refuse_duplicates(known, "the label {} is listed and cannot mean void as well: give other void_labels")
    table = np.append(_label_table(list(ids.values()), categories), np.full(len(void), VOID, np.uint16))
    numbers = as_integers("semantic labels", labels)
    unknown = sorted(_used(numbers) - set(known))
    if unknown:
        listed = f"0 to {len(ids) - 1}" if list(ids) == list(range(len(ids))) else reprlib.repr(sorted(ids))
        expected = f"{listed} or void {void}"
        raise DataError(f"semantic labels: expected {expected}, got {unknown[0]}")
    if numbers.dtype == np.uint8:
        return np.take(_for_bytes(table, known), numbers)
    return table[positions_of(numbers, np.array(known, np.int64))]


def _used(numbers: NDArray[np.integer[Any]]) -> set[int]:
    flat = numbers.reshape(-1)
    return set(np.unique(flat[run_starts(flat)]).tolist())


def _for_bytes(table: NDArray[np.uint16], known: Sequence[int]) -> NDArray[np.uint16]:
    """The table with an entry for every byte, which is several times faster than a search."""
    whole = np.zeros(256, np.uint16)
    for value, label in zip(table.tolist(), known, strict=True):
        if 0 <= label < len(whole):
            whole[label] = value
    return whole


def _label_table(label_ids: Sequence[int | None], categories: Categories) -> NDArray[np.uint16]:
    table = np.full(len(label_ids), NOT_STUFF, np.uint16)
    named = [label for label, category_id in enumerate(label_ids) if category_id is not None]
    table[named] = categories.stuff_map(np.array([label_ids[label] for label in named], np.int64))
    return table
