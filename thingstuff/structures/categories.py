"""The categories of a data set, and the only place where their ids are converted.

Four id spaces meet here: data set ids (any integers, with gaps), contiguous thing indices (0..), stuff map labels
(stuff index + 1) and the classes of a Detectron2 metadata entry.
"""

from __future__ import annotations

import colorsys
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures.arrays import as_integers, refuse_duplicates
from thingstuff.structures.runs import positions_of
from thingstuff.structures.stuff_map import NOT_STUFF, VOID, check_stuff_map

Color = tuple[int, int, int]

THINGS_NAME = "things"  # Panoptic FPN's semantic class 0: "some thing is here"
THINGS_COLOR = (82, 18, 128)  # the colour that Detectron2 gives it
COLOR_STRIDES = tuple(1.2207440846057596**-axis for axis in (1, 2, 3))  # Roberts' R3 sequence: x**4 = x + 1


@dataclass(frozen=True, slots=True)
class Category:
    """One category. `id` is the data set's own; `color` is RGB, 0 to 255, or None for a fallback."""

    id: int
    name: str
    isthing: bool = True
    color: Color | None = None

    def __post_init__(self) -> None:
        if isinstance(self.id, bool) or not isinstance(self.id, int):
            raise DataError(
                f"category {reprlib.repr(self.name)[:60]}: expected an integer id, got {reprlib.repr(self.id)[:60]}"
            )
        if not isinstance(self.name, str) or not self.name:
            raise DataError(f"category {self.id}: expected a name, got {reprlib.repr(self.name)[:60]}")
        if self.color is not None and not _is_color(self.color):
            got = reprlib.repr(self.color)[:60]
            raise DataError(f"category {self.id}: expected a colour of three numbers 0 to 255, got {got}")


@dataclass(frozen=True)
class Categories:
    """The categories of a data set in the data set's order. Ids and names are distinct; hashable and comparable."""

    all: tuple[Category, ...]

    def __post_init__(self) -> None:
        refuse_duplicates((c.id for c in self.all), "two categories share the id {}: give each its own")
        refuse_duplicates((c.name for c in self.all), "two categories share the name {}: give each its own")
        if len(self.stuff) >= VOID:
            raise DataError(f"expected fewer than {VOID} stuff categories, got {len(self.stuff)}")

    @classmethod
    def from_coco(cls, records: Iterable[Mapping[str, Any]]) -> Categories:
        """From COCO's `categories` list. Records without `isthing` are things, as in COCO detection."""
        return cls(tuple(_from_record(number, record) for number, record in enumerate(records)))

    @classmethod
    def from_metadata(cls, metadata: Any) -> Categories:
        """From a Detectron2 metadata entry (or a mapping with its keys): things first, then stuff, in class order.

        Where an id map is missing, the class indices are the data set ids, as Detectron2 assumes. Both conventions
        are read: "separated", where stuff class 0 is "things" and no category, and "standard", where thing and
        stuff classes are one list of which each id map names its part.
        """
        things = _from_classes(metadata, "thing")
        stuff = _from_classes(metadata, "stuff")
        return cls((*things, *stuff))

    def to_coco(self) -> list[dict[str, Any]]:
        """COCO's `categories` list; `color` only where a category has one."""
        return [_to_record(category) for category in self.all]

    def to_metadata(self) -> dict[str, Any]:
        """The six keys of a Detectron2 metadata entry in the "separated" convention of Panoptic FPN.

        Stuff class 0 is "things", under the data set id 0 as in Detectron2, or -1 where a category has the id 0.
        """
        color_of = dict(zip(self.all, self.colors(), strict=True))
        things_id = -1 if 0 in self._by_id else 0
        return {
            "thing_classes": [c.name for c in self.things],
            "thing_colors": [list(color_of[c]) for c in self.things],
            "thing_dataset_id_to_contiguous_id": {c.id: i for i, c in enumerate(self.things)},
            "stuff_classes": [THINGS_NAME, *(c.name for c in self.stuff)],
            "stuff_colors": [list(THINGS_COLOR), *(list(color_of[c]) for c in self.stuff)],
            "stuff_dataset_id_to_contiguous_id": {things_id: 0} | {c.id: i + 1 for i, c in enumerate(self.stuff)},
        }

    def __len__(self) -> int:
        return len(self.all)

    @cached_property
    def things(self) -> tuple[Category, ...]:
        """The thing categories; a position in this tuple is a contiguous thing index."""
        return tuple(c for c in self.all if c.isthing)

    @cached_property
    def stuff(self) -> tuple[Category, ...]:
        """The stuff categories; a position in this tuple, plus 1, is a stuff map label."""
        return tuple(c for c in self.all if not c.isthing)

    def by_id(self, category_id: int) -> Category:
        """The category with this data set id."""
        if category_id not in self._by_id:
            raise self._unknown_id(category_id)
        return self._by_id[category_id]

    def by_name(self, name: str) -> Category:
        """The category with exactly this name."""
        if name not in self._by_name:
            raise DataError(f"no category is named {name!r:.80}: the names are {_some_of(list(self._by_name))}")
        return self._by_name[name]

    def thing_indices(self, dataset_ids: NDArray[Any] | Sequence[int]) -> NDArray[np.int64]:
        """Data set ids of things -> int64 contiguous thing indices, same shape. Stuff and unknown ids are refused."""
        wanted = as_integers("category ids", dataset_ids)
        indices = positions_of(wanted, _ids(self.things))
        if np.any(indices < 0):
            wrong = self.by_id(int(wanted[indices < 0][0]))
            raise DataError(f"category {wrong.name!r} (id {wrong.id}): expected a thing, got stuff")
        return indices

    def thing_ids(self, indices: NDArray[Any] | Sequence[int]) -> NDArray[np.int64]:
        """Contiguous thing indices -> int64 data set ids of the same shape."""
        wanted = as_integers("thing indices", indices)
        wrong = wanted[(wanted < 0) | (wanted >= len(self.things))]
        if wrong.size:
            raise DataError(f"thing indices: expected 0 to {len(self.things) - 1}, got {wrong[0]}")
        return np.asarray(_ids(self.things)[wanted], np.int64)

    def stuff_map(self, dataset_ids: NDArray[Any], void_ids: Iterable[int] = ()) -> NDArray[np.uint16]:
        """H x W data set ids -> H x W uint16 stuff map: things become NOT_STUFF, `void_ids` become VOID.

        An id that is neither a category's nor in `void_ids` is refused, since a wrong id map looks just like void.
        """
        wanted = as_integers("category ids", dataset_ids)
        void = sorted(set(void_ids))
        refuse_duplicates([*self._by_id, *void], "the id {} is a category's and cannot mean void as well")
        positions = positions_of(wanted, np.array([*self._by_id, *void], np.int64))
        if np.any(positions < 0):
            raise self._unknown_id(int(wanted[positions < 0][0]))
        labels = [NOT_STUFF if c.isthing else self._label_of[c] for c in self.all]
        return np.array(labels + [VOID] * len(void), np.uint16)[positions]

    def stuff_ids(
        self, stuff_map: NDArray[np.uint16], *, not_stuff_id: int = -1, void_id: int = -1
    ) -> NDArray[np.int64]:
        """H x W uint16 stuff map -> H x W int64 data set ids, with these two for NOT_STUFF and VOID."""
        check_stuff_map(stuff_map, self)
        table = np.array([not_stuff_id, *(c.id for c in self.stuff), void_id], np.int64)
        return np.asarray(table[np.minimum(stuff_map, len(self.stuff) + 1)], np.int64)

    def colors(self) -> tuple[Color, ...]:
        """One RGB colour a category, in order: its own, or a fallback that goes by its id and no other has."""
        taken = {c.color for c in self.all if c.color is not None}
        colors = []
        for category in self.all:
            color = category.color or _free_color(category.id, taken)
            taken.add(color)
            colors.append(color)
        return tuple(colors)

    @cached_property
    def _by_id(self) -> dict[int, Category]:
        return {c.id: c for c in self.all}

    @cached_property
    def _by_name(self) -> dict[str, Category]:
        return {c.name: c for c in self.all}

    @cached_property
    def _label_of(self) -> dict[Category, int]:
        return {c: index + 1 for index, c in enumerate(self.stuff)}

    def _unknown_id(self, category_id: int) -> DataError:
        return DataError(f"no category has the id {category_id}: the ids are {_some_of(sorted(self._by_id))}")


def _from_record(number: int, record: Mapping[str, Any]) -> Category:
    missing = [key for key in ("id", "name") if key not in record]
    if missing:
        raise DataError(f"categories[{number}]: expected the keys id and name, got {sorted(record)}")
    return Category(record["id"], record["name"], bool(record.get("isthing", 1)), _color(record.get("color")))


def _to_record(category: Category) -> dict[str, Any]:
    record = {"id": category.id, "name": category.name, "isthing": int(category.isthing)}
    return record if category.color is None else record | {"color": list(category.color)}


def _from_classes(metadata: Any, kind: str) -> list[Category]:
    """The categories of one kind, "thing" or "stuff", from their three metadata keys."""
    names = list(_entry(metadata, f"{kind}_classes") or [])
    colors = _entry(metadata, f"{kind}_colors") or [None] * len(names)
    index_of = _entry(metadata, f"{kind}_dataset_id_to_contiguous_id")
    if index_of is None:
        index_of = {index: index for index in range(len(names))}
    beyond = [index for index in index_of.values() if not 0 <= index < min(len(names), len(colors))]
    if beyond:
        raise DataError(f"{kind}_dataset_id_to_contiguous_id: class {beyond[0]} has no name or colour")
    pairs = sorted((index, int(category_id)) for category_id, index in index_of.items())
    if kind == "stuff" and names[:1] == [THINGS_NAME]:
        pairs = [(index, category_id) for index, category_id in pairs if index != 0]
    return [Category(category_id, names[index], kind == "thing", _color(colors[index])) for index, category_id in pairs]


def _entry(metadata: Any, key: str) -> Any:
    return metadata.get(key) if isinstance(metadata, Mapping) else getattr(metadata, key, None)


def _color(value: Any) -> Any:
    """A colour as JSON or a metadata entry gives it -> a tuple; Category refuses what is no colour, by its id."""
    try:
        return None if value is None else tuple(np.ravel(value).tolist())
    except ValueError:  # lists of different lengths
        return value


def _is_color(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in value)


def _free_color(category_id: int, taken: set[Color]) -> Color:
    step = category_id
    while (color := _spread_color(step)) in taken:
        step += 1
    return color


def _spread_color(step: int) -> Color:
    """A bright colour; neighbouring steps lie far apart, and every run of steps fills the space evenly."""
    hue, saturation, value = (step * stride % 1 for stride in COLOR_STRIDES)
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.5 + 0.5 * saturation, 0.6 + 0.4 * value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _ids(categories: tuple[Category, ...]) -> NDArray[np.int64]:
    return np.array([c.id for c in categories], np.int64)


def _some_of(values: Sequence[object], shown: int = 10) -> str:
    # as they are, but on one line
    text = ", ".join(repr(str(value))[1:-1] for value in values[:shown])
    return text if len(values) <= shown else f"{text}, ... ({len(values)} in all)"
