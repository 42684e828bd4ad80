"""Precision over recall: all curves as a file, and the score threshold that suits each class."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from thingstuff.evaluation.ap_curves import PrecisionRecall
from thingstuff.files import whole_file
from thingstuff.report.results_table import TASK_TITLES
from thingstuff.report.table import Table


def best_thresholds(curves: PrecisionRecall, iou: float = 0.5) -> dict[str, dict[str, float]]:
    """For each class the score with the highest F1, and what it gives in percent."""
    points = {name: curves.best_f1(name, iou) for name in curves.categories}
    return {
        name: {"score": p.score, "precision": 100 * p.precision, "recall": 100 * p.recall, "f1": 100 * p.f1}
        for name, p in points.items()
    }


def thresholds_table(task: str, curves: PrecisionRecall, iou: float = 0.5) -> Table:
    """For each class the score from which on precision and recall are in balance (highest F1)."""
    rows = [[name, *point.values()] for name, point in best_thresholds(curves, iou).items()]
    headers = [f"{TASK_TITLES[task]}: best threshold of", "score", "precision", "recall", "F1"]
    footnote = f"the score threshold with the highest F1 at IoU {iou:g}; recall is known to a hundredth"
    return Table(rows, headers, digits=2, footnotes=[footnote])


def write_curves(path: Path, curves: Mapping[str, PrecisionRecall]) -> Path:
    """One line a point: task, IoU, category, recall, precision, score; curves without truth are left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["task", "iou", "category", "recall", "precision", "score"])
    for task, curve in curves.items():
        for row, iou in enumerate(curve.iou_threshs.tolist()):
            for column, name in enumerate(curve.categories):
                points = (curve.recalls, curve.precision[row, :, column], curve.scores[row, :, column])
                for recall, precision, score in zip(*(values.tolist() for values in points), strict=True):
                    if not math.isnan(precision):
                        shown = "" if math.isnan(score) else score
                        writer.writerow([task, f"{iou:.2f}", name, f"{recall:.2f}", precision, shown])
    with whole_file(path) as file:
        file.write(text.getvalue().encode())
    return path
