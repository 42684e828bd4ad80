"""What a comparison says: sentences, tables and a record for programs."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from thingstuff.evaluation.bootstrap import Difference
from thingstuff.evaluation.merge_cost import STAGES
from thingstuff.report.comparison import AP_IN_MAP, MIOU_IN_MAP, Compared, Comparison
from thingstuff.report.error_bars import as_records, differences_table
from thingstuff.report.lost_instances import lost_instances
from thingstuff.report.merge_cost_tables import merge_cost_record, merge_cost_tables
from thingstuff.report.table import Table

SCHEMA = 1  # of compare.json, raised when a key changes its meaning
_COLUMNS = ("box AP", "mask AP", AP_IN_MAP, "mIoU", MIOU_IN_MAP, "PQ", "PQ_th", "PQ_st")
_STAGE_CLAUSES = {
    "confidence": "by dropping instances below the confidence threshold",
    "overlap": "by dropping those that others cover",
    "panoptic": "by pixels that others took",
}
_VERDICTS = ("better", "worse", "undecided", "unchanged")


class TitledTable(NamedTuple):
    title: str
    table: Table


def verdict(comparison: Comparison) -> list[str]:
    """The answer in words, the main one first."""
    sentences = [s for store in comparison.stores if store.merge for s in _merge_sentences(store, comparison)]
    return sentences + [_difference_sentence(comparison, name) for name in comparison.differences]


def tables(comparison: Comparison) -> list[TitledTable]:
    found = [TitledTable("All numbers", _overview(comparison))]
    first = comparison.stores[0].name
    found += [TitledTable(f"{name} minus {first}", differences_table(d)) for name, d in comparison.differences.items()]
    for store in comparison.stores:
        for table in merge_cost_tables(store.merge, store.stuff) if store.merge else []:
            found.append(TitledTable(f"{store.name}: {_merge_title(table)}", table))
    return found


def text(comparison: Comparison) -> str:
    parts = [*verdict(comparison), *(f"{title}\n{table.text()}" for title, table in tables(comparison))]
    notes = [f"{store.name}: {note}" for store in comparison.stores for note in store.scores.notes]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def record(comparison: Comparison) -> dict[str, Any]:
    """For JSON, in percent."""
    return {
        "schema": SCHEMA,
        "ground_truth": comparison.truth.name,
        "verdict": verdict(comparison),
        "stores": {store.name: _store_record(store) for store in comparison.stores},
        "differences": {name: as_records(found) for name, found in comparison.differences.items()},
    }


# ---- sentences ---------------------------------------------------------------------------------------------------


def _merge_sentences(store: Compared, comparison: Comparison) -> list[str]:
    assert store.merge is not None
    cost, whole = store.merge, store.merge.intervals["whole"]
    before, after = (100 * cost.stages[stage].ap.numbers["AP"] for stage in (STAGES[0], STAGES[-1]))
    if math.isnan(before):
        return [f"{_subject(store, comparison)}: mask AP is undefined, since the ground truth has no object."]
    change = _change("costs", "wins", whole)
    parts = [f"{100 * cost.cost(stage):+.1f} {clause}" for stage, clause in _STAGE_CLAUSES.items()]
    lost = sum(count.lost for count in cost.outcomes.values())
    true = sum(count.true for count in cost.outcomes.values())
    said = (
        f"{_subject(store, comparison)} {change} mask AP: {before:.1f} of the instances, {after:.1f} of the things in "
    )
    said += f"the map. Step by step: {', '.join(parts[:-1])} and {parts[-1]}; {lost} of the {true} instances that had "
    sentences = [f"{said}found an object no longer do."]
    return [*sentences, _gain_sentence(store)] if "panoptic_seg" in store.scores.results else sentences


def _subject(store: Compared, comparison: Comparison) -> str:
    return "Going panoptic" if len(comparison.stores) == 1 else f"{store.name}: going panoptic"


def _change(loses: str, wins: str, difference: Difference) -> str:
    value, low, high = (100 * number for number in (difference.value, difference.low, difference.high))
    if difference.verdict == "unchanged":
        return "does not change"
    if difference.verdict == "undecided":
        return f"changes ({value:+.1f}, 95 % {low:+.1f} to {high:+.1f}, undecided)"
    word = loses if difference.verdict == "worse" else wins
    low, high = sorted((abs(low), abs(high)))
    return f"{word} {abs(value):.1f} (95 % {low:.1f} to {high:.1f})"


def _gain_sentence(store: Compared) -> str:
    numbers = store.scores.results["panoptic_seg"]
    said = f"What it gives is one map with stuff{_rid_of(store)}: PQ {_shown(numbers['PQ'])}, "
    said += f"things {_shown(numbers['PQ_th'])}, stuff {_shown(numbers['PQ_st'])}"
    if store.stuff is None:
        return f"{said}."
    raw, merged = (100 * s.numbers["mIoU"] for s in (store.stuff.raw_scores, store.stuff.panoptic_scores))
    return f"{said}; mean IoU goes from {_shown(raw)} to {_shown(merged)} ({store.stuff.interval.verdict})."


def _rid_of(store: Compared) -> str:
    dropped = [c for name, c in store.merge.outcomes.items() if name not in ("kept", "eroded")] if store.merge else []
    false = sum(count.instances - count.true for count in dropped)
    return f", rid of {false} instances that found nothing" if false else ""


def _difference_sentence(comparison: Comparison, name: str) -> str:
    """What is decided first."""
    found = sorted(comparison.differences[name].items(), key=lambda pair: _VERDICTS.index(pair[1].verdict))
    parts = [f"{metric} {d.value:+.1f} ({d.low:+.1f} to {d.high:+.1f}, {d.verdict})" for metric, d in found]
    return f"{name} against {comparison.stores[0].name}: {', '.join(parts)}."


def _shown(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.1f}"


# ---- tables ------------------------------------------------------------------------------------------------------


def _overview(comparison: Comparison) -> Table:
    cells = {store.name: _numbers(store) for store in comparison.stores}
    shown = [column for column in _COLUMNS if any(column in numbers for numbers in cells.values())]
    rows = [[name, *(numbers.get(column) for column in shown)] for name, numbers in cells.items()]
    return Table(rows, ["percent", *shown], digits=2)


def _numbers(store: Compared) -> dict[str, float]:
    numbers = {name: interval.value for name, interval in store.intervals.items()}
    if store.merge:
        numbers[AP_IN_MAP] = 100 * store.merge.stages["panoptic"].ap.numbers["AP"]
    if store.stuff:
        numbers[MIOU_IN_MAP] = 100 * store.stuff.panoptic_scores.numbers["mIoU"]
    return numbers


def _merge_title(table: Table) -> str:
    titles = {"stage": "what the merge costs", "merge": "what became of the instances", "IoU": "stuff"}
    return titles.get(table.headers[0], "instances and panoptic map")


# ---- the record --------------------------------------------------------------------------------------------------


def _store_record(store: Compared) -> dict[str, Any]:
    return {
        "folder": str(store.store.folder),
        "images": len(store.store),
        "results": store.scores.results,
        "intervals": as_records(store.intervals),
        "merge": _merge_record(store),
        "notes": store.scores.notes,
    }


def _merge_record(store: Compared) -> dict[str, Any] | None:
    if store.merge is None:
        return None
    return merge_cost_record(store.merge, store.stuff) | {"lost": lost_instances(store)}
