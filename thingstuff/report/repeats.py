"""Repeats of one experiment with several seeds: the mean, the spread and every run, for each headline number."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thingstuff.files import write_json
from thingstuff.report.results_table import headline
from thingstuff.report.table import text_table

Runs = Mapping[int, Mapping[str, Mapping[str, Any]]]  # seed -> data set -> task -> metrics


def spread(runs: Runs) -> dict[str, dict[str, dict[str, Any]]]:
    """Data set -> headline number -> mean, sample standard deviation (None for one run), lowest, highest, by seed."""
    by_set: dict[str, dict[str, dict[str, Any]]] = {}
    for name in next(iter(runs.values())):
        numbers = {seed: headline(results[name]) for seed, results in runs.items()}
        by_set[name] = {
            metric: _summary({s: n[metric] for s, n in numbers.items()}) for metric in numbers[min(numbers)]
        }
    return by_set


def _summary(values: dict[int, float | None]) -> dict[str, Any]:
    defined = [v for v in values.values() if v is not None]
    if not defined:
        return {"mean": None, "std": None, "min": None, "max": None, "by_seed": values}
    deviation = statistics.stdev(defined) if len(defined) > 1 else None
    return {
        "mean": statistics.fmean(defined),
        "std": deviation,
        "min": min(defined),
        "max": max(defined),
        "by_seed": values,
    }


def repeats_table(runs: Runs) -> str:
    rows = [
        [name, metric, s["mean"], s["std"], s["min"], s["max"], ", ".join(map(str, s["by_seed"]))]
        for name, metrics in spread(runs).items()
        for metric, s in metrics.items()
    ]
    headers = ["data set", "percent", "mean", "std", "lowest", "highest", "seeds"]
    return text_table(rows, headers, align="llrrrrl", digits=2)


def write_repeats(folder: Path, runs: Runs) -> Path:
    path = folder / "repeats.json"
    write_json(path, spread(runs))
    return path
