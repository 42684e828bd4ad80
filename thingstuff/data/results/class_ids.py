"""Which category of a data set a result means by its class number: names decide, where somebody gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thingstuff.config.safe_yaml import read_yaml
from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.text_file import read_lines
from thingstuff.data.formats.yolo_names import numbered
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.structures import Categories

UNKNOWN_CLASSES = "results of classes that the data set has not"


def read_class_names(path: Path) -> dict[int, str]:
    """Class number -> name: a data.yaml, a JSON with COCO's `categories`, or a text file, one name a line from 0 on."""
    if path.suffix in (".yaml", ".yml"):
        return numbered(read_yaml(path).get("names"), f"{path}: names")
    if path.suffix == ".json":
        return _of_json(read_json(path), str(path))
    lines = [line.strip() for line in read_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    return numbered(lines, str(path))


def own_names(content: Any, place: str, categories: Categories, notes: list[str]) -> dict[int, str]:
    """The names that a file of results states itself, if the data set knows any of them."""
    if not isinstance(content, Mapping) or not content.get("categories"):
        return {}
    names = _of_json(content, place)
    if not {category.name for category in categories.all} & set(names.values()):
        notes.append(f"{place}: none of its own category names is the data set's: its ids are taken as they are")
        return {}
    return names


@dataclass(frozen=True)
class ClassIds:
    """The data set's categories by the class numbers of results. `names` empty: `default` says which is which."""

    categories: Categories
    names: Mapping[int, str]
    default: Mapping[int, int]

    def category_id(self, number: Any, place: str, faults: Faults) -> int | None:
        """None, and a fault, for a class that the data set has not."""
        if not isinstance(number, int | str):
            faults.add(UNKNOWN_CLASSES, f"{place}: class {shown(number)}")
            return None
        if not self.names:
            found = self.default.get(number)
            if found is None:
                faults.add(UNKNOWN_CLASSES, f"{place}: class {shown(number)}")
            return found
        name = self.names.get(number)
        found = next((c.id for c in self.categories.all if c.name == name), None)
        if found is None:
            called = "has no name" if name is None else f"is {shown(name)}"
            faults.add(UNKNOWN_CLASSES, f"{place}: class {shown(number)} {called}")
        return found

    def refuse_strangers(self, place: str) -> None:
        """Names none of which the data set knows are those of another one."""
        if self.names and not {c.name for c in self.categories.all} & set(self.names.values()):
            ours = ", ".join(c.name for c in self.categories.all[:5])
            theirs = ", ".join(list(self.names.values())[:5])
            raise DataError(f"{place}: its names ({shown(theirs)}) are none of the data set's ({shown(ours)})")


def ids_as_they_are(categories: Categories) -> dict[int, int]:
    return {category.id: category.id for category in categories.all}


def things_in_order(categories: Categories) -> dict[int, int]:
    """0, 1, ... as the data set lists its things."""
    return {number: category.id for number, category in enumerate(categories.things)}


def _of_json(content: Any, place: str) -> dict[int, str]:
    records = content.get("categories") if isinstance(content, Mapping) else content
    if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
        raise DataError(f"{place}: expected a list of categories with id and name, as COCO has it")
    return numbered({record.get("id"): record.get("name") for record in records}, f"{place}: categories")
