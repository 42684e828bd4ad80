"""How often a 95 % interval holds the truth: simulated data sets whose true metric is a formula, or a huge set's."""

import numpy as np
import pytest

from thingstuff.evaluation.ap_bootstrap import coco_ap_metric
from thingstuff.evaluation.ap_matches import ApMatches, CategoryMatches
from thingstuff.evaluation.bootstrap import bootstrap, compare, panoptic_pq, semantic_miou
from thingstuff.evaluation.coco_backends import COCO_IOU_THRESHS

pytestmark = pytest.mark.slow

DATA_SETS = 200
IMAGES = 100
PRESENCE = np.array([1.0, 0.8, 0.6, 0.4])  # how probable each class is in an image
RIGHT = np.array([0.9, 0.8, 0.7, 0.6])  # the expected share of a class's pixels, or segments, that are found
SPREAD = 0.5  # of the log of an object's size
FALSE_RATE = 0.3  # falsely predicted segments a class and image
SPARSE = 2 * (RIGHT - 0.5)  # the expected share of found pixels of a model that is worse in every class
CLEARLY = 1.5  # how much higher the mean score of a detection that lies on an object is, in standard deviations
UNSURE = 1.0  # the same of a worse model
MANY_IMAGES = 50_000
AP_IMAGES = 400  # AP itself is too high of few objects, which no interval can know
CLASSES = len(RIGHT)
ALL = np.arange(CLASSES)


def true_px(rng):
    return rng.lognormal(7, SPREAD, (IMAGES, CLASSES)) * (rng.random((IMAGES, CLASSES)) < PRESENCE)


def confusions(rng, size_px, right):
    """A model that finds a random share of each class, and takes the rest for the next class."""
    hit = np.rint(size_px * rng.beta(5 * right, 5 * (1 - right), size_px.shape)).astype(np.int64)
    counts = np.zeros((IMAGES, CLASSES + 1, CLASSES + 1), np.int64)
    counts[:, ALL, ALL] = hit
    counts[:, (ALL + 1) % CLASSES, ALL] = np.rint(size_px).astype(np.int64) - hit
    return counts


def true_miou(right):
    """Of expected pixels; an object's expected size is the same in every class and cancels."""
    hit, taken_for_next = PRESENCE * right, PRESENCE * (1 - right)
    return np.mean(hit / (PRESENCE + np.roll(taken_for_next, 1)))


def segments(rng):
    """Each class has its true segments, found with probability RIGHT at a uniform IoU in 0.5...1, and false ones."""
    true = rng.poisson(2 * PRESENCE, (IMAGES, CLASSES))
    tp = rng.binomial(true, RIGHT)
    fp = rng.poisson(FALSE_RATE, true.shape)
    iou_sum = np.vectorize(lambda found: rng.uniform(0.5, 1, found).sum())(tp)
    return np.stack([tp, fp, true - tp, iou_sum], axis=2)


def true_pq():
    tp, fn = 2 * PRESENCE * RIGHT, 2 * PRESENCE * (1 - RIGHT)
    return np.mean(0.75 * tp / (tp + FALSE_RATE / 2 + fn / 2))


def objects(rng, images=IMAGES):
    return rng.poisson(2 * PRESENCE, (images, CLASSES))


def matches(rng, truths, clearly=CLEARLY):
    """Objects are found with probability RIGHT at a random IoU in 0.5...1; as many false detections on average."""
    categories = {str(k): category(rng, truths[:, k], RIGHT[k], clearly) for k in range(CLASSES)}
    return ApMatches(len(truths), categories)


def category(rng, truths, right, clearly):
    images = np.arange(len(truths))
    on_object = np.repeat(images, rng.binomial(truths, right))
    elsewhere = np.repeat(images, rng.poisson(truths.mean(), len(truths)))
    iou = np.concatenate([rng.beta(4, 1.5, len(on_object)) / 2 + 0.5, np.zeros(len(elsewhere))])
    score = rng.normal(0, 1, len(iou)) + clearly * (iou > 0)
    order = np.argsort(-score)
    tp = iou[order] >= COCO_IOU_THRESHS[:, None]
    images = np.concatenate([on_object, elsewhere])[order]
    return CategoryMatches(images, tp, np.zeros_like(tp), truths, score[order])


def ap(model):
    return coco_ap_metric(model)(np.ones(model.images, np.int64))


def large_ap(rng, clearly):
    return ap(matches(rng, objects(rng, MANY_IMAGES), clearly))


def coverage(intervals, truth):
    return np.mean([interval.low <= truth <= interval.high for interval in intervals])


def test_miou():
    rng = np.random.default_rng(0)
    counts = (confusions(rng, true_px(rng), RIGHT) for _ in range(DATA_SETS))
    intervals = [bootstrap(semantic_miou(c), IMAGES, seed=seed) for seed, c in enumerate(counts)]
    assert 0.90 <= coverage(intervals, true_miou(RIGHT)) <= 0.99


def test_pq():
    rng = np.random.default_rng(1)
    intervals = [bootstrap(panoptic_pq(segments(rng)), IMAGES, seed=seed) for seed in range(DATA_SETS)]
    assert 0.90 <= coverage(intervals, true_pq()) <= 0.99


def test_ap():
    rng = np.random.default_rng(4)
    truth = large_ap(rng, CLEARLY)
    data = (matches(rng, objects(rng, AP_IMAGES)) for _ in range(DATA_SETS))
    intervals = [bootstrap(coco_ap_metric(m), AP_IMAGES, seed=seed) for seed, m in enumerate(data)]
    assert 0.90 <= coverage(intervals, truth) <= 0.99


def test_difference_of_two_ap_on_the_same_images():
    """Of a model and one that finds as much, but tells it less clearly from what is nothing."""
    rng = np.random.default_rng(5)
    truth = large_ap(rng, CLEARLY) - large_ap(rng, UNSURE)
    differences = []
    for seed in range(DATA_SETS):
        truths = objects(rng)
        good, unsure = (coco_ap_metric(matches(rng, truths, c)) for c in (CLEARLY, UNSURE))
        differences.append(compare(good, unsure, IMAGES, seed=seed))
    assert 0.90 <= coverage(differences, truth) <= 0.99
    assert {d.verdict for d in differences} <= {"better", "undecided"}


def test_difference_of_two_models_on_the_same_images():
    rng = np.random.default_rng(2)
    differences = []
    for seed in range(DATA_SETS):
        size_px = true_px(rng)
        good, poor = (semantic_miou(confusions(rng, size_px, right)) for right in (RIGHT, SPARSE))
        differences.append(compare(good, poor, IMAGES, seed=seed))
    assert 0.90 <= coverage(differences, true_miou(RIGHT) - true_miou(SPARSE)) <= 0.99
    assert {d.verdict for d in differences} == {"better"}


def test_equally_good_models_are_mostly_undecided():
    rng = np.random.default_rng(3)
    verdicts = []
    for seed in range(DATA_SETS):
        size_px = true_px(rng)
        twins = (semantic_miou(confusions(rng, size_px, RIGHT)) for _ in range(2))
        verdicts.append(compare(*twins, IMAGES, seed=seed).verdict)
    assert 0.90 <= verdicts.count("undecided") / DATA_SETS <= 0.99
