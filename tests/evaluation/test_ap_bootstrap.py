"""AP of drawn images against pycocotools on data sets in which the images really are repeated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from coco_scenes import random_scene, run_pycocotools

from thingstuff.evaluation.ap_bootstrap import coco_ap_metric
from thingstuff.evaluation.ap_matches import SIZES, ApMatches, CategoryMatches, ap_matches
from thingstuff.evaluation.bootstrap import bootstrap, compare
from thingstuff.evaluation.coco_ap import CocoOptions, evaluate_coco
from thingstuff.evaluation.coco_input import read_coco_input

COPIES = 10  # more than any draw takes of an image
PARTS = {"AP": slice(None), "AP50": slice(0, 1), "AP75": slice(5, 6)}
EMPTY = {"images": [], "categories": [], "annotations": []}


def matches_of(truth, results, iou_type, **options):
    return ap_matches(read_coco_input(truth, results, iou_type), **options)


def with_scores(results, scores, rng):
    """All different, or 1, 0.99, ... in every image, so that each is equal to one of every other image."""
    if scores == "unique":
        return [{**r, "score": float(s)} for r, s in zip(results, rng.permutation(len(results)), strict=True)]
    of_image = {}
    for r in results:
        of_image.setdefault(r["image_id"], []).append(r)
    return [{**r, "score": 1 - i / 100} for own in of_image.values() for i, r in enumerate(own)]


def repeated(truth, results, weights):
    """Each image as often as its weight says, copies side by side in the order of ids."""
    ids = sorted(i["id"] for i in truth["images"])
    copies = {i: [COPIES * i + c for c in range(w)] for i, w in zip(ids, weights, strict=True)}
    images = [{**i, "id": copy} for i in truth["images"] for copy in copies[i["id"]]]
    annotations = [{**a, "image_id": copy} for a in truth["annotations"] for copy in copies[a["image_id"]]]
    annotations = [{**a, "id": number} for number, a in enumerate(annotations, 1)]
    found = [{**r, "image_id": copy} for r in results for copy in copies[r["image_id"]]]
    return {**truth, "images": images, "annotations": annotations}, found


def mean_ap(precision, part, area=0):
    defined = precision[part, :, :, area, -1][precision[part, :, :, area, -1] > -1]
    return defined.mean() if defined.size else math.nan


def assert_same(found, expected):
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
@pytest.mark.parametrize("scores", ["unique", "equal between images"])
@pytest.mark.parametrize("seed", range(4))
def test_repeated_images_equal_pycocotools(iou_type, scores, seed):
    truth, results = random_scene(100 + seed, iou_type)
    rng = np.random.default_rng(seed)
    results = with_scores(results, scores, rng)
    matches = matches_of(truth, results, iou_type)
    draws = np.array([np.bincount(rng.integers(5, size=5), minlength=5) for _ in range(3)])
    values = {name: coco_ap_metric(matches, part).values(draws) for name, part in PARTS.items()}
    for row, weights in enumerate(draws):
        reference = run_pycocotools(*repeated(truth, results, weights), iou_type)[0]
        for name, part in PARTS.items():
            assert_same(values[name][row], mean_ap(reference.eval["precision"], part))


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(4))
def test_objects_of_one_size_equal_pycocotools(iou_type, seed):
    """A detection of another size counts neither way, unless it finds one of this."""
    truth, results = random_scene(200 + seed, iou_type, crowd_share=0.2)
    results = with_scores(results, "unique", rng := np.random.default_rng(seed))
    draws = np.array([np.bincount(rng.integers(5, size=5), minlength=5) for _ in range(3)])
    for place, size in enumerate(SIZES):
        values = coco_ap_metric(matches_of(truth, results, iou_type, size=size)).values(draws)
        for value, weights in zip(values, draws, strict=True):
            reference = run_pycocotools(*repeated(truth, results, weights), iou_type)[0]
            assert_same(value, mean_ap(reference.eval["precision"], slice(None), place))


@pytest.mark.parametrize("seed", range(40))
def test_all_images_once_is_the_ap(seed):
    """With all ties, those within an image too; and of only the best three an image."""
    iou_type = ("bbox", "segm", "keypoints")[seed % 3]
    truth, results = random_scene(seed, iou_type, crowd_share=(0, 0.2, 0.6)[seed % 4 % 3])
    once = np.ones(len(truth["images"]), np.int64)
    found = evaluate_coco(truth, results, iou_type).numbers
    matches = matches_of(truth, results, iou_type)
    for name, part in PARTS.items():
        assert_same(coco_ap_metric(matches, part)(once), found[name])
    limited = CocoOptions(max_dets=(3,) if iou_type == "keypoints" else (1, 2, 3))
    few = matches_of(truth, results, iou_type, max_dets=3)
    assert_same(coco_ap_metric(few)(once), evaluate_coco(truth, results, iou_type, limited).numbers["AP"])


def test_each_category_alone_is_its_ap():
    truth, results = random_scene(3, "segm")
    matches = matches_of(truth, results, "segm")
    per_category = evaluate_coco(truth, results, "segm").per_category
    assert tuple(matches.categories) == tuple(per_category)
    for name, category in matches.categories.items():
        alone = coco_ap_metric(ApMatches(matches.images, {name: category}))
        assert_same(alone(np.ones(matches.images, np.int64)), per_category[name])


def test_blocks_of_images_make_no_difference(monkeypatch):
    truth, results = random_scene(5, "bbox")
    whole = matches_of(truth, results, "bbox")
    monkeypatch.setattr("thingstuff.evaluation.ap_matches._BLOCK_IMAGES", 2)
    for name, category in matches_of(truth, results, "bbox").categories.items():
        np.testing.assert_equal(vars(category), vars(whole.categories[name]))


def test_many_draws_in_small_chunks_make_no_difference(monkeypatch):
    truth, results = random_scene(6, "bbox")
    metric = coco_ap_metric(matches_of(truth, results, "bbox"))
    draws = np.random.default_rng(0).multinomial(5, np.full(5, 1 / 5), size=50)
    values = metric.values(draws)
    monkeypatch.setattr("thingstuff.evaluation.ap_bootstrap._CHUNK_BYTES", 1)
    np.testing.assert_allclose(metric.values(draws), values, rtol=0, atol=1e-12)


def test_a_box_of_negative_width_is_ignored_as_in_coco():
    """Its area is in none of COCO's ranges: it would otherwise lower the precision to 1/2."""
    size = {"height": 99, "width": 99}
    truth = {"images": [{"id": 1, **size}, {"id": 2, **size}], "categories": [{"id": 1, "name": "a"}]}
    truth["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0}]
    odd = {"image_id": 2, "category_id": 1, "bbox": [50, 50, -9, 9], "score": 0.9}
    results = [odd, {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}]
    expected = run_pycocotools(truth, results, "bbox")[0].stats[0]
    assert expected == pytest.approx(1)
    assert_same(coco_ap_metric(matches_of(truth, results, "bbox"))(np.ones(2, np.int64)), expected)


def test_draws_without_truth_are_undefined_and_categories_without_it_are_left_out():
    """a: an object in image 0, found; b: one in image 1, missed."""
    tp, none = np.ones((10, 1), bool), np.zeros((10, 0), bool)
    a = CategoryMatches(np.array([0]), tp, ~tp, np.array([1, 0, 0]), np.ones(1))
    b = CategoryMatches(np.zeros(0, np.int64), none, none, np.array([0, 1, 0]), np.zeros(0))
    values = coco_ap_metric(ApMatches(3, {"a": a, "b": b})).values(
        np.array([[1, 1, 1], [3, 0, 0], [0, 2, 1], [0, 0, 3]])
    )
    np.testing.assert_allclose(values, [1 / 2, 1, 0, math.nan], atol=1e-12)


def test_copies_of_a_false_positive_weigh_on_what_follows():
    """By score: miss in image 0, hit in image 1; precision is 1 / (1 + how often image 0 is drawn) at all recalls."""
    bits = np.array([[False, True]] * 10)
    category = CategoryMatches(np.array([0, 1]), bits, np.zeros_like(bits), np.array([0, 1]), np.array([0.9, 0.8]))
    values = coco_ap_metric(ApMatches(2, {"a": category})).values(np.array([[1, 1], [0, 2], [3, 1]]))
    np.testing.assert_allclose(values, [1 / 2, 1, 1 / 4], atol=1e-12)


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
def test_nothing_to_count(iou_type):
    truth, results = random_scene(2, iou_type)
    once = np.ones(5, np.int64)
    assert coco_ap_metric(matches_of(truth, [], iou_type))(once) == 0
    assert math.isnan(coco_ap_metric(matches_of({**truth, "annotations": []}, results, iou_type))(once))
    nothing = matches_of(EMPTY, [], iou_type)
    assert (nothing.images, dict(nothing.categories)) == (0, {})
    assert math.isnan(bootstrap(coco_ap_metric(nothing), nothing.images).value)


def test_an_interval_and_a_comparison():
    """A model that misses every object of half of the images is worse than one that finds all."""
    once = np.ones(60, np.int64)
    bits, image = np.ones((10, 60), bool), np.arange(60)
    good = ApMatches(60, {"a": CategoryMatches(image, bits, ~bits, once, np.ones(60))})
    half = ApMatches(60, {"a": CategoryMatches(image[:30], bits[:, :30], ~bits[:, :30], once, np.ones(30))})
    interval = bootstrap(coco_ap_metric(half), 60)
    assert interval.low < interval.value < interval.high
    assert interval.value == pytest.approx(51 / 101)  # recalls 0, 0.01, ..., 0.50
    assert compare(coco_ap_metric(half), coco_ap_metric(good), 60).verdict == "worse"


def test_what_does_not_fit_is_refused():
    truth, results = random_scene(1, "bbox")
    metric = coco_ap_metric(matches_of(truth, results, "bbox"))
    with pytest.raises(ValueError, match="asked to draw from 7 images, but there are matches of 5"):
        metric(np.ones(7, np.int64))
    bits = np.ones((10, 2), bool)
    with pytest.raises(ValueError, match=r"got \(3,\), \(3,\), \(10, 2\), \(10, 2\)"):
        CategoryMatches(np.zeros(3, np.int64), bits, ~bits, np.ones(1, np.int64), np.zeros(3))
