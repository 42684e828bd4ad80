"""Better thresholds for the greedy rule: found on one half of stored predictions, and judged on the other half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation import CocoTruth, OwnResults, PanopticCounts, average_precision, read_coco_input
from thingstuff.evaluation.ap_bootstrap import coco_ap_metric
from thingstuff.evaluation.ap_matches import ap_matches
from thingstuff.evaluation.bootstrap import BlockMetric, Difference, compare
from thingstuff.evaluation.coco_input import CocoInput
from thingstuff.merge import Greedy
from thingstuff.report.error_bars import in_percent
from thingstuff.report.merge_grid import MergeGrid
from thingstuff.report.merge_images import Crew, Id, StoredImages, counts_of, things_by_rule
from thingstuff.report.panoptic_scores import pq_metrics
from thingstuff.structures import Categories

METRICS = ("PQ", "PQ_th", "PQ_st")
MOST_AP = 24  # AP costs as much as many merges, so no more combinations get it
_TIED = 1e-9  # percent

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TuningData:
    """Stored images, and the truth of their instances, without which there is no AP."""

    images: StoredImages
    instances: CocoTruth | None = None
    category_ids: Mapping[int, int] = field(default_factory=dict)  # of things, where the instances' truth has others


@dataclass(frozen=True)
class TuningOptions:
    """`metric` chooses the best. `seed` is that of the halves and of the draws for the intervals."""

    metric: str = "PQ"
    workers: int = 1
    seed: int = 0
    draws: int = 1000

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ConfigError(f"--metric {self.metric}: expected one of {', '.join(METRICS)}")
        if self.workers < 1:
            raise ConfigError(f"--workers {self.workers}: expected 1 or more")


@dataclass(frozen=True, eq=False)
class Tried:
    """A combination on the tuning images, in percent; `ap` is that of the map's things, where it was measured."""

    rule: Greedy
    quality: Mapping[str, float]
    ap: float | None = None


@dataclass(frozen=True, eq=False)
class Held:
    """One metric on the images held back, in percent, by the present rule and by the best one, and the difference."""

    present: float
    best: float
    difference: Difference


@dataclass(frozen=True, eq=False)
class MergeTuning:
    """`tried` begins with the present rule; `best` is a place in it. `held` is empty if the present rule is best."""

    options: TuningOptions
    tried: tuple[Tried, ...]
    best: int
    tuning_ids: tuple[Id, ...]
    held_ids: tuple[Id, ...]
    held: Mapping[str, Held]

    @property
    def present_rule(self) -> Greedy:
        return self.tried[0].rule

    @property
    def best_rule(self) -> Greedy:
        return self.tried[self.best].rule

    @cached_property
    def front(self) -> tuple[int, ...]:
        """Places of those that no other surpasses in PQ or AP without falling behind in the other, by rising AP."""
        measured = [n for n, one in enumerate(self.tried) if one.ap is not None]
        ap = np.array([self.tried[n].ap for n in measured], np.float64)
        pq = np.array([self.tried[n].quality["PQ"] for n in measured])
        chosen = [n for n, on_front in zip(measured, pareto_front(ap, pq), strict=True) if on_front]
        return tuple(sorted(chosen, key=lambda n: self.tried[n].ap or 0.0))


def tune_merge(data: TuningData, present: Greedy, grid: MergeGrid, options: TuningOptions) -> MergeTuning:
    """Try the grid on half of the images, a random one, and compare the best with `present` on the other half.

    Of equals in the metric and in PQ the present rule is best, and then the first. AP is measured of at most `MOST_AP`
    combinations: the present rule, the best, and those nearest the front of PQ against `thing_recall`, which goes with
    AP and costs nothing.
    """
    with Crew(data.images, options.workers) as crew:
        return _tune(data, grid.rules(present), options, crew)


def halves(image_ids: Sequence[Id], seed: int) -> tuple[tuple[Id, ...], tuple[Id, ...]]:
    """Two random halves in the order of the images; of an odd number, the second has one more."""
    if len(image_ids) < 2:
        raise DataError(f"{len(image_ids)} image cannot be halved: tuning needs at least two, and better hundreds")
    first = set(np.random.default_rng(seed).permutation(len(image_ids))[: len(image_ids) // 2].tolist())
    tuning = tuple(one for n, one in enumerate(image_ids) if n in first)
    return tuning, tuple(one for n, one in enumerate(image_ids) if n not in first)


def thing_recall(counts: FloatArray, categories: Categories) -> FloatArray:
    """R x C x 4 counts -> R: IoU of true things, 0 for those that are missed, as a mean over the categories.

    Like AP, and unlike PQ, it forgives false things: those score low, so that AP ranks them last.
    """
    things = counts[:, [category.isthing for category in categories.all]]
    true = things[..., 0] + things[..., 2]
    recall = things[..., 3] / np.maximum(true, 1)
    return np.asarray(recall.sum(axis=1) / np.maximum((true > 0).sum(axis=1), 1))


def pareto_front(one: FloatArray, other: FloatArray) -> BoolArray:
    """N: which no other equals or surpasses in both values; of twins, the first."""
    order = np.lexsort((np.arange(len(one)), -other, -one))
    on_front, highest = np.zeros(len(one), np.bool_), -np.inf
    for place in order.tolist():
        if other[place] > highest:
            on_front[place], highest = True, other[place]
    return on_front


def interesting(
    pq: FloatArray, recall: FloatArray, thing_thresholds: Sequence[object], always: Sequence[int]
) -> list[int]:
    """N combinations -> places of at most `MOST_AP` that are worth an AP: `always`, and front behind front.

    Of those with equal `thing_thresholds`, which leave the same things, only the one with the highest PQ is.
    """
    pq = np.nan_to_num(pq, nan=-1)
    best_of = {thing_thresholds[n]: n for n in np.argsort(pq, kind="stable").tolist()}
    left = np.array(sorted(set(best_of.values()) - set(always)), np.int64)
    chosen = list(dict.fromkeys(always))
    while left.size and len(chosen) < MOST_AP:
        on_front = pareto_front(recall[left], pq[left])
        chosen += _evenly(left[on_front], recall, MOST_AP - len(chosen))
        left = left[~on_front]
    return sorted(chosen)


def _evenly(places: npt.NDArray[np.int64], recall: FloatArray, most: int) -> list[int]:
    ordered = places[np.argsort(recall[places], kind="stable")]
    steps = np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(int)
    return [int(place) for place in ordered[steps]]


def _tune(data: TuningData, rules: Sequence[Greedy], options: TuningOptions, crew: Crew) -> MergeTuning:
    """The first of the rules is the present one."""
    tuning_ids, held_ids = halves(tuple(data.images.keys), options.seed)
    counts = np.zeros((len(rules), len(data.images.truth.categories), 4))
    for found in counts_of(crew, tuning_ids, rules):
        counts += found.each()
    categories = data.images.truth.categories
    qualities = [_quality(one, categories) for one in counts]
    best = _best(qualities, options.metric)
    pq = np.array([quality["PQ"] for quality in qualities])
    chosen = interesting(pq, thing_recall(counts, categories), [_thing_thresholds(rule) for rule in rules], (0, best))
    ap = dict(zip(chosen, _ap(data, tuning_ids, [rules[n] for n in chosen], crew), strict=True))
    tried = tuple(Tried(rule, qualities[n], ap.get(n)) for n, rule in enumerate(rules))
    held = _compare(data, held_ids, (rules[0], rules[best]), options, crew) if best else {}
    return MergeTuning(options, tried, best, tuning_ids, held_ids, held)


def _quality(counts: FloatArray, categories: Categories) -> dict[str, float]:
    tp, fp, fn = counts.T[:3].astype(np.int64)
    percent = PanopticCounts(categories, tp, fp, fn, counts[:, 3]).scores().percent()
    return {name: percent[name] for name in METRICS}


def _best(qualities: Sequence[Mapping[str, float]], metric: str) -> int:
    if all(np.isnan(quality[metric]) for quality in qualities):
        raise DataError(f"{metric} is undefined: the tuning images have no segment for it: choose another --metric")
    chosen = list(range(len(qualities)))
    for name in (metric, "PQ"):
        highest = np.nanmax([qualities[n][name] for n in chosen])
        chosen = [n for n in chosen if qualities[n][name] >= highest - _TIED]
    return chosen[0]


# ---- AP ----------------------------------------------------------------------------------------------------------


def _ap(data: TuningData, image_ids: Sequence[Id], rules: Sequence[Greedy], crew: Crew) -> list[float | None]:
    """Mask AP of each rule's things in percent; rules that differ in their stuff only leave the same."""
    if data.instances is None:
        return [None] * len(rules)
    different = {_thing_thresholds(rule): rule for rule in rules}
    inputs = _coco_inputs(data, image_ids, list(different.values()), crew)
    found = [100 * average_precision(one).numbers["AP"] for one in inputs]
    ap = {pair: None if np.isnan(value) else value for pair, value in zip(different, found, strict=True)}
    return [ap[_thing_thresholds(rule)] for rule in rules]


def _thing_thresholds(rule: Greedy) -> tuple[float, float]:
    """What decides about things."""
    return rule.instances_confidence_thresh, rule.overlap_thresh


def _coco_inputs(data: TuningData, image_ids: Sequence[Id], rules: Sequence[Greedy], crew: Crew) -> list[CocoInput]:
    assert data.instances is not None
    inputs = []
    for records in things_by_rule(crew, image_ids, rules):
        moved = [{**r, "category_id": data.category_ids.get(r["category_id"], r["category_id"])} for r in records]
        inputs.append(read_coco_input(data.instances, OwnResults(moved), "segm", image_ids))
    return inputs


# ---- the images held back ----------------------------------------------------------------------------------------


def _compare(
    data: TuningData, image_ids: Sequence[Id], rules: tuple[Greedy, Greedy], options: TuningOptions, crew: Crew
) -> dict[str, Held]:
    """The second of two rules against the first."""
    counts = np.stack([found.each() for found in counts_of(crew, image_ids, rules)])
    pairs = [pq_metrics(counts[:, n], data.images.truth.categories) for n in (0, 1)]
    metrics = {name: [one[name] for one in pairs] for name in METRICS}
    if data.instances is not None:
        metrics["AP"] = [coco_ap_metric(ap_matches(one)) for one in _coco_inputs(data, image_ids, rules, crew)]
    return {name: _held(pair, len(image_ids), options) for name, pair in metrics.items()}


def _held(metrics: Sequence[BlockMetric], images: int, options: TuningOptions) -> Held:
    present, best = (in_percent(metric) for metric in metrics)
    every = np.ones(images, np.int64)
    return Held(present(every), best(every), compare(best, present, images, draws=options.draws, seed=options.seed))
