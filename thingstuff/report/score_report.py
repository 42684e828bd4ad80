"""Everything that is said about one evaluation: tables for people, `results.json` and `results.csv` for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from thingstuff.evaluation.bootstrap import Difference, Interval
from thingstuff.files import whole_file, write_json
from thingstuff.report.ap_causes_table import ap_cause_records, ap_causes_table, confusions_table
from thingstuff.report.causes_table import cause_records, causes_table
from thingstuff.report.curves import best_thresholds
from thingstuff.report.error_bars import as_records, differences_table, intervals_table
from thingstuff.report.results_table import results_tables
from thingstuff.report.scores import Scores
from thingstuff.report.table import Table

SCHEMA = 1  # of results.json, raised when a key changes its meaning
_VERSIONS = ("thingstuff", "hotcoco", "pycocotools", "numpy")
_EXPLAINED_FIRST = ("segm", "bbox")  # of which one is shown; results.json has both
_INTERVAL_OF = {("bbox", "AP"): "box AP", ("segm", "AP"): "mask AP", ("keypoints", "AP"): "keypoint AP"} | {
    (task, name): name for task, name in (("sem_seg", "mIoU"), *(("panoptic_seg", n) for n in ("PQ", "PQ_th", "PQ_st")))
}


@dataclass(frozen=True)
class ScoreReport:
    """`predictions`, `ground_truth` and `compared_with` are names; `differences` are against the latter."""

    predictions: str
    ground_truth: str
    scores: Scores
    intervals: Mapping[str, Interval]
    compared_with: str | None = None
    differences: Mapping[str, Difference] = field(default_factory=dict)
    class_intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)  # by task
    settings: Mapping[str, Any] = field(default_factory=dict)  # what was asked for, for the record

    def tables(self) -> list[Table]:
        return [*results_tables(self.scores.results, self.scores.undefined), *self._explaining_tables()]

    def _explaining_tables(self) -> list[Table]:
        """How sure the numbers are, where they are lost, and how they compare."""
        scores, tables = self.scores, []
        if self.intervals:
            tables.append(intervals_table(self.intervals))
        for task in [task for task in _EXPLAINED_FIRST if task in scores.ap_causes][:1]:
            tables.append(ap_causes_table(scores.ap_causes[task]))
            if scores.ap_causes[task].largest_confusions(1):
                tables.append(confusions_table(scores.ap_causes[task]))
        if scores.panoptic_causes:
            tables.append(causes_table(scores.panoptic_causes, scores.has_ledger))
        if self.differences:
            tables.append(differences_table(self.differences))
        return tables

    def text(self) -> str:
        return "\n\n".join([*(table.text() for table in self.tables()), *self._notes()])

    def explanation(self) -> str:
        """The text without the numbers themselves."""
        return "\n\n".join([*(table.text() for table in self._explaining_tables()), *self._notes()])

    def markdown(self) -> str:
        title = f"# {self.predictions} on {self.ground_truth}"
        return "\n\n".join([title, *(table.markdown() for table in self.tables()), *self._notes()]) + "\n"

    def _notes(self) -> list[str]:
        return ["\n".join(self.scores.notes)] if self.scores.notes else []

    def write(self, path: Path) -> Path:
        """`results.json`: all numbers unrounded, in percent."""
        causes: dict[str, Any] = {task: ap_cause_records(found) for task, found in self.scores.ap_causes.items()}
        if self.scores.panoptic_causes:
            causes["panoptic_seg"] = cause_records(self.scores.panoptic_causes, self.scores.has_ledger)
        record = {
            "schema": SCHEMA,
            "predictions": self.predictions,
            "ground_truth": self.ground_truth,
            "results": {self.ground_truth: self.scores.results},
            "undefined": {task: reasons for task, reasons in self.scores.undefined.items() if reasons},
            "intervals": as_records(self.intervals),
            "class_intervals": {task: as_records(found) for task, found in self.class_intervals.items()},
            "compared_with": self.compared_with,
            "differences": as_records(self.differences),
            "causes": causes,
            "best_thresholds": {task: best_thresholds(curve) for task, curve in self.scores.curves.items()},
            "notes": self.scores.notes,
            "settings": dict(self.settings),
            "versions": {name: metadata.version(name) for name in _VERSIONS},
        }
        write_json(path, record)
        return path

    def write_csv(self, path: Path) -> Path:
        """One line a metric: task, metric, percent, its interval, and the difference to what was compared with."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["task", "metric", "percent", "low", "high", "difference", "from", "to", "verdict"])
        for task, metrics in self.scores.results.items():
            for metric, value in metrics.items():
                name = _INTERVAL_OF.get((task, metric), "")
                writer.writerow([task, metric, _number(value), *self._interval_cells(name)])
        with whole_file(path) as file:
            file.write(text.getvalue().encode())
        return path

    def _interval_cells(self, name: str) -> list[float | str]:
        interval, difference = self.intervals.get(name), self.differences.get(name)
        cells: list[float | str] = ["", ""] if interval is None else [_number(interval.low), _number(interval.high)]
        if difference is None:
            return [*cells, "", "", "", ""]
        numbers = (difference.value, difference.low, difference.high)
        return [*cells, *map(_number, numbers), difference.verdict]

    def write_markdown(self, path: Path) -> Path:
        with whole_file(path) as file:
            file.write(self.markdown().encode())
        return path


def _number(value: float) -> float | str:
    """Empty where undefined."""
    return "" if value != value else value
