"""What masks cannot say themselves, in a small file beside them: the categories, and what tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thingstuff.data.formats.format import Source
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.files import write_json
from thingstuff.structures import Categories

_FILE = "instances.json"
SINGLE = "object"  # the category of masks without classes, if nobody names it


@dataclass(frozen=True)
class MaskOptions:
    """The options of a source; what it leaves open is taken from the file that `write_options` left in its folder.

    `places`: where the options that are of that file stand, for messages.
    """

    categories: Categories | None
    values: Mapping[str, Any]
    places: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Source, folder: Path) -> MaskOptions:
        path = folder / _FILE
        if not path.is_file():
            return cls(source.categories, source.options)
        content = read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("categories"), list):
            raise DataError(f"{path}: expected an object with the list categories: write it again, or remove it")
        values = {key: value for key, value in content.items() if key != "categories"} | dict(source.options)
        places = {key: f"{path}: {key}" for key in content if key not in source.options}
        return cls(source.categories or _categories(content["categories"], path), values, places)

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str):
            raise self.refusal(name, "a text")
        return value

    def refusal(self, name: str, expected: str) -> DataError:
        return DataError(f"{self.places.get(name, name)}: expected {expected}, got {shown(self.values.get(name))}")

    def single(self, place: Path, way_out: str) -> list[Record]:
        """The one category of masks that tell no classes; `way_out` says which option would make them."""
        if not self.categories:
            return [{"id": 1, "name": SINGLE}]
        if len(self.categories) != 1:
            raise DataError(f"{place}: {len(self.categories)} categories, and nothing tells them apart: {way_out}")
        return self.categories.to_coco()


def write_options(folder: Path, categories: Sequence[Record], **values: Any) -> None:
    write_json(folder / _FILE, {"categories": list(categories), **values})


def _categories(records: list[Any], path: Path) -> Categories:
    try:
        if not all(isinstance(record, dict) for record in records):
            raise DataError("expected categories as objects with id and name")
        return Categories.from_coco(records)
    except ValueError as error:  # a DataError is one, and so is what numpy says of a strange colour
        raise DataError(f"{path}: {error}") from error
