"""What limits the AP, the largest cause first, and which classes are taken for which."""

from __future__ import annotations

import math
from typing import Any

from thingstuff.evaluation.ap_causes import CAUSES, SUMS, ApCauses
from thingstuff.report.results_table import TASK_TITLES
from thingstuff.report.table import Table

_WORDS = {
    "class": "the right place, the wrong class",
    "localisation": "the right class, too little overlap",
    "both": "the wrong class and too little overlap",
    "duplicate": "objects found once more",
    "background": "detections of nothing",
    "missed": "found by nothing",
    "false_positives": "all false detections",
    "false_negatives": "all objects not found",
}
_MOST_NAMES = 5


def ap_causes_table(causes: ApCauses) -> Table:
    """What AP would win were one cause mended and all else left, in points; below, all false and all missing ones."""
    ap = f"AP{100 * causes.iou_thresh:g}"
    # rounded and + 0.0, lest a rounding error below zero is shown as -0.00
    rows = [[_WORDS[c], round(100 * causes.gains[c], 2) + 0.0, causes.counts[c]] for c in _by_gain(causes)]
    footnotes = [f"{ap} is {100 * causes.ap:.2f}; each as if it alone were mended: the gains do not add up"]
    if math.isnan(causes.ap):
        footnotes = [f"{ap} is undefined: there are no objects in the truth"]
    if causes.never_found:
        footnotes.append(f"AP 0 even without the missed objects, as none is found: {_some(causes.never_found)}")
    return Table(
        rows, [f"{TASK_TITLES[causes.iou_type]} {ap} lost by", "points", "count"], digits=2, footnotes=footnotes
    )


def confusions_table(causes: ApCauses, n: int = 5) -> Table:
    """The `n` pairs of classes that are confused most, with the percentage of the true class."""
    objects = dict(zip(causes.category_names, causes.confusion[:-1].sum(axis=1).tolist(), strict=True))
    rows = [[true, found, count, 100 * count / objects[true]] for true, found, count in causes.largest_confusions(n)]
    footnote = f"detections with score >= {causes.min_score:g} on objects with IoU >= {causes.iou_thresh:g}"
    return Table(rows, ["class", "taken for", "objects", "%"], align="llrr", digits=1, footnotes=[footnote])


def ap_cause_records(causes: ApCauses) -> dict[str, Any]:
    """For JSON: gains in percent and counts by cause, largest first, and the confusion matrix as nested lists.

    The matrix has truth in rows and predictions in columns, in the order of `names` and then background.
    """
    return {
        "iou_type": causes.iou_type,
        "iou_thresh": causes.iou_thresh,
        "ap": 100 * causes.ap,
        "causes": {c: {"gain": 100 * causes.gains[c], "count": causes.counts[c]} for c in _by_gain(causes)},
        "never_found": list(causes.never_found),
        "confusion": {
            "min_score": causes.min_score,
            "names": list(causes.category_names),
            "counts": causes.confusion.tolist(),
        },
    }


def _by_gain(causes: ApCauses) -> list[str]:
    """Largest first, then the two sums; undefined ones keep their order."""
    return [*sorted(CAUSES, key=lambda cause: -causes.gains[cause]), *SUMS]


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
