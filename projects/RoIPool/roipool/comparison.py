"""The scores of all runs, and the differences of each variant from the baseline over the seeds that both have."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from roipool.paired import PairedDifference, paired_difference
from roipool.scores import TASKS, Scores
from roipool.variants import BASELINE, Variant


@dataclass(frozen=True)
class Comparison:
    """`variants` in the order of their rows, the baseline first, and the scores by variant and seed."""

    variants: tuple[Variant, ...]
    scores: dict[str, dict[int, Scores]]

    @classmethod
    def of(cls, scores: Sequence[Scores], variants: Sequence[Variant]) -> Comparison:
        by_name: dict[str, dict[int, Scores]] = {}
        for each in sorted(scores, key=lambda one: one.seed):
            by_name.setdefault(each.variant, {})[each.seed] = each
        return cls(tuple(variant for variant in variants if variant.name in by_name), by_name)

    def seeds(self, name: str) -> list[int]:
        return list(self.scores.get(name, ()))

    def values(self, name: str, task: str, metric: str) -> list[float]:
        """In percent, one a seed."""
        return [scores.tasks[task][metric] for scores in self.scores[name].values()]

    def mean(self, name: str, task: str, metric: str) -> float:
        return statistics.fmean(self.values(name, task, metric))

    def train_seconds(self, name: str) -> float:
        return statistics.fmean(scores.train_seconds for scores in self.scores[name].values())

    def difference(self, name: str, task: str, metric: str) -> PairedDifference | None:
        """`name` minus the baseline in points of AP; None of the baseline itself, and where no seed is shared."""
        own, base = self.scores[name], self.scores[BASELINE]
        shared = [seed for seed in own if seed in base]
        if name == BASELINE or not shared:
            return None
        return paired_difference(*([of[seed].tasks[task][metric] for seed in shared] for of in (own, base)))

    def as_json(self) -> dict[str, Any]:
        """Variant -> its runs, and task -> metric -> mean and difference from the baseline."""
        return {variant.name: self._of_variant(variant) for variant in self.variants}

    def _of_variant(self, variant: Variant) -> dict[str, Any]:
        runs = list(self.scores[variant.name].values())
        tasks = {
            task: {metric: self._of_metric(variant.name, task, metric) for metric in runs[0].tasks[task]}
            for task in TASKS
        }
        return {"title": variant.title, "tasks": tasks, "runs": [asdict(run) for run in runs]}

    def _of_metric(self, name: str, task: str, metric: str) -> dict[str, Any]:
        difference = self.difference(name, task, metric)
        minus = None if difference is None else asdict(difference)
        return {"mean": self.mean(name, task, metric), "minus_baseline": minus}
