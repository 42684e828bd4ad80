"""What a merge costs, as tables for people and as a record for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from thingstuff.evaluation.bootstrap import Difference
from thingstuff.evaluation.merge_cost import STAGES, MergeCost
from thingstuff.evaluation.semantic import SemanticScores
from thingstuff.evaluation.stuff_cost import StuffCost
from thingstuff.report.results_table import TASK_TITLES
from thingstuff.report.table import Table

_STAGE_WORDS = {
    "instances": "all instances",
    "confidence": "- those below the confidence threshold",
    "overlap": "- those that others cover",
    "panoptic": "- pixels that others took",
}
_OUTCOME_WORDS = {
    "kept": "kept whole",
    "eroded": "eroded",
    "confidence": "dropped: score below the threshold",
    "overlap": "dropped: too much of it covered",
    "covered": "dropped: nothing of it left",
    "empty": "dropped: empty mask",
}
_SIZES = {"small": ("APs", "small objects"), "medium": ("APm", "medium objects"), "large": ("APl", "large objects")}


def merge_cost_tables(cost: MergeCost, stuff: StuffCost | None = None) -> list[Table]:
    """In percent: AP by stage, by size and category, then what became of the instances, and IoU of stuff if known."""
    tables = [_stages_table(cost), _parts_table(cost), _outcomes_table(cost)]
    return [*tables, _stuff_table(stuff)] if stuff else tables


def merge_cost_record(cost: MergeCost, stuff: StuffCost | None = None) -> dict[str, Any]:
    """For JSON, in percent."""
    record = {
        "iou_type": cost.iou_type,
        "stages": {stage: _stage_record(cost, stage) for stage in STAGES},
        "whole": _interval_record(cost.intervals["whole"]),
        "by_category": _interval_records(cost.category_intervals),
        "by_size": _interval_records(cost.size_intervals),
        "instances": {name: asdict(count) for name, count in cost.outcomes.items()},
    }
    return record | {"stuff": _stuff_record(stuff)} if stuff else record


def _stages_table(cost: MergeCost) -> Table:
    title = f"{TASK_TITLES[cost.iou_type]} AP"
    rows: list[list[Any]] = []
    for stage in STAGES:
        change = cost.intervals.get(stage)
        bounds = [None] * 3 if change is None else [cost.cost(stage), change.low, change.high]
        rows.append([_STAGE_WORDS[stage], *_percent(cost.stages[stage].ap.numbers["AP"], *bounds)])
    whole = cost.intervals["whole"]
    rows.append(["the whole merge", None, *_percent(cost.whole_cost(), whole.low, whole.high)])
    return Table(
        rows,
        ["stage", title, "cost", "95 % from", "to"],
        align="lrrrr",
        digits=2,
        footnotes=[
            "cost: AP minus that of the stage before, a loss is below 0; bounds for other images of the same kind",
            "AP forgives what scores low, so a confidence threshold can only lower it",
        ],
    )


def _parts_table(cost: MergeCost) -> Table:
    before, after = cost.stages[STAGES[0]].ap, cost.stages[STAGES[-1]].ap
    rows = [
        [words, *_pair(before.numbers[number], after.numbers[number]), *_bounds(cost.size_intervals[size])]
        for size, (number, words) in _SIZES.items()
    ]
    for name, value in before.per_category.items():
        rows.append([name, *_pair(value, after.per_category[name]), *_bounds(cost.category_intervals[name])])
    headers = [f"{TASK_TITLES[cost.iou_type]} AP", "instances", "panoptic", "difference", "95 % from", "to"]
    return Table(rows, headers, align="lrrrrr", digits=2)


def _outcomes_table(cost: MergeCost) -> Table:
    counts = cost.outcomes.items()
    rows = [[_OUTCOME_WORDS.get(name, f"dropped: {name}"), c.instances, c.true, c.lost] for name, c in counts]
    note = "true: one of all instances that finds an object (IoU 0.50); lost: in the panoptic map it finds none"
    return Table(rows, ["merge", "instances", "true ones", "true ones lost"], align="lrrr", footnotes=[note])


def _stuff_table(stuff: StuffCost) -> Table:
    before, after, found = stuff.raw_scores, stuff.panoptic_scores, stuff.interval
    mean = _pair(before.numbers["mIoU"], after.numbers["mIoU"])
    rows = [["mIoU", *mean, *_bounds(found)]]
    for name, value in before.iou.items():
        rows.append([name, *_pair(value, after.iou[name]), *_bounds(stuff.class_intervals[name])])
    headers = ["IoU", "stuff map", "panoptic", "difference", "95 % from", "to"]
    note = "things: in the stuff map where the model of stuff sees one, in the panoptic map where an instance is"
    return Table(rows, headers, align="lrrrrr", digits=2, footnotes=[note])


def _pair(before: float, after: float) -> list[float | None]:
    return _percent(before, after, after - before)


def _bounds(found: Difference) -> list[float | None]:
    return _percent(found.low, found.high)


def _percent(*values: float | None) -> list[float | None]:
    """Rounded, and + 0.0, lest a rounding error below zero is shown as -0.00."""
    return [None if value is None else round(100 * value, 2) + 0.0 for value in values]


def _stage_record(cost: MergeCost, stage: str) -> dict[str, Any]:
    found = cost.stages[stage]
    record: dict[str, Any] = {
        "detections": found.detections,
        "numbers": {name: 100 * value for name, value in found.ap.numbers.items()},
        "per_category": {name: 100 * value for name, value in found.ap.per_category.items()},
    }
    change = cost.intervals.get(stage)
    return record if change is None else record | {"cost": _interval_record(change)}


def _interval_records(found: Mapping[str, Difference]) -> dict[str, Any]:
    return {name: _interval_record(one) for name, one in found.items()}


def _interval_record(found: Difference) -> dict[str, Any]:
    percent = {name: 100 * getattr(found, name) for name in ("value", "low", "high")}
    return percent | {"verdict": found.verdict}


def _stuff_record(stuff: StuffCost) -> dict[str, Any]:
    maps = {"stuff_map": stuff.raw_scores, "panoptic": stuff.panoptic_scores}
    costs = {"cost": _interval_record(stuff.interval), "by_class": _interval_records(stuff.class_intervals)}
    return {name: _iou_record(scores) for name, scores in maps.items()} | costs


def _iou_record(scores: SemanticScores) -> dict[str, Any]:
    per_class = {name: 100 * value for name, value in scores.iou.items()}
    return {"mIoU": 100 * scores.numbers["mIoU"], "per_class": per_class}
