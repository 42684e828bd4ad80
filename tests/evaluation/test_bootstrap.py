"""Bootstrap intervals: the value itself, pairing, undefined draws, and the ready metrics against the counts' scores."""

import math

import numpy as np
import pytest

from thingstuff.evaluation import PanopticCounts, SemanticCounts
from thingstuff.evaluation import bootstrap as module
from thingstuff.evaluation.bootstrap import (
    BlockMetric,
    Interval,
    bootstrap,
    compare,
    panoptic_pq,
    semantic_iou,
    semantic_miou,
)
from thingstuff.structures import Categories, Category

IMAGES = 30
CLASSES = 4


def mean_of(values):
    """The mean over the drawn images of one number an image."""
    return lambda weights: float(weights @ values / weights.sum())


def noise(seed=0):
    return np.random.default_rng(seed).normal(size=IMAGES)


def random_confusions(seed=0, present=0.5):
    """Images x (C + 1) x (C + 1) in which a class is missing from many images, "no class" on both sides included."""
    rng = np.random.default_rng(seed)
    confusions = rng.integers(0, 1000, (IMAGES, CLASSES + 1, CLASSES + 1))
    return confusions * (rng.random((IMAGES, 1, CLASSES + 1)) < present)


def random_segments(seed=0):
    """Images x C x (tp, fp, fn, iou_sum)."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.4, (IMAGES, CLASSES, 3))
    return np.concatenate([counts, counts[:, :, :1] * rng.uniform(0.5, 1, (IMAGES, CLASSES, 1))], axis=2)


def scored_miou(confusion):
    names = [f"class {index}" for index in range(len(confusion) - 1)]
    return SemanticCounts(tuple(names), 255, confusion).scores().numbers["mIoU"]


def scored_pq(columns):
    categories = Categories(tuple(Category(row + 1, f"class {row}", True) for row in range(len(columns))))
    tp, fp, fn = columns[:, :3].T.astype(np.int64)
    return PanopticCounts(categories, tp, fp, fn, columns[:, 3]).scores().numbers["PQ"]


READY = {"miou": (semantic_miou, random_confusions, scored_miou), "pq": (panoptic_pq, random_segments, scored_pq)}


@pytest.mark.parametrize("name", READY)
def test_value_and_every_draw_are_the_scores_of_the_summed_counts(name):
    ready, counts_of, scored = READY[name]
    counts = counts_of()
    metric = ready(counts)
    assert bootstrap(metric, IMAGES, draws=2).value == pytest.approx(scored(counts.sum(axis=0)), rel=1e-12)
    weights = np.random.default_rng(1).multinomial(3, np.full(IMAGES, 1 / IMAGES), 50)  # few: classes are missing
    expected = [scored(np.tensordot(row, counts, 1)) for row in weights]
    np.testing.assert_allclose(metric.values(weights), expected, rtol=1e-12)


@pytest.mark.parametrize("name", READY)
def test_nothing_counted_is_nan(name):
    ready, counts_of, _ = READY[name]
    assert math.isnan(ready(np.zeros_like(counts_of()))(np.ones(IMAGES, np.int64)))
    empty = bootstrap(ready(counts_of()[:0]), 0)
    assert np.isnan([empty.value, empty.low, empty.high]).all()


def test_a_class_only_predicted_counts_in_pq_and_not_in_miou():
    pixels = np.array([[[6, 0, 0], [2, 0, 0], [0, 0, 0]]])  # two of eight pixels of class 0 are taken for class 1
    assert semantic_miou(pixels)(np.ones(1, np.int64)) == 6 / 8
    segments = np.array([[[1, 0, 0, 0.8], [0, 1, 0, 0], [0, 0, 0, 0]]])
    assert panoptic_pq(segments)(np.ones(1, np.int64)) == (0.8 + 0) / 2


def test_pixels_without_a_prediction_or_a_truth():
    pixels = np.array([[[5, 7], [3, 9]]])  # 3 missed; 7 predicted where the truth has no class
    assert semantic_miou(pixels)(np.ones(1, np.int64)) == 5 / 8


def test_a_metric_of_rows_is_the_metric_of_blocks():
    values = noise()
    blocks = BlockMetric(lambda weights: weights @ values / weights.sum(axis=1))
    rows, at_once = bootstrap(mean_of(values), IMAGES), bootstrap(blocks, IMAGES)
    assert [rows.value, rows.low, rows.high] == pytest.approx([at_once.value, at_once.low, at_once.high])
    assert rows.value == pytest.approx(values.mean())


def test_bounds_are_the_quantiles_of_a_resampled_mean():
    """Against the normal approximation, which a mean of 400 values follows."""
    values = np.random.default_rng(0).normal(size=400)
    interval = bootstrap(mean_of(values), 400, draws=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert [interval.low, interval.high] == pytest.approx([values.mean() - half, values.mean() + half], abs=half / 10)


def test_weights_are_counts_of_the_drawn_images():
    seen = []

    def metric(weights):
        seen.append(weights)
        assert weights.dtype == np.int64
        assert not weights.flags.writeable
        return 0.0

    bootstrap(metric, 7, draws=300)
    assert len(seen) == 301
    assert seen[0].tolist() == [1] * 7
    assert all(row.shape == (7,) and row.sum() == 7 and row.min() >= 0 for row in seen)
    assert np.mean(seen[1:], axis=0) == pytest.approx(np.ones(7), abs=0.3)


def test_the_iou_of_one_class_is_that_of_the_summed_counts():
    confusions = random_confusions()
    draws = np.random.default_rng(1).multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=3)
    for place in range(confusions.shape[1] - 1):
        values = semantic_iou(confusions, place).values(draws)
        for value, weights in zip(values, draws, strict=True):
            total = np.einsum("i,ijk->jk", weights, confusions)
            union = total[place, :-1].sum() + total[:, place].sum() - total[place, place]
            assert value == pytest.approx(total[place, place] / union)


def test_equal_seeds_give_equal_intervals():
    metric = mean_of(noise())
    assert bootstrap(metric, IMAGES, seed=3) == bootstrap(metric, IMAGES, seed=3)
    assert bootstrap(metric, IMAGES, seed=3) != bootstrap(metric, IMAGES, seed=4)


@pytest.mark.parametrize("block_draws", [1, 7, 1000])
def test_blocks_do_not_change_the_draws(monkeypatch, block_draws):
    whole = np.concatenate(list(module._weights(IMAGES, 50, seed=0)))
    monkeypatch.setattr(module, "_BLOCK_DRAWS", block_draws)
    assert np.array_equal(np.concatenate(list(module._weights(IMAGES, 50, seed=0))), whole)


def test_blocks_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 8 * IMAGES * 10)
    assert [len(block) for block in module._weights(IMAGES, 25, seed=0)] == [10, 10, 5]
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)
    assert [len(block) for block in module._weights(IMAGES, 3, seed=0)] == [1, 1, 1]


def test_the_difference_of_a_thing_with_itself_is_nothing():
    metric = semantic_miou(random_confusions())
    difference = compare(metric, metric, IMAGES)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert difference.verdict == "unchanged"


def test_rounding_is_no_difference():
    values = 1 + 0.1 * noise() ** 2
    difference = compare(mean_of(values * (1 + 1e-15)), mean_of(values), IMAGES)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert difference.verdict == "unchanged"


def test_a_small_steady_improvement_is_seen_because_draws_are_paired():
    values = noise()
    better = values + 0.01
    alone = [bootstrap(mean_of(v), IMAGES) for v in (better, values)]
    assert alone[0].low < alone[1].high, "the single intervals overlap"
    up, down = (compare(mean_of(a), mean_of(b), IMAGES) for a, b in ((better, values), (values, better)))
    assert [up.value, up.low, up.high] == pytest.approx([0.01] * 3)
    assert (up.verdict, down.verdict) == ("better", "worse")
    assert [down.value, down.low, down.high] == pytest.approx([-up.value, -up.high, -up.low])


def test_more_hits_are_better_and_fewer_worse():
    poor = random_confusions()
    good = poor.copy()
    gained = poor[:, CLASSES, :CLASSES]  # what had no class is now right
    good[:, range(CLASSES), range(CLASSES)] += gained
    good[:, CLASSES, :CLASSES] = 0
    assert compare(semantic_miou(good), semantic_miou(poor), IMAGES).verdict == "better"
    assert compare(semantic_miou(poor), semantic_miou(good), IMAGES).verdict == "worse"


def test_unlike_noise_is_undecided():
    difference = compare(mean_of(noise(0)), mean_of(noise(1)), IMAGES)
    assert difference.low < 0 < difference.high
    assert difference.verdict == "undecided"


def ratio_of_those_with(has):
    """An accuracy over the images that have a class: NaN in draws without one of them."""
    right = np.linspace(0, 1, IMAGES) * has
    return lambda weights: float(weights @ right / (weights @ has)) if weights @ has else math.nan


def test_undefined_draws_are_left_out():
    five = ratio_of_those_with(np.arange(IMAGES) % 6 == 0)  # undefined in about 0.4 % of the draws
    interval = bootstrap(five, IMAGES, draws=2000)
    assert interval.low < interval.value < interval.high
    assert not math.isnan(compare(five, mean_of(noise()), IMAGES, draws=2000).low)


@pytest.mark.parametrize("with_class", [0, 1, 2])
def test_what_one_or_two_images_decide_has_no_interval(with_class):
    metric = ratio_of_those_with(np.arange(IMAGES) < with_class)
    interval = bootstrap(metric, IMAGES)
    assert math.isnan(interval.value) == (with_class == 0)
    assert np.isnan([interval.low, interval.high]).all()
    for difference in (compare(metric, mean_of(noise()), IMAGES), compare(mean_of(noise()), metric, IMAGES)):
        assert np.isnan([difference.low, difference.high]).all()
        assert difference.verdict == "undecided"


def test_an_undefined_value_has_no_interval():
    interval = bootstrap(lambda weights: math.nan if (weights == 1).all() else 0.5, IMAGES)
    assert np.isnan([interval.value, interval.low, interval.high]).all()


def test_one_image_has_a_value_and_no_interval():
    assert bootstrap(lambda _: 0.5, 1).value == 0.5
    one, two = bootstrap(lambda _: 0.5, 1), compare(lambda _: 0.5, lambda _: 0.25, 1)
    assert np.isnan([one.low, one.high, two.low, two.high]).all()
    assert (two.value, two.verdict) == (0.25, "undecided")


def test_two_images_have_an_interval():
    assert bootstrap(mean_of(np.array([0.0, 1.0])), 2) == Interval(0.5, 0.0, 1.0)  # each bound in a quarter of draws


@pytest.mark.parametrize("bad", [{"images": -1}, {"images": 5, "draws": 0}])
def test_refuses_what_cannot_be_drawn(bad):
    with pytest.raises(ValueError, match="at least 1 draw"):
        bootstrap(lambda _: 0.0, **bad)


def test_refuses_wrong_shapes():
    with pytest.raises(ValueError, match=r"images x \(C \+ 1\) x \(C \+ 1\)"):
        semantic_miou(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"images x \(C \+ 1\) x \(C \+ 1\)"):
        semantic_miou(np.zeros((3, 4, 5)))
    with pytest.raises(ValueError, match="images x C x 4"):
        panoptic_pq(np.zeros((3, 4, 3)))
    with pytest.raises(ValueError, match="one value for each of"):
        bootstrap(BlockMetric(lambda weights: weights.sum()), 5)
    with pytest.raises(ValueError, match="from 5 images, but there are counts of 30"):
        bootstrap(semantic_miou(random_confusions()), 5)


def test_the_value_lies_within_however_far_off_the_draws_are():
    """A metric that is higher the fewer different images there are."""

    def fewer_is_higher(weights):
        return 1 - np.count_nonzero(weights) / weights.size

    found = bootstrap(fewer_is_higher, 50)
    assert found.value == 0
    assert found.low == 0 < 0.3 < found.high
