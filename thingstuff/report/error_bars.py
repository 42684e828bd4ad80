"""How sure a score is: 95 % intervals over images, and the verdict of a comparison, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from thingstuff.errors import DataError
from thingstuff.evaluation.bootstrap import BlockMetric, Difference, Interval, bootstrap, compare
from thingstuff.progress import watched
from thingstuff.report.scores import Sample
from thingstuff.report.table import Table


def intervals(samples: Mapping[str, Sample], draws: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Metric -> its interval in percent, were other images of the same kind drawn."""
    found = {}
    for name in watched(samples, "error bars"):
        sample = samples[name]
        found[name] = bootstrap(in_percent(sample.metric), len(sample.image_ids), draws=draws, seed=seed)
    return found


def class_intervals(
    samples: Mapping[str, Mapping[str, Sample]], draws: int = 1000, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Task -> class -> the interval of its AP or PQ in percent."""
    return {
        task: {
            name: bootstrap(in_percent(one.metric), len(one.image_ids), draws=draws, seed=seed)
            for name, one in watched(list(own.items()), f"error bars of classes, {task}")
        }
        for task, own in samples.items()
    }


def differences(
    samples: Mapping[str, Sample], others: Mapping[str, Sample], draws: int, seed: int
) -> dict[str, Difference]:
    """Metric -> this minus the other in percent, on the same images, for the metrics that both have."""
    shared = [name for name in samples if name in others]
    if not shared:
        have = " and ".join(", ".join(each) or "no metric with error bars" for each in (samples, others))
        raise DataError(f"nothing to compare: the two predictions have {have}")
    found = {}
    for name in watched(shared, "differences"):
        one, other = samples[name], others[name]
        others_alone = set(one.image_ids) ^ set(other.image_ids)
        if others_alone:
            some = min(others_alone, key=str)
            raise DataError(
                f"{name}: the two predictions are of other images: {some!r} is in one alone ({len(others_alone)} such "
                "images): predict the same images with both"
            )
        baseline = _reordered(other, one.image_ids)
        metrics = (in_percent(one.metric), in_percent(baseline))
        found[name] = compare(*metrics, len(one.image_ids), draws=draws, seed=seed)
    return found


def intervals_table(found: Mapping[str, Interval]) -> Table:
    rows = [[name, i.value, i.low, i.high] for name, i in found.items()]
    return Table(rows, ["percent", "value", "95 % from", "to"], digits=2)


def differences_table(found: Mapping[str, Difference]) -> Table:
    rows = [[name, d.value, d.low, d.high, d.verdict] for name, d in found.items()]
    return Table(rows, ["this minus the other", "difference", "95 % from", "to", "verdict"], digits=2)


def as_records(found: Mapping[str, Interval | Difference]) -> dict[str, dict[str, object]]:
    """For JSON."""
    return {name: asdict(one) for name, one in found.items()}


def in_percent(metric: BlockMetric) -> BlockMetric:
    """The same metric, a hundred times."""
    return BlockMetric(lambda weights: 100 * metric.values(weights))


def _reordered(sample: Sample, image_ids: tuple[int | str, ...]) -> BlockMetric:
    """The metric with its images in this order."""
    place = {image_id: number for number, image_id in enumerate(image_ids)}
    columns = np.array([place[image_id] for image_id in sample.image_ids])
    return BlockMetric(lambda weights: sample.metric.values(weights[:, columns]))
