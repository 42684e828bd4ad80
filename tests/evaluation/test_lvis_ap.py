"""LVIS AP against lvis-api, where it is installed, and against values that follow from the federated rules."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
from coco_scenes import box_rle, random_scene

from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation.lvis_ap import LvisOptions, evaluate_lvis

NAMES = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf"),
    *("AR@300", "ARs@300", "ARm@300", "ARl@300"),
)
IOU_TYPES = ("bbox", "segm")
HIT, MISS = [0, 0, 10, 10], [100, 100, 10, 10]
iou_types = pytest.mark.parametrize("iou_type", IOU_TYPES)


def federated_scene(seed, iou_type, crowd_share=0.0):
    """A random scene whose images exclude half of the absent categories and leave a third of all unfinished."""
    truth, results = random_scene(seed, iou_type, crowd_share)
    rng = np.random.default_rng(seed)
    ids = [c["id"] for c in truth["categories"]]
    truth["categories"] = [{**c, "frequency": str(rng.choice(list("rcf")))} for c in truth["categories"]]
    truth["images"] = [{**i, **_lists(i, truth["annotations"], ids, rng)} for i in truth["images"]]
    return truth, results


def _lists(image, annotations, ids, rng):
    present = {a["category_id"] for a in annotations if a["image_id"] == image["id"]}
    return {
        "neg_category_ids": [i for i in ids if i not in present and rng.random() < 0.5],
        "not_exhaustive_category_ids": [i for i in ids if rng.random() < 0.3],
    }


def one_image(negative=(), unfinished=(), truths=((1, HIT),)):
    """An image of 160 x 160 and the categories 1 (rare) and 2 (frequent)."""
    annotations = [
        {"id": n, "image_id": 1, "category_id": category, "bbox": box, "area": box[2] * box[3]}
        for n, (category, box) in enumerate(truths, 1)
    ]
    lists = {"neg_category_ids": list(negative), "not_exhaustive_category_ids": list(unfinished)}
    return {
        "images": [{"id": 1, "height": 160, "width": 160, **lists}],
        "categories": [{"id": 1, "name": "a", "frequency": "r"}, {"id": 2, "name": "b", "frequency": "f"}],
        "annotations": annotations,
    }


def detection(category_id, box, score):
    return {"image_id": 1, "category_id": category_id, "bbox": box, "score": score}


def run_lvis_api(truth, results, iou_type, max_dets):
    pytest.importorskip("lvis")
    from lvis import LVIS, LVISEval, LVISResults

    class InMemory(LVIS):
        def _load_json(self, content):
            return content

    known = InMemory(copy.deepcopy(truth))
    evaluation = LVISEval(known, LVISResults(known, copy.deepcopy(results), max_dets), iou_type)
    evaluation.run()
    return evaluation


@pytest.fixture(autouse=True)
def _old_numpy(monkeypatch):
    """lvis-api is older than numpy's removal of this name."""
    monkeypatch.setattr(np, "float", float, raising=False)


@iou_types
@pytest.mark.parametrize("max_dets", [300, 4])
@pytest.mark.parametrize("seed", range(12))
def test_random_scenes_equal_lvis_api(iou_type, max_dets, seed):
    truth, results = federated_scene(seed, iou_type, crowd_share=0.2 * (seed % 2))
    expected = run_lvis_api(truth, results, iou_type, max_dets)
    found = evaluate_lvis(truth, results, iou_type, LvisOptions(max_dets=max_dets))
    for (name, value), reference in zip(found.numbers.items(), expected.results.values(), strict=True):
        assert math.isnan(value) if reference == -1 else value == pytest.approx(reference, abs=1e-12), name
        assert (name in found.undefined) == (reference == -1)
    for k, value in enumerate(found.per_category.values()):
        own = expected.eval["precision"][:, :, k, 0]
        assert math.isnan(value) if own.max() == -1 else value == pytest.approx(own.mean(), abs=1e-12)


@iou_types
def test_more_than_three_hundred_of_equal_score_equal_lvis_api(iou_type):
    truth, results = federated_scene(1, iou_type)
    many = [{**r, "score": 0.5} for r in results * 60]
    expected = run_lvis_api(truth, many, iou_type, 300).results
    found = evaluate_lvis(truth, many, iou_type).numbers
    assert tuple(found) == tuple(expected) == NAMES
    for name, value in expected.items():
        assert math.isnan(found[name]) if value == -1 else found[name] == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("negative", "ap_of_b"),
    [
        ((), 1),  # nobody looked for b in image 2: the better-scored detection there is nothing
        ((2,), 1 / 2),  # b is known to be absent: a mistake above the hit, hence precision 1/2 at every recall
    ],
)
def test_a_category_nobody_looked_for_does_not_count(negative, ap_of_b):
    truth = one_image(truths=((2, HIT),))
    lists = {"neg_category_ids": list(negative), "not_exhaustive_category_ids": []}
    truth["images"].append({"id": 2, "height": 160, "width": 160, **lists})
    results = [detection(2, HIT, 0.5), {**detection(2, HIT, 0.9), "image_id": 2}]
    assert evaluate_lvis(truth, results, "bbox").per_category["b"] == pytest.approx(ap_of_b)


@pytest.mark.parametrize(("unfinished", "ap"), [((), 1 / 2), ((1,), 1), ((2,), 1 / 2)])
def test_an_unmatched_detection_of_an_unfinished_category_is_no_mistake(unfinished, ap):
    results = [detection(1, MISS, 0.9), detection(1, HIT, 0.5)]
    found = evaluate_lvis(one_image(unfinished=unfinished), results, "bbox")
    assert found.numbers["AP"] == pytest.approx(ap)


def test_the_cap_is_on_an_image_and_not_on_a_category():
    """300 detections of b leave no place for the only one of a, which scores less."""
    truth = one_image(negative=[2])
    clutter = [detection(2, MISS, 0.9)] * 300
    assert evaluate_lvis(truth, [*clutter[1:], detection(1, HIT, 0.5)], "bbox").numbers["AP"] == pytest.approx(1)
    assert evaluate_lvis(truth, [*clutter, detection(1, HIT, 0.5)], "bbox").numbers["AP"] == 0
    more = evaluate_lvis(truth, [*clutter, detection(1, HIT, 0.5)], "bbox", LvisOptions(max_dets=301))
    assert more.numbers["AR@301"] == 1


def test_of_equal_scores_the_first_stay_under_the_cap():
    results = [detection(1, HIT, 0.5), detection(1, MISS, 0.5)]
    recalls = [
        evaluate_lvis(one_image(), r, "bbox", LvisOptions(max_dets=1)).numbers["AR@1"] for r in (results, results[::-1])
    ]
    assert recalls == [1, 0]


def test_frequencies_are_means_over_their_categories():
    truth = one_image(truths=((1, HIT), (2, HIT), (3, HIT)))
    truth["categories"].append({"id": 3, "name": "c", "frequency": "f"})
    found = evaluate_lvis(truth, [detection(1, HIT, 0.5), detection(2, HIT, 0.5)], "bbox")
    assert found.per_category == {"a": pytest.approx(1), "b": pytest.approx(1), "c": 0}
    assert found.numbers["APr"] == pytest.approx(1)
    assert found.numbers["APf"] == pytest.approx((1 + 0) / 2)
    assert found.numbers["AP"] == pytest.approx((1 + 1 + 0) / 3)
    assert math.isnan(found.numbers["APc"])


def test_undefined_numbers_say_why():
    undefined = evaluate_lvis(one_image(), [], "bbox").undefined
    assert undefined["APc"] == "no object of a common category in the ground truth"
    assert undefined["ARl@300"] == "no large object in the ground truth"
    assert undefined["AP-b"] == "no 'b' in the ground truth"
    assert set(undefined) == {"APm", "APl", "APc", "APf", "ARm@300", "ARl@300", "AP-b"}


@pytest.mark.parametrize("options", [LvisOptions(), LvisOptions(image_ids=[])])
def test_nothing_to_find_is_undefined(options):
    truth = one_image() if options.image_ids is not None else one_image(truths=())
    found = evaluate_lvis(truth, [detection(1, HIT, 0.5)], "bbox", options)
    assert set(found.undefined) == {*NAMES, "AP-a", "AP-b"}
    assert found.undefined["AP"] == "no object in the ground truth"


def test_no_image_and_no_category():
    found = evaluate_lvis({"images": [], "categories": [], "annotations": []}, [], "segm")
    assert all(math.isnan(v) for v in found.numbers.values())
    assert found.per_category == {}


def test_nothing_found_is_zero():
    found = evaluate_lvis(one_image(), [], "bbox")
    assert {n: v for n, v in found.numbers.items() if n not in found.undefined} == dict.fromkeys(
        ("AP", "AP50", "AP75", "APs", "APr", "AR@300", "ARs@300"), 0
    )


def test_crowds_are_objects_like_any_other():
    """LVIS has none; lvis-api does not look at `iscrowd`."""
    truth = one_image()
    truth["annotations"][0]["iscrowd"] = 1
    assert evaluate_lvis(truth, [detection(1, HIT, 0.5)], "bbox").numbers["AP"] == pytest.approx(1)


def test_mask_area_decides_even_beside_a_box():
    """As in Detectron2, which takes the box away before it calls lvis-api."""
    truth = one_image()
    truth["annotations"][0]["segmentation"] = box_rle([0, 0, 20, 20])
    found = {"image_id": 1, "category_id": 1, "segmentation": box_rle([100, 100, 8, 8]), "score": 0.5}
    numbers = [evaluate_lvis(truth, [r], "segm").numbers for r in (found, {**found, "bbox": [0.0, 0.0, 150.0, 150.0]})]
    np.testing.assert_equal(numbers[0], numbers[1])


def test_percent_has_the_keys_of_detectron2():
    percent = evaluate_lvis(one_image(), [detection(1, HIT, 0.5)], "bbox").percent()
    assert list(percent) == ["AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf"]
    assert percent["AP"] == pytest.approx(100)


@iou_types
def test_chosen_images_are_the_data_set_that_holds_only_them(iou_type):
    truth, results = federated_scene(5, iou_type)
    kept = [i["id"] for i in truth["images"]][1:4]
    chosen = evaluate_lvis(truth, results, iou_type, LvisOptions(image_ids=kept))
    smaller = {**truth, "images": [i for i in truth["images"] if i["id"] in kept]}
    alone = evaluate_lvis(smaller, [r for r in results if r["image_id"] in kept], iou_type)
    np.testing.assert_equal(chosen.numbers, alone.numbers)


@iou_types
def test_files_quiet_and_input_left_alone(iou_type, tmp_path, capfd):
    truth, results = federated_scene(7, iou_type)
    before = copy.deepcopy((truth, results))
    found = evaluate_lvis(truth, results, iou_type)
    assert (truth, results) == before
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    np.testing.assert_equal(
        evaluate_lvis(tmp_path / "truth.json", tmp_path / "results.json", iou_type).numbers, found.numbers
    )
    assert capfd.readouterr() == ("", "")


def changed(section, **fields):
    truth = one_image()
    truth[section][0] = {**truth[section][0], **fields}
    return truth


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (changed("images", neg_category_ids=None), "image 1 has no list 'neg_category_ids'"),
        (changed("images", not_exhaustive_category_ids=None), "image 1 has no list 'not_exhaustive_category_ids'"),
        (changed("images", neg_category_ids=[2, 7]), "image 1: 'neg_category_ids' names 7, which is no listed cat"),
        (changed("categories", frequency="rare"), "category 1 must have the frequency r, c or f, got 'rare'"),
        (changed("annotations", ignore=1), r"annotations\[0\] is to be ignored"),
        ({**one_image(), "images": None}, "no list of 'images'"),
    ],
)
def test_a_truth_of_another_format_is_named(truth, message, tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    with pytest.raises(DataError, match=message) as error:
        evaluate_lvis(path, [detection(1, HIT, 0.5)], "bbox")
    assert "\n" not in str(error.value)


def test_unknown_ids_are_named():
    with pytest.raises(DataError, match="category_id 9 is not in the ground truth"):
        evaluate_lvis(one_image(), [detection(9, HIT, 0.5)], "bbox")


def test_wrong_options_are_named():
    with pytest.raises(ConfigError, match="iou_type is 'keypoints', expected one of bbox, segm"):
        evaluate_lvis(one_image(), [], "keypoints")
    with pytest.raises(ConfigError, match="max_dets must be a whole number from 1, got 0"):
        LvisOptions(max_dets=0)
