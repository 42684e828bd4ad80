"""Causes of lost AP against TIDE's definitions written out, against TIDE's own program, and planted one by one."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from coco_scenes import SIDE, box_rle, random_scene
from tide_definitions import Scene

from thingstuff.errors import ConfigError
from thingstuff.evaluation import evaluate_coco
from thingstuff.evaluation.ap_causes import CAUSES, SUMS, ap_causes
from thingstuff.evaluation.coco_input import read_coco_input

iou_types = pytest.mark.parametrize("iou_type", ["bbox", "segm"])


def causes_of(truth, results, iou_type="bbox", **options):
    return ap_causes(read_coco_input(truth, results, iou_type), **options)


# ---- TIDE written out --------------------------------------------------------------------------------------------


def assert_is(causes, ap, gains, counts):
    assert causes.ap == pytest.approx(ap, abs=1e-9, nan_ok=True)
    assert tuple(causes.gains) == tuple(causes.counts) == CAUSES + SUMS
    assert dict(causes.gains) == pytest.approx(gains, abs=1e-9, nan_ok=True)
    assert dict(causes.counts) == counts


@iou_types
@pytest.mark.parametrize("crowd_share", [0, 0.2, 0.7])
@pytest.mark.parametrize("seed", range(12))
def test_random_scenes_are_as_defined(iou_type, crowd_share, seed):
    truth, results = random_scene(seed, iou_type, crowd_share)
    for thresholds in ({}, {"iou_thresh": 0.75, "background_iou": 0.3, "max_dets": 2}):
        scene = Scene(truth, results, iou_type, **thresholds)
        causes = causes_of(truth, results, iou_type, **thresholds)
        assert_is(causes, *scene.causes())
        np.testing.assert_array_equal(causes.confusion, scene.confusion(0.5, causes.iou_thresh))
        everything = causes_of(truth, results, iou_type, min_score=0, **thresholds).confusion
        np.testing.assert_array_equal(everything, scene.confusion(0, causes.iou_thresh))


@iou_types
def test_ap_is_coco_s(iou_type):
    truth, results = random_scene(20, iou_type)
    official = evaluate_coco(truth, results, iou_type).numbers
    assert causes_of(truth, results, iou_type).ap == pytest.approx(official["AP50"])
    assert causes_of(truth, results, iou_type, iou_thresh=0.75).ap == pytest.approx(official["AP75"])


# ---- TIDE's own program ------------------------------------------------------------------------------------------


def scene_of(objects, found):
    """One image; (category, box) objects, crowds with a negative category, and (category, score, box) detections."""
    truth = {
        "images": [{"id": 1, "height": 640, "width": 640}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": abs(c), "bbox": box, "area": box[2] * box[3], "iscrowd": int(c < 0)}
            for n, (c, box) in enumerate(objects, 1)
        ],
    }
    return truth, [{"image_id": 1, "category_id": c, "score": s, "bbox": box} for c, s, box in found]


A, RIGHT, FAR = [0, 0, 40, 40], [20, 0, 40, 40], [300, 300, 40, 40]  # IoU of the first two 1 / 3
B, C = [200, 200, 40, 40], [400, 0, 40, 40]
TIDECV = {  # what tidecv 1.0.1 says to these: AP, gains in the order of CAUSES + SUMS, counts of CAUSES
    "aims at a found object": (
        [(1, A), (1, B)],
        [(1, 0.9, A), (1, 0.8, RIGHT), (1, 0.7, FAR), (1, 0.6, B)],
        (0.752475, [0, 0.082508, 0, 0, 0.082508, 0, 0.247525, 0], [0, 1, 0, 0, 1, 0]),
    ),
    "gains in the class of the object": (
        [(1, A), (2, B), (1, C)],
        [(2, 0.9, A), (2, 0.5, B), (1, 0.4, C)],
        (0.502475, [0.497525, 0, 0, 0, 0, 0, 0.25, 0.247525], [1, 0, 0, 0, 0, 0]),
    ),
    "two aim at one object": (
        [(1, A), (1, B), (1, C)],
        [(1, 0.9, RIGHT), (1, 0.8, FAR), (1, 0.7, [0, 20, 40, 40]), (1, 0.6, B)],
        (0.084158, [0, 0.470297, 0, 0, 0.028053, 0.042079, 0.252475, 0.165842], [0, 2, 0, 0, 1, 1]),
    ),
    "class and localisation aim at one object": (
        [(1, A), (1, B), (2, C)],
        [(2, 0.9, A), (1, 0.8, RIGHT), (1, 0.6, B), (2, 0.5, C)],
        (0.376238, [0.541254, 0.126238, 0, 0, 0, 0, 0.376238, 0.123762], [1, 1, 0, 0, 0, 0]),
    ),
    "all causes at once": (
        [(1, A), (1, B), (2, C), (1, [500, 500, 60, 60])],
        [
            *[(1, 0.95, FAR), (1, 0.9, A), (1, 0.8, A), (2, 0.7, [420, 0, 40, 40]), (2, 0.6, B)],
            *[(1, 0.5, [415, 0, 40, 40]), (2, 0.4, C), (1, 0.3, [220, 200, 40, 40])],
        ],
        (0.250825, [0.165017, 0.083333, 0, 0, 0.084158, 0.042079, 0.417492, 0.165842], [1, 2, 1, 1, 1, 1]),
    ),
}


@pytest.mark.parametrize("name", TIDECV)
def test_tide_s_own_program_says_the_same(name):
    objects, found, (ap, gains, counts) = TIDECV[name]
    causes = causes_of(*scene_of(objects, found))
    assert causes.ap == pytest.approx(ap, abs=1e-6)
    assert list(causes.gains.values()) == pytest.approx(gains, abs=1e-6)
    assert list(causes.counts.values())[: len(CAUSES)] == counts


# ---- planted, one cause alone ------------------------------------------------------------------------------------


def perfect(seed=0):
    """10 images of 8 squares of 4 classes on a grid, found exactly; one place of the grid stays empty."""
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    for image_id in range(1, 11):
        for place in range(8):
            box = [10 + 50 * (place % 3), 10 + 50 * (place // 3), 30, 30]
            record = {"image_id": image_id, "category_id": int(rng.integers(1, 5)), **shape(box)}
            annotations.append({"id": len(annotations) + 1, **record, "area": 900, "iscrowd": 0})
            results.append({**record, "score": float(rng.uniform(0.6, 0.9))})
    images = [{"id": i, "height": SIDE, "width": SIDE} for i in range(1, 11)]
    categories = [{"id": i, "name": "abcd"[i - 1]} for i in range(1, 5)]
    return {"images": images, "categories": categories, "annotations": annotations}, results


def shape(box):
    return {"bbox": box, "segmentation": box_rle(box)}


def other_class(r):
    return {**r, "category_id": r["category_id"] % 4 + 1}


def shifted(r):
    """IoU 1 / 3 with the object and none with others."""
    x, y, width, height = r["bbox"]
    return {**r, **shape([x + width // 2, y, width, height])}


PLANTS = {  # cause -> what becomes of a detection
    "class": lambda r: [other_class(r)],
    "localisation": lambda r: [shifted(r)],
    "both": lambda r: [r, other_class(shifted({**r, "score": 1.0}))],
    "duplicate": lambda r: [r, {**r, "score": r["score"] - 0.01}],
    "background": lambda r: [r, {**r, **shape([110, 110, 30, 30]), "score": 1.0}],
    "missed": lambda r: [],
}


@iou_types
@pytest.mark.parametrize("cause", CAUSES)
def test_a_planted_cause_gains_all_that_is_lost(cause, iou_type):
    truth, results = perfect()
    chosen = set(np.random.default_rng(1).permutation(len(results))[: len(results) // 5].tolist())
    planted = [new for n, r in enumerate(results) for new in (PLANTS[cause](r) if n in chosen else [r])]
    causes = causes_of(truth, planted, iou_type)
    assert {c: n for c, n in causes.counts.items() if n and c in CAUSES} == {cause: len(chosen)}
    assert 0 < causes.ap < 1
    assert causes.gains[cause] == pytest.approx(1 - causes.ap)
    assert all(causes.gains[c] == pytest.approx(0) for c in CAUSES if c != cause)


@iou_types
def test_swapped_classes_are_the_confusions(iou_type):
    truth, results = perfect()
    a = [n for n, r in enumerate(results) if r["category_id"] == 1][:5]
    d = [n for n, r in enumerate(results) if r["category_id"] == 4][:3]
    swaps = {**dict.fromkeys(a, 3), **dict.fromkeys(d, 2)}
    causes = causes_of(truth, [{**r, "category_id": swaps.get(n, r["category_id"])} for n, r in enumerate(results)])
    assert causes.largest_confusions(5) == [("a", "c", 5), ("d", "b", 3)]
    assert causes.largest_confusions(1) == [("a", "c", 5)]
    assert causes.largest_confusions(0) == []
    assert causes.confusion[:-1].sum(axis=1).tolist() == [
        sum(t["category_id"] == c for t in truth["annotations"]) for c in (1, 2, 3, 4)
    ]


# ---- crowds, ties, nothing ---------------------------------------------------------------------------------------


def counted(causes):
    return {c: n for c, n in causes.counts.items() if n and c in CAUSES}


def test_a_crowd_excuses_but_is_no_object():
    inside, partly = [300, 300, 20, 20], [290, 300, 40, 10]  # a quarter of the second lies outside
    crowd = [300, 300, 100, 100]
    truth, results = scene_of([(1, A), (-1, crowd)], [(1, 0.9, A), (1, 0.8, inside), (1, 0.7, partly)])
    causes = causes_of(truth, results)
    assert (causes.ap, counted(causes)) == (pytest.approx(1), {})
    assert causes.confusion.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    outside = [260, 300, 50, 10]  # a fifth of it in the crowd: no object that it could find with more overlap
    truth, results = scene_of([(1, A), (-1, crowd)], [(1, 0.9, outside), (1, 0.8, A), (2, 0.7, inside)])
    causes = causes_of(truth, results)
    assert counted(causes) == {"background": 2}  # a crowd excuses its own class only
    assert causes.confusion.tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 0]]


def test_of_equal_scores_the_first_finds_the_object():
    objects = [(1, A), (2, B)]
    for first, second in ((0.5, 0.5), (0.5, 0.4)):
        causes = causes_of(*scene_of(objects, [(1, first, RIGHT), (2, second, A), (2, 0.9, B)]))
        assert counted(causes) == {"localisation": 1, "class": 1}
        assert (causes.gains["localisation"], causes.gains["class"]) == pytest.approx((0.5, 0))
    causes = causes_of(*scene_of(objects, [(2, 0.5, A), (1, 0.5, RIGHT), (2, 0.9, B)]))
    assert causes.gains["localisation"] == 0
    # behind its equal, the false one of its new class: precision 1 / 2
    assert causes.gains["class"] == pytest.approx(0.25)


def test_a_detection_below_min_score_is_in_no_confusion():
    truth, results = scene_of([(1, A)], [(2, 0.5, A), (1, 0.3, A)])
    assert causes_of(truth, results).confusion.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert causes_of(truth, results, min_score=0.51).confusion.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    # the best takes the object, and what is right comes too late
    assert causes_of(truth, results, min_score=0.3).confusion.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_a_category_that_is_never_found_is_named():
    causes = causes_of(*scene_of([(1, A), (2, B)], [(1, 0.9, A), (2, 0.9, FAR)]))
    assert causes.never_found == ("b",)
    assert (causes.ap, counted(causes)) == (pytest.approx(0.5), {"missed": 1, "background": 1})
    assert causes.gains["missed"] == causes.gains["false_negatives"] == 0


@iou_types
def test_without_detections_all_is_missed(iou_type):
    truth, _ = perfect()
    causes = causes_of(truth, [], iou_type)
    assert (causes.ap, causes.never_found, counted(causes)) == (0, tuple("abcd"), {"missed": 80})
    assert causes.counts["false_negatives"] == causes.confusion[:, -1].sum() == 80


@pytest.mark.parametrize("objects", [[], [(-1, A)]])
def test_without_objects_gains_are_undefined(objects):
    causes = causes_of(*scene_of(objects, [(1, 0.9, FAR)]))
    assert math.isnan(causes.ap) and all(math.isnan(gain) for gain in causes.gains.values())
    assert (counted(causes), causes.never_found, causes.confusion[-1].tolist()) == ({"background": 1}, (), [1, 0, 0])


def test_without_images_and_categories():
    causes = causes_of({"images": [], "categories": [], "annotations": []}, [])
    assert (causes.confusion.tolist(), causes.largest_confusions(3), counted(causes)) == ([[0]], [], {})


def test_what_is_given_stays_as_it_is():
    data = read_coco_input(*random_scene(2, "segm", 0.5), "segm")
    before = copy.deepcopy(data)
    ap_causes(data, max_dets=1)
    assert data == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iou_thresh": 1.5}, "iou_thresh <= 1"),
        ({"background_iou": 0.5}, "background_iou < iou_thresh"),
        ({"max_dets": 0}, "at least 1"),
        ({"min_score": math.nan}, "min_score"),
    ],
)
def test_impossible_thresholds_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        causes_of(*scene_of([(1, A)], []), **options)


def test_keypoints_are_refused():
    with pytest.raises(ConfigError, match="bbox and segm only, not for keypoints"):
        causes_of(*random_scene(0, "keypoints"), "keypoints")
