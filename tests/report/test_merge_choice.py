"""What a tuning decides by: halves, the front, the things that are found, and whose AP is worth measuring."""

import numpy as np
import pytest

from thingstuff.errors import ConfigError, DataError
from thingstuff.report.merge_tuning import MOST_AP, TuningOptions, halves, interesting, pareto_front, thing_recall
from thingstuff.structures import Categories, Category

CATEGORIES = Categories(
    (Category(3, "cat"), Category(1, "sky", False), Category(7, "dog"), Category(5, "grass", False))
)


@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_halves_are_disjoint_seeded_and_in_order(count):
    ids = tuple(f"{n}.png" for n in range(count))
    one, other = halves(ids, 4)
    assert not set(one) & set(other)
    assert set(one) | set(other) == set(ids)
    assert len(one) == count // 2
    assert list(one) == [i for i in ids if i in one]
    assert (one, other) == halves(ids, 4)


def test_another_seed_halves_otherwise():
    assert halves(range(100), 0) != halves(range(100), 1)
    with pytest.raises(DataError, match="1 image cannot be halved"):
        halves((1,), 0)


def test_the_front_by_its_definition():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, (2, 40)).astype(float)
    points = list(zip(one, other, strict=True))
    surpassed = [any(p != q and q[0] >= p[0] and q[1] >= p[1] for q in points) for p in points]
    first = [points.index(p) == n for n, p in enumerate(points)]
    assert pareto_front(one, other).tolist() == [f and not s for f, s in zip(first, surpassed, strict=True)]
    assert pareto_front(np.array([1.0]), np.array([np.nan])).tolist() == [False]


def test_recall_weighs_with_iou_and_forgives_false_things():
    counts = np.zeros((1, 4, 4))
    counts[0, 0] = (2, 9, 2, 1.6)  # cat: 2 of 4 found
    counts[0, 1] = (1, 0, 0, 1)  # stuff does not count
    assert thing_recall(counts, CATEGORIES) == pytest.approx([1.6 / 4])  # a category without truth is left out
    counts[0, 2] = (0, 0, 3, 0)
    assert thing_recall(counts, CATEGORIES) == pytest.approx([(1.6 / 4 + 0) / 2])
    assert thing_recall(np.zeros((1, 4, 4)), CATEGORIES).tolist() == [0]


def test_ap_is_for_a_few_and_for_equal_things_once():
    rng = np.random.default_rng(1)
    pq, recall = rng.random((2, 300))
    chosen = interesting(pq, recall, list(range(300)), (0, 17))
    assert len(chosen) == len(set(chosen)) == MOST_AP
    assert {0, 17} <= set(chosen)
    assert interesting(np.array([1.0, 3, 2]), np.array([1.0, 1, 1]), ["same"] * 3, (0, 0)) == [0, 1]
    assert interesting(np.full(3, np.nan), np.zeros(3), [1, 2, 3], (0,)) == [0, 1, 2]


def test_bad_options_are_refused():
    with pytest.raises(ConfigError, match="--metric AP"):
        TuningOptions("AP")
    with pytest.raises(ConfigError, match="--workers 0"):
        TuningOptions(workers=0)
