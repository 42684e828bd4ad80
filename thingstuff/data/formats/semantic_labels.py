"""What the numbers of label maps mean: as it is declared, as a file beside the maps says, or one class a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.data.formats.format import Source
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.truth import Record
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.files import write_json
from thingstuff.progress import watched
from thingstuff.structures import Categories
from thingstuff.structures.png import read_label_png

LABELS_FILE = "labels.json"  # lies beside the maps that this toolkit writes
_DEFAULT_VOID = 255
_HIGHEST = 65535


@dataclass(frozen=True)
class SemanticLabels:
    """`label_ids` and `void_labels` as in `StuffFiles`; `categories` are COCO's records."""

    categories: list[Record]
    label_ids: dict[int, int | None]
    void_labels: frozenset[int]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: Source, paths: Sequence[Path]) -> SemanticLabels:
        """`paths` are the maps; they are read only where nothing says what their labels are."""
        void, names = _void(source.options.get("void")), _names(source.options.get("labels"))
        beside = source.annotations / LABELS_FILE
        if void is None and names is None and beside.is_file():
            return cls.read(beside)
        void = frozenset({_DEFAULT_VOID}) if void is None else void
        if source.categories is not None:
            return cls(source.categories.to_coco(), _declared_ids(source.categories, names or {}, void), void)
        return _named(names, void) if names is not None else _derived(paths, void, str(source.annotations))

    @classmethod
    def read(cls, path: Path) -> SemanticLabels:
        """From a file that `write` wrote."""
        content = read_json(path)
        try:
            return _checked(content)
        except ValueError as error:  # a DataError is one, and so is what numpy says of a strange colour
            raise DataError(f"{path}: {str(error)[:200]}") from error

    def write(self, path: Path) -> None:
        labels = {str(label): category_id for label, category_id in self.label_ids.items()}
        write_json(path, {"categories": self.categories, "labels": labels, "void": sorted(self.void_labels)})


def _void(value: Any) -> frozenset[int] | None:
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    if not all(_is_label(each) for each in values):
        raise DataError(f"void: expected labels, as [0, 255], got {shown(value)}")
    return frozenset(values)


def _names(value: Any) -> dict[int, str | None] | None:
    if value is None:
        return None
    fits = isinstance(value, Mapping) and value
    if not fits or not all(_is_label(k) and (v is None or (isinstance(v, str) and v)) for k, v in value.items()):
        raise DataError(f"labels: expected a mapping of labels to names of categories or null, got {shown(value)}")
    return dict(value)


def _is_label(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _HIGHEST


def _declared_ids(
    categories: Categories, names: Mapping[int, str | None], void: frozenset[int]
) -> dict[int, int | None]:
    """What `names` says; where it names no category, so that it may say null alone, a category's label is its id."""
    try:
        stated = {label: None if name is None else categories.by_name(name).id for label, name in names.items()}
    except DataError as error:
        raise DataError(f"labels: {error}") from error
    is_whole = any(category_id is not None for category_id in stated.values())
    own = {} if is_whole else {c.id: c.id for c in categories.all if c.id not in void}
    _refuse_void(stated, void)
    return own | stated


def _named(names: Mapping[int, str | None], void: frozenset[int]) -> SemanticLabels:
    """Categories of the names; the id of one is the first label that has it."""
    id_of: dict[str, int] = {}
    for label, name in names.items():
        if name is not None:
            id_of.setdefault(name, label)
    label_ids = {label: None if name is None else id_of[name] for label, name in names.items()}
    _refuse_void(label_ids, void)
    return SemanticLabels([_record(own, name) for name, own in id_of.items()], label_ids, void)


def _refuse_void(label_ids: Mapping[int, int | None], void: frozenset[int]) -> None:
    for label in label_ids:
        if label in void:
            raise DataError(
                f"labels: the label {label} is a category's and cannot mean void as well: give another void"
            )


def _derived(paths: Sequence[Path], void: frozenset[int], name: str) -> SemanticLabels:
    """One category for each number in the maps; a map that cannot be read is left to the checks."""
    used = np.zeros(_HIGHEST + 1, bool)
    readable = 0
    for path in watched(paths, "labels in use"):
        try:
            labels = read_label_png(path)
        except DataError as error:
            last = error
            continue
        used[: 1 << (8 * labels.itemsize)] |= np.bincount(labels.ravel(), minlength=1 << (8 * labels.itemsize)) > 0
        readable += 1
    if not readable:
        raise last
    found = [label for label in np.flatnonzero(used).tolist() if label not in void]
    note = f"{name}: no categories are declared: one is made for each of the {len(found)} labels in the maps"
    return SemanticLabels([_record(n, f"class_{n}") for n in found], {n: n for n in found}, void, (note,))


def _record(category_id: int, name: str) -> Record:
    return {"id": category_id, "name": name, "isthing": 0}


def _checked(content: Any) -> SemanticLabels:
    records = content.get("categories") if isinstance(content, dict) else None
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(records, list) or not isinstance(labels, dict) or not all(isinstance(r, dict) for r in records):
        raise DataError("expected a list of categories, and labels with their ids")
    known = {category.id for category in Categories.from_coco(records).all}
    label_ids: dict[int, int | None] = {}
    for text, own in labels.items():
        if not (
            text.isascii()
            and text.isdigit()
            and len(text) <= 5
            and (own is None or (type(own) is int and own in known))
        ):
            raise DataError(f"labels: expected label: id of a category or null, got {shown(text)}: {shown(own)}")
        label_ids[int(text)] = own
    void = _void(content.get("void")) or frozenset()
    _refuse_void(label_ids, void)
    return SemanticLabels(records, label_ids, void)
