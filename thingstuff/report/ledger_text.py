"""What the ledger says about one instance or stuff region, as a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from thingstuff.merge import InstanceEntry, Ledger, StuffEntry
from thingstuff.structures import Categories

Entry = InstanceEntry | StuffEntry

_LEAST_SHARE = 0.005  # which is shown as 1 %


def instance_texts(ledger: Ledger, categories: Categories) -> dict[int, str]:
    """A sentence on every instance, by its index."""
    names = {entry.index: _name(entry, categories) for entry in ledger.instances}
    return {entry.index: entry_text(entry, names) for entry in ledger.instances}


def stuff_texts(ledger: Ledger) -> dict[int, str]:
    """A sentence on every region of stuff, by its category id."""
    return {entry.category_id: entry_text(entry, {}) for entry in ledger.stuff}


def entry_text(entry: Entry, names: Mapping[int, str]) -> str:
    """`names` are those of the instances by index, for who took its pixels."""
    if entry.outcome == "kept":
        return "kept whole"
    takers = _takers(entry, names)
    if entry.outcome == "eroded":
        share = entry.lost_px / max(entry.area_px, 1)
        shown = f"{share:.0%}" if share >= _LEAST_SHARE else "less than 1%"
        return f"eroded: {shown} of its pixels went to {takers or 'things'}"
    return f"dropped: {_reason(entry, takers)}"


def _reason(entry: Entry, takers: str) -> str:
    value, limit = entry.value or 0.0, entry.threshold or 0.0
    match entry.reason:
        case "confidence":
            digits = 2 if f"{value:.2f}" != f"{limit:.2f}" else 4
            return f"its score {value:.{digits}f} is below the limit {limit:.2f}"
        case "overlap":
            return f"{value:.0%} already covered by {takers or 'others'}, limit {limit:.0%}"
        case "area":
            return f"{value:.0f} pixels are left, limit {limit:.0f}"
        case "empty":
            return "its mask is empty"
        case "covered":
            return f"nothing of it is left, all is covered by {takers or 'things'}"
    return f"{entry.reason} {value:g}, limit {limit:g}"


def _takers(entry: Entry, names: Mapping[int, str]) -> str:
    if not isinstance(entry, InstanceEntry) or not entry.covered_by:
        return ""
    index, _ = entry.covered_by[0]
    others = len(entry.covered_by) - 1
    return names.get(index, f"instance {index}") + (f" and {others} more" if others else "")


def _name(entry: InstanceEntry, categories: Categories) -> str:
    """An instance in the map goes by its segment's number, which the page shows too."""
    name = categories.by_id(entry.category_id).name
    return name if entry.segment_id is None else f"{name} #{entry.segment_id}"
