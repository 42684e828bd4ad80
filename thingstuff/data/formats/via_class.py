"""Which attribute of VIA's regions is the class, and which class that of a region is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from thingstuff.data.formats.instance_records import checked_label, shown
from thingstuff.data.formats.via_file import ViaRegion
from thingstuff.errors import DataError

CLASS, CROWD = "class", "iscrowd"  # as we write them
_USUAL = (CLASS, "label", "category", "type", "name")
_LARGEST_NUMBER = 10**15


def class_attribute(regions: Iterable[ViaRegion], wanted: Any, name: str) -> str | None:
    """`wanted`, else one with a usual name, else the only one that all regions have; None where there is none at all.

    `name` is the file's, for messages.
    """
    if wanted is not None and not isinstance(wanted, str):
        raise DataError(f"label: expected the name of an attribute, got {shown(wanted)}")
    total, uses = 0, Counter[str]()
    for region in regions:
        total += 1
        uses.update(key for key in region.attributes if key != CROWD)
    if wanted is not None:
        if total and wanted not in uses:
            raise DataError(f"{name}: no region has the attribute {shown(wanted)}, which `label` names: {_named(uses)}")
        return wanted
    return _guessed(uses, total, name) if uses else None


def label_of(region: ViaRegion, attribute: str) -> str:
    """A text, a number, or the one choice of a checkbox that is set."""
    value = region.attributes.get(attribute)
    if isinstance(value, dict):
        chosen = [choice for choice, is_set in value.items() if is_set is True]
        if len(chosen) != 1:
            raise DataError(f"{region.place}: expected one choice of {shown(attribute)}, got {shown(chosen)}")
        value = chosen[0]
    if type(value) is int and abs(value) < _LARGEST_NUMBER:
        value = str(value)
    return checked_label(value, f"{region.place}: {shown(attribute)}")


def is_crowd(region: ViaRegion) -> bool:
    return region.attributes.get(CROWD) in ("true", "1", True)


def _guessed(uses: Counter[str], total: int, name: str) -> str:
    usual = next((each for each in _USUAL for key in uses if key.lower() == each), None)
    if usual is not None:
        return next(key for key in uses if key.lower() == usual)
    for candidates in ([key for key in uses if uses[key] == total], list(uses)):
        if len(candidates) == 1:
            return candidates[0]
    raise DataError(f"{name}: say by `label` which attribute of the regions is the class: {_named(uses)}")


def _named(uses: Counter[str]) -> str:
    return f"they have {shown([key for key, _ in uses.most_common(10)], 120)}" if uses else "they have none"
