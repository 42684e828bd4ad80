"""COCO AP of both backends against pycocotools itself, and against values that can be counted by hand."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
from coco_scenes import NAMES, box_rle, random_scene, run_pycocotools
from helpers import SHARED

from thingstuff.errors import ConfigError
from thingstuff.evaluation import evaluate_coco
from thingstuff.evaluation.coco_ap import CocoOptions, average_precision
from thingstuff.evaluation.coco_input import read_coco_input
from thingstuff.evaluation.skips import Skips

GOLDEN = SHARED / "golden/coco_ap"
BACKENDS = ("hotcoco", "pycocotools")
IOU_TYPES = ("bbox", "segm", "keypoints")

backends = pytest.mark.parametrize("backend", BACKENDS)
iou_types = pytest.mark.parametrize("iou_type", IOU_TYPES)


def assert_same(found, expected, names):
    """`expected` as pycocotools gives it: in order, -1 for undefined."""
    assert tuple(found.numbers) == tuple(names)
    for name, value in zip(names, expected, strict=True):
        assert math.isnan(found.numbers[name]) if value == -1 else abs(found.numbers[name] - value) <= 1e-12, name
        assert (name in found.undefined) == (value == -1), name


def one_image(truth_boxes, **fields):
    """Ground truth of one image and the category 'a' (and 'b', which stays without truth)."""
    annotations = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0, **fields}
        for i, box in enumerate(truth_boxes, 1)
    ]
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    return {"images": [{"id": 1, "height": 160, "width": 160}], "categories": categories, "annotations": annotations}


def detections(*boxes_and_scores):
    return [{"image_id": 1, "category_id": 1, "bbox": box, "score": score} for box, score in boxes_and_scores]


@backends
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_published_results(backend, iou_type):
    if not GOLDEN.is_dir():
        pytest.skip("../shared/data/golden/coco_ap is absent")
    expected = json.loads((GOLDEN / "expected.json").read_text())[iou_type]
    results = GOLDEN / f"instances_val2014_fake{iou_type}100_results.json"
    found = evaluate_coco(GOLDEN / "instances_val2014_100.json", results, iou_type, CocoOptions(backend))
    assert_same(found, expected.values(), expected)


@backends
@iou_types
@pytest.mark.parametrize("seed", range(8))
def test_random_scenes_equal_pycocotools(backend, iou_type, seed):
    truth, results = random_scene(seed, iou_type)
    expected, lines = run_pycocotools(truth, results, iou_type)
    found = evaluate_coco(truth, results, iou_type, CocoOptions(backend))
    assert_same(found, expected.stats, NAMES[iou_type])
    assert found.lines() == lines


@backends
@iou_types
def test_per_category_is_the_mean_of_its_precisions(backend, iou_type):
    truth, results = random_scene(3, iou_type)
    precision = run_pycocotools(truth, results, iou_type)[0].eval["precision"]
    found = evaluate_coco(truth, results, iou_type, CocoOptions(backend))
    assert tuple(found.per_category) == tuple(c["name"] for c in sorted(truth["categories"], key=lambda c: c["id"]))
    for k, (name, value) in enumerate(found.per_category.items()):
        defined = precision[:, :, k, 0, -1][precision[:, :, k, 0, -1] > -1]
        assert value == defined.mean() if defined.size else math.isnan(value)
        assert (f"AP-{name}" in found.undefined) == (not defined.size)


@backends
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_chosen_images_and_limits(backend, iou_type):
    truth, results = random_scene(5, iou_type)
    image_ids = [i["id"] for i in truth["images"]][1:4]
    precision, recall = (
        run_pycocotools(truth, results, iou_type, image_ids, [1, 2, 3])[0].eval[key] for key in ("precision", "recall")
    )
    found = evaluate_coco(truth, results, iou_type, CocoOptions(backend, image_ids, (1, 2, 3))).numbers
    assert found["AP"] == precision[:, :, :, 0, 2][precision[:, :, :, 0, 2] > -1].mean()
    for index, name in enumerate(("AR1", "AR2", "AR3")):
        assert found[name] == recall[:, :, 0, index][recall[:, :, 0, index] > -1].mean()


@backends
def test_more_than_a_hundred_detections_of_equal_score(backend):
    truth, results = random_scene(1, "bbox")
    many = [{**r, "score": 0.5} for r in results * 30]
    assert_same(
        evaluate_coco(truth, many, "bbox", CocoOptions(backend)),
        run_pycocotools(truth, many, "bbox")[0].stats,
        NAMES["bbox"],
    )


@backends
def test_nothing_found_is_zero(backend):
    found = evaluate_coco(one_image([[0, 0, 10, 10], [0, 0, 120, 120]]), [], "bbox", CocoOptions(backend))
    undefined = {"APm", "ARm"}
    assert {n: v for n, v in found.numbers.items() if n not in undefined} == dict.fromkeys(
        [n for n in NAMES["bbox"] if n not in undefined], 0
    )
    assert found.per_category["a"] == 0


@backends
def test_nothing_to_find_is_undefined(backend):
    found = evaluate_coco(one_image([]), detections(([0, 0, 9, 9], 0.9)), "bbox", CocoOptions(backend))
    assert all(math.isnan(v) for v in found.numbers.values())
    assert found.undefined["AP"] == "no object in the ground truth"
    assert found.undefined["ARl"] == "no large object in the ground truth"
    assert found.undefined["AP-b"] == "no 'b' in the ground truth"
    assert found.lines()[0].endswith("= -1.000")


@backends
@iou_types
def test_no_image_and_no_category_are_undefined(backend, iou_type):
    truth, results = random_scene(3, iou_type)
    none = {"images": [], "categories": [], "annotations": []}
    for found in (
        evaluate_coco(truth, results, iou_type, CocoOptions(backend, image_ids=[])),
        evaluate_coco(none, [], iou_type, CocoOptions(backend)),
    ):
        assert set(found.undefined) == {*NAMES[iou_type], *(f"AP-{name}" for name in found.per_category)}


@backends
def test_only_crowds_are_nothing_to_find(backend):
    found = evaluate_coco(
        one_image([[0, 0, 90, 90]], iscrowd=1), detections(([0, 0, 9, 9], 0.9)), "bbox", CocoOptions(backend)
    )
    assert found.undefined["AP-a"] == "no 'a' in the ground truth (crowds do not count)"
    assert found.undefined["AP-b"] == "no 'b' in the ground truth"


@backends
def test_a_detection_in_a_crowd_neither_helps_nor_harms(backend):
    truth = one_image([[0, 0, 10, 10], [50, 50, 60, 60]])
    truth["annotations"][1]["iscrowd"] = 1
    in_crowd, on_object = ([60, 60, 10, 10], 0.9), ([0, 0, 10, 10], 0.5)
    found = evaluate_coco(truth, detections(in_crowd, on_object), "bbox", CocoOptions(backend))
    # only the object counts: precision 1 at every recall; pycocotools' spacing(1) in the denominator is kept
    assert found.numbers["AP"] == pytest.approx(1, abs=1e-12)


@backends
def test_ties_go_by_the_order_of_the_results(backend):
    truth = one_image([[0, 0, 10, 10]])
    hit, miss = ([0, 0, 10, 10], 0.5), ([100, 100, 10, 10], 0.5)
    first = evaluate_coco(truth, detections(hit, miss), "bbox", CocoOptions(backend)).numbers["AP"]
    second = evaluate_coco(truth, detections(miss, hit), "bbox", CocoOptions(backend)).numbers["AP"]
    assert (first, second) == (pytest.approx(1), pytest.approx(1 / 2))


@backends
@pytest.mark.parametrize("rename", [lambda i: i - 1, lambda i: -i, lambda i: 2**62 + i, lambda i: f"a{i}"])
def test_annotation_ids_are_only_names(backend, rename):
    """Unlike in pycocotools, where a match with annotation 0 is a miss, and in hotcoco, which refuses most of these."""
    truth, results = random_scene(4, "bbox")
    expected = evaluate_coco(truth, results, "bbox", CocoOptions(backend)).numbers
    renamed = {**truth, "annotations": [{**a, "id": rename(a["id"])} for a in truth["annotations"]]}
    np.testing.assert_equal(evaluate_coco(renamed, results, "bbox", CocoOptions(backend)).numbers, expected)


@backends
def test_textual_image_ids_equal_pycocotools(backend):
    truth, results = random_scene(6, "bbox")
    truth["images"] = [{**i, "id": f"i{i['id']}"} for i in truth["images"]]
    for records in (truth["annotations"], results):
        for record in records:
            record["image_id"] = f"i{record['image_id']}"
    expected = run_pycocotools(truth, results, "bbox")[0].stats
    assert_same(evaluate_coco(truth, results, "bbox", CocoOptions(backend)), expected, NAMES["bbox"])


@backends
def test_crowd_flag_may_be_absent(backend):
    """It then means 0; pycocotools fails."""
    truth, results = random_scene(2, "bbox", crowd_share=0)
    bare = {**truth, "annotations": [{k: v for k, v in a.items() if k != "iscrowd"} for a in truth["annotations"]]}
    np.testing.assert_equal(
        evaluate_coco(bare, results, "bbox", CocoOptions(backend)).numbers,
        evaluate_coco(truth, results, "bbox", CocoOptions(backend)).numbers,
    )


@backends
def test_mask_area_decides_even_beside_a_box(backend):
    truth = one_image([[0, 0, 20, 20]], segmentation=box_rle([0, 0, 20, 20]))
    found = {"image_id": 1, "category_id": 1, "segmentation": box_rle([100, 100, 8, 8]), "score": 0.5}
    with_large_box = {**found, "bbox": [0, 0, 150, 150]}
    numbers = [evaluate_coco(truth, [r], "segm", CocoOptions(backend)).numbers for r in (found, with_large_box)]
    np.testing.assert_equal(numbers[0], numbers[1])


@backends
@iou_types
def test_quiet_and_leaves_its_input_alone(backend, iou_type, capfd):
    truth, results = random_scene(7, iou_type)
    before = copy.deepcopy((truth, results))
    max_dets = (7,) if iou_type == "keypoints" else (1, 3, 7)
    evaluate_coco(truth, results, iou_type, CocoOptions(backend, max_dets=max_dets))
    evaluate_coco(truth, [], iou_type, CocoOptions(backend))
    assert (truth, results) == before
    assert capfd.readouterr() == ("", "")


def test_percent_of_a_single_class_has_no_class_key():
    truth = one_image([[0, 0, 10, 10]])
    truth["categories"] = truth["categories"][:1]
    percent = evaluate_coco(truth, detections(([0, 0, 10, 10], 0.5)), "bbox").percent()
    assert list(percent) == ["AP", "AP50", "AP75", "APs", "APm", "APl"]
    assert percent["AP"] == pytest.approx(100)


@backends
@iou_types
def test_other_iou_thresholds(backend, iou_type):
    """Each is pycocotools' mean at that threshold alone; COCO's own numbers stay as they are."""
    truth, results = random_scene(9, iou_type)
    reference = run_pycocotools(truth, results, iou_type)[0]
    found = evaluate_coco(truth, results, iou_type, CocoOptions(backend, iou_threshs=(0.3, 0.9, 1)))
    for iou, value in found.at_iou.items():
        reference.params.iouThrs = np.array([iou])
        reference.evaluate()
        reference.accumulate()
        precision = reference.eval["precision"][..., 0, -1]
        assert value == pytest.approx(precision[precision > -1].mean(), abs=1e-12)
    assert tuple(found.at_iou) == (0.3, 0.9, 1)
    usual = evaluate_coco(truth, results, iou_type, CocoOptions(backend))
    np.testing.assert_equal((found.numbers, found.per_category), (usual.numbers, usual.per_category))
    assert len(found.curves.iou_threshs) == 12  # 0.9 is among COCO's ten
    assert not usual.at_iou


@backends
def test_other_iou_thresholds_without_truth_are_undefined(backend):
    found = evaluate_coco(one_image([]), [], "bbox", CocoOptions(backend, iou_threshs=(0.3,)))
    assert math.isnan(found.at_iou[0.3])


@iou_types
def test_what_is_read_already(iou_type):
    truth, results = random_scene(8, iou_type)
    found = average_precision(read_coco_input(truth, results, iou_type))
    np.testing.assert_equal(found.numbers, evaluate_coco(truth, results, iou_type).numbers)


def test_lenient_reading():
    truth, good = one_image([[0, 0, 10, 10]]), detections(([0, 0, 10, 10], 0.5))
    skips = Skips()
    found = evaluate_coco(truth, [{**good[0], "image_id": 7}, *good], "bbox", CocoOptions(skips=skips))
    assert found.numbers == pytest.approx(evaluate_coco(truth, good, "bbox").numbers, nan_ok=True)
    assert list(skips.counts.values()) == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iou_type": "boundary"}, "iou_type is 'boundary', expected one of bbox, segm, keypoints"),
        ({"backend": "coco"}, "backend is 'coco', expected one of hotcoco, pycocotools"),
        ({"max_dets": (100,)}, "max_dets must be 3 rising counts"),
        ({"max_dets": (10, 1, 100)}, "max_dets must be 3 rising counts"),
        ({"iou_threshs": (0.3, 1.5)}, "iou_threshs: 1.5 is no IoU threshold: it must be above 0 and at most 1"),
        ({"iou_threshs": (0,)}, "iou_threshs: 0 is no IoU threshold"),
        ({"iou_threshs": (math.nan,)}, "iou_threshs: nan is no IoU threshold"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        evaluate_coco(one_image([]), [], options.pop("iou_type", "bbox"), CocoOptions(**options))
