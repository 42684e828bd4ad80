"""What a comparison says: sentences, tables and a record for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from thingstuff.evaluation.bootstrap import Difference
from thingstuff.evaluation.merge_cost import STAGES
from thingstuff.report.comparison import AP_IN_MAP, MIOU_IN_MAP, Compared, Comparison
from thingstuff.report.error_bars import as_records, differences_table
from thingstuff.report.image_ranks import Ranks
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
_SUSPICIOUS_AP = 0.5  # percent
_FEW_DRAWS = 200


class TitledTable(NamedTuple):
    title: str
    table: Table


def verdict(comparison: Comparison) -> list[str]:
    """The answer in words, the main one first: stores against each other, then what each merge costs and gives."""
    doubts = [doubt for store in comparison.stores for doubt in _doubts(store, comparison)]
    differences = [_difference_sentence(comparison, name) for name in comparison.differences]
    merges = [s for store in comparison.stores if store.merge for s in _merge_sentences(store, comparison)]
    return [*doubts, *differences, *merges]


def all_notes(comparison: Comparison) -> list[str]:
    """What a reader should know of each store; what is true of all is said once."""
    of_each: dict[str, list[str]] = {}
    for store in comparison.stores:
        for note in store.scores.notes:
            of_each.setdefault(note, []).append(store.name)
    is_of_all = {note: 1 < len(comparison.stores) == len(names) for note, names in of_each.items()}
    return [f"{'all' if is_of_all[note] else ', '.join(names)}: {note}" for note, names in of_each.items()]


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
    notes = all_notes(comparison)
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def record(comparison: Comparison, ranks: Mapping[str, Ranks]) -> dict[str, Any]:
    """For JSON, in percent; `images` are the ranks by which the page orders them, of the first store."""
    return {
        "schema": SCHEMA,
        "ground_truth": comparison.truth.name,
        "draws": comparison.options.draws,
        "seed": comparison.options.seed,
        "verdict": verdict(comparison),
        "stores": {store.name: _store_record(store) for store in comparison.stores},
        "baseline": comparison.stores[0].name,
        "differences": {name: as_records(found) for name, found in comparison.differences.items()},
        "images": {key: dict(own) for key, own in ranks.items()},
    }


# ---- sentences ---------------------------------------------------------------------------------------------------


def _merge_sentences(store: Compared, comparison: Comparison) -> list[str]:
    assert store.merge is not None
    cost, whole = store.merge, store.merge.intervals["whole"]
    before, after = (100 * cost.stages[stage].ap.numbers["AP"] for stage in (STAGES[0], STAGES[-1]))
    if math.isnan(before):
        return [f"{_subject(store, comparison)}: mask AP is undefined, since the ground truth has no object."]
    change = _change("costs", "wins", whole)
    parts = [f"{_loss(-100 * cost.cost(stage))} {clause}" for stage, clause in _STAGE_CLAUSES.items()]
    lost = sum(count.lost for count in cost.outcomes.values())
    true = sum(count.true for count in cost.outcomes.values())
    said = (
        f"{_subject(store, comparison)} {change} mask AP: {before:.1f} of the instances, {after:.1f} of the things in "
    )
    said += f"the map. Step by step: {', '.join(parts[:-1])} and {parts[-1]}; {lost} of the {true} instances that had "
    sentences = [f"{said}found an object no longer do."]
    return [*sentences, _map_sentence(store)] if "panoptic_seg" in store.scores.results else sentences


def _doubts(store: Compared, comparison: Comparison) -> list[str]:
    ap = store.scores.results.get("segm", {}).get("AP", 100.0)
    if not ap < _SUSPICIOUS_AP:
        return []
    return [f"{store.name}: is {comparison.truth.name} the truth of these images? Mask AP is {ap:.2f}."]


def _loss(value: float) -> str:
    """Without a sign, since the sentence speaks of a cost; a gain is named as one."""
    return f"a gain of {-value:.1f}" if value <= -0.05 else f"{abs(value):.1f}"


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


def _map_sentence(store: Compared) -> str:
    numbers = store.scores.results["panoptic_seg"]
    pq, things, stuff = (_shown(numbers[name]) for name in ("PQ", "PQ_th", "PQ_st"))
    said = [f"In return there is one map with stuff: PQ {pq}, things {things}, stuff {stuff}."]
    if store.void is not None:
        said.append(f"{100 * store.void:.1f} % of its pixels belong to nothing.")
    if store.stuff is not None:
        raw, merged = (100 * s.numbers["mIoU"] for s in (store.stuff.raw_scores, store.stuff.panoptic_scores))
        said.append(f"Mean IoU goes from {_shown(raw)} to {_shown(merged)} ({store.stuff.interval.verdict}).")
    return " ".join([*said, *_gone(store)])


def _gone(store: Compared) -> list[str]:
    """Instances that found nothing, and do no harm any more: any threshold on scores does most of that."""
    outcomes = store.merge.outcomes if store.merge else {}
    false = {name: count.instances - count.true for name, count in outcomes.items() if name not in ("kept", "eroded")}
    by_score = false.pop("confidence", 0)
    if not by_score + sum(false.values()):
        return []
    return [
        f"Of the instances that found nothing {by_score} are gone by the confidence threshold, which needs no map, and "
        f"{sum(false.values())} by the merge."
    ]


def _difference_sentence(comparison: Comparison, name: str) -> str:
    """By verdict, and in the order of the table."""
    groups: dict[str, list[str]] = {}
    for metric, d in comparison.differences[name].items():
        bounds = "too few images for bounds" if math.isnan(d.low) else f"{d.low:+.1f} to {d.high:+.1f}"
        shown = metric if d.verdict == "unchanged" else f"{metric} {d.value:+.1f} ({bounds})"
        groups.setdefault(d.verdict, []).append(shown)
    parts = [f"{word} in {', '.join(groups[word])}" for word in _VERDICTS if word in groups]
    return f"{name} against {comparison.stores[0].name} is {'; '.join(parts)}."


def _shown(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.1f}"


# ---- tables ------------------------------------------------------------------------------------------------------


def _overview(comparison: Comparison) -> Table:
    cells = {store.name: _numbers(store) for store in comparison.stores}
    shown = [column for column in _COLUMNS if any(column in numbers for numbers in cells.values())]
    rows = [[name, *(numbers.get(column) for column in shown)] for name, numbers in cells.items()]
    draws, seed = comparison.options.draws, comparison.options.seed
    bounds = f"bounds in all tables: 95 % over {draws} draws of the images, seed {seed}"
    caution = [] if draws >= _FEW_DRAWS else [f"{draws} draws are too few for a firm verdict: 1000 are usual"]
    return Table(rows, ["percent", *shown], digits=2, footnotes=[bounds, *caution])


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
        "void": None if store.void is None else 100 * store.void,
        "notes": store.scores.notes,
    }


def _merge_record(store: Compared) -> dict[str, Any] | None:
    if store.merge is None:
        return None
    return merge_cost_record(store.merge, store.stuff) | {"lost": lost_instances(store)}
