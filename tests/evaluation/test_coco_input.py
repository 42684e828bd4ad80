"""What is refused before a number is computed: each message names the record and what is wrong with it."""

from __future__ import annotations

import json

import pytest
from coco_scenes import box_rle

from thingstuff.errors import DataError
from thingstuff.evaluation.coco_input import read_coco_input


def truth(**fields):
    annotation = {"id": 5, "image_id": 7, "category_id": 3, "bbox": [0, 0, 8, 8], "area": 64, "iscrowd": 0}
    annotation |= {"segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]], **fields}
    return {
        "images": [{"id": 7, "height": 160, "width": 160}, {"id": 9, "height": 160, "width": 160}],
        "categories": [{"id": 3, "name": "a"}],
        "annotations": [annotation],
    }


def result(**fields):
    found = {"image_id": 7, "category_id": 3, "score": 0.5, "bbox": [0, 0, 8, 8], "segmentation": box_rle([0, 0, 8, 8])}
    return {**found, **fields}


def without(record, field):
    return {key: value for key, value in record.items() if key != field}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (result(image_id=8), r"results\[1\]: image_id 8 is not in the ground truth"),
        (result(category_id=1), r"results\[1\]: category_id 1 is not in the ground truth"),
        (without(result(), "image_id"), r"results\[1\]: has no 'image_id'"),
        (without(result(), "score"), r"results\[1\]: has no 'score'"),
        (result(score=float("nan")), r"results\[1\]: score nan is not a number"),
        (result(score="high"), r"results\[1\]: score 'high' is not a number"),
        ([1, 2], r"results\[1\]: expected a detection, got list"),
    ],
)
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_bad_result(bad, message, iou_type):
    with pytest.raises(DataError, match=message):
        read_coco_input(truth(), [result(), bad], iou_type)


@pytest.mark.parametrize(
    ("iou_type", "fields", "message"),
    [
        ("bbox", {"bbox": [0, 0, 8]}, "bbox must be 4 finite numbers"),
        ("bbox", {"bbox": [0, 0, 8, float("nan")]}, "bbox must be 4 finite numbers"),
        ("bbox", {"bbox": None}, "has no 'bbox'"),
        ("segm", {"segmentation": [[0, 0, 8, 0, 8, 8]]}, "segmentation must be compressed RLE"),
        ("segm", {"segmentation": {"size": [160, 160], "counts": [0, 25600]}}, "segmentation must be compressed RLE"),
        ("segm", {"segmentation": box_rle([0, 0, 8, 8], 100)}, r"\(100, 100\), but its image has \(160, 160\)"),
        ("keypoints", {"keypoints": [0] * 15}, "keypoints must be 51 finite numbers"),
    ],
)
def test_bad_shape_of_a_result(iou_type, fields, message):
    whole = truth(keypoints=[0] * 51)
    with pytest.raises(DataError, match=rf"results\[0\]: .*{message}"):
        read_coco_input(whole, [result(**fields)], iou_type)


@pytest.mark.parametrize(
    ("iou_type", "fields", "message"),
    [
        ("bbox", {"area": None}, "has no 'area'"),
        ("bbox", {"bbox": []}, "bbox must be 4 finite numbers"),
        ("segm", {"segmentation": []}, "segmentation must be RLE or polygons of at least 3 points"),
        ("segm", {"segmentation": [[0, 0, 8, 8]]}, "segmentation must be RLE or polygons of at least 3 points"),
        ("segm", {"segmentation": box_rle([0, 0, 8, 8], 100)}, r"\(100, 100\), but its image has \(160, 160\)"),
    ],
)
def test_bad_annotation(iou_type, fields, message):
    with pytest.raises(DataError, match=rf"ground truth: annotations\[0\] \(id 5\): .*{message}"):
        read_coco_input(truth(**fields), [], iou_type)


@pytest.mark.parametrize("key", ["images", "categories", "annotations"])
def test_repeated_ids(key):
    whole = truth()
    with pytest.raises(DataError, match=r"two records share the \w+ id"):
        read_coco_input({**whole, key: whole[key] * 2}, [], "bbox")


def test_repeated_category_name():
    whole = truth()
    whole["categories"].append({"id": 4, "name": "a"})
    with pytest.raises(DataError, match="two records share the category name 'a'"):
        read_coco_input(whole, [], "bbox")


def test_ids_of_mixed_types():
    whole = truth()
    whole["images"].append({"id": "7"})
    with pytest.raises(DataError, match="image ids are missing or of mixed types"):
        read_coco_input(whole, [], "bbox")


def test_unknown_chosen_image():
    with pytest.raises(DataError, match="image_ids: 8 is no image of the ground truth"):
        read_coco_input(truth(), [], "bbox", image_ids=[7, 8])


def test_polygons_need_the_size_of_their_image():
    whole = truth()
    del whole["images"][0]["height"]
    with pytest.raises(DataError, match="its image has no height and width"):
        read_coco_input(whole, [], "segm")


def test_truth_of_unlisted_images_and_categories_is_left_out():
    whole = truth()
    whole["annotations"] += [{**whole["annotations"][0], "id": i, **other} for i, other in ((6, {"image_id": 1}),)]
    whole["annotations"] += [{**whole["annotations"][0], "id": 8, "category_id": 1}]
    assert len(read_coco_input(whole, [], "bbox").truths) == 1


def test_chosen_images_keep_their_records_only():
    data = read_coco_input(truth(), [result(), result(image_id=9)], "bbox", image_ids=[9])
    assert (len(data.images), len(data.truths), len(data.results)) == (1, 0, 1)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), ("{", "is not JSON"), ("[]", "no list of 'images'")]
)
def test_bad_file(tmp_path, content, message):
    path = tmp_path / "truth.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_coco_input(path, [], "bbox")


def test_files_read_as_what_they_hold(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(truth()))
    (tmp_path / "found.json").write_text(json.dumps([result()]))
    from_files = read_coco_input(tmp_path / "truth.json", str(tmp_path / "found.json"), "segm")
    assert from_files == read_coco_input(truth(), [result()], "segm")
