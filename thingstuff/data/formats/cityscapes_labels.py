"""What the labels of Cityscapes' coding mean: its own table, a declared one, or the one that lies beside the PNGs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.cityscapes_table import CITYSCAPES_LABELS, UNLABELLED
from thingstuff.data.formats.format import Source
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.semantic_labels import LABELS_FILE, SemanticLabels
from thingstuff.data.truth import Record
from thingstuff.errors import DataError

DIVISOR = 1000
_USUAL_VOID = (0, 255)


@dataclass(frozen=True)
class CityscapesLabels:
    """`category_ids`: label -> the id of its category. Labels of `void` are nobody's, `ignored` are things of these."""

    categories: list[Record]
    category_ids: Mapping[int, int]
    void: frozenset[int]
    ignored: frozenset[int] = frozenset()

    @classmethod
    def of(cls, source: Source) -> CityscapesLabels:
        """Declared labels go before those of the file, and these before Cityscapes' table."""
        labels, things = source.options.get("labels"), _things(source.options.get("things"))
        beside = source.annotations / LABELS_FILE
        if labels is None and os.path.isfile(beside):  # noqa: PTH113  Path.is_file raises for long names
            meaning = SemanticLabels.read(beside)
            found = _of_meaning(meaning, meaning.categories)
        elif labels is None:
            found = _of_table(_flag(source.options.get("with_ignored", False)))
        else:
            found = _declared(source, labels)
        if "void" in source.options and labels is None:
            raise DataError("void: goes with `labels` alone")
        return found if things is None else replace(found, categories=_with_things(found.categories, things))

    @property
    def things(self) -> frozenset[int]:
        """The labels whose instances are told apart."""
        own = {record["id"] for record in self.categories if record.get("isthing", 1)}
        return frozenset(label for label, category_id in self.category_ids.items() if category_id in own)

    def name_of(self, label: int) -> str:
        return next(str(one["name"]) for one in self.categories if one["id"] == self.category_ids[label])


def labels_of_values(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Below 1000 a value is a label itself, else label * 1000 + the number of an instance. RGB holds 24 bits."""
    if values.dtype == np.uint8:  # which no 1000 fits in
        return values.astype(np.uint16)
    return np.where(values < DIVISOR, values, values // DIVISOR).astype(np.uint16)


def _of_table(with_ignored: bool) -> CityscapesLabels:
    void = {row.id for row in CITYSCAPES_LABELS if row.is_ignored and not (with_ignored and row.id not in UNLABELLED)}
    used = [row for row in CITYSCAPES_LABELS if row.id not in void]
    records = [{"id": r.id, "name": r.name, "isthing": int(r.isthing), "color": list(r.color)} for r in used]
    ignored = frozenset(row.id for row in CITYSCAPES_LABELS if row.isthing and row.id in void)
    return CityscapesLabels(records, {row.id: row.id for row in used}, frozenset(void), ignored)


def _declared(source: Source, labels: Any) -> CityscapesLabels:
    """Names of Cityscapes keep its kind and colour; other ones are stuff, as long as `things` says nothing else."""
    stated = labels if isinstance(labels, Mapping) else {}
    void = source.options.get("void", [label for label in _USUAL_VOID if label not in stated])
    options = {"labels": labels, "void": void}
    meaning = SemanticLabels.of(replace(source, categories=None, options=options), ())
    wrong = [label for label, own in meaning.label_ids.items() if own is None or label >= DIVISOR]
    if wrong:
        raise DataError(f"labels: expected names of labels below {DIVISOR}, got {wrong[0]}: {shown(stated[wrong[0]])}")
    known = {row.name: {"isthing": int(row.isthing), "color": list(row.color)} for row in CITYSCAPES_LABELS}
    return _of_meaning(meaning, [{**record, **known.get(record["name"], {})} for record in meaning.categories])


def _of_meaning(meaning: SemanticLabels, categories: list[Record]) -> CityscapesLabels:
    label_ids = {label: own for label, own in meaning.label_ids.items() if own is not None}
    return CityscapesLabels(categories, label_ids, meaning.void_labels)


def _with_things(categories: Iterable[Record], things: frozenset[str]) -> list[Record]:
    records = [{**record, "isthing": int(record["name"] in things)} for record in categories]
    unknown = sorted(things - {record["name"] for record in records})
    if unknown:
        names = ", ".join(shown(record["name"])[1:-1] for record in records[:10])
        raise DataError(f"things: no label is named {shown(unknown[0])}: the names are {names}")
    return records


def _things(value: Any) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise DataError(f"things: expected a list of names, as [person, car], got {shown(value)}")
    return frozenset(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise DataError(f"with_ignored: expected true or false, got {shown(value)}")
    return value
