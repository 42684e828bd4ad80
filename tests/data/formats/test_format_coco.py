import gc
import json

import numpy as np
import pytest
from helpers import SHARED
from pycocotools import mask as coco_mask

from thingstuff.data.formats.coco import COCO
from thingstuff.data.formats.format import Source, WriteOptions
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops

POLYGON = [2.5, 2.0, 9.25, 2.0, 9.25, 8.0]
UNCOMPRESSED = {"size": [20, 30], "counts": [25, 10, 10, 10, 545]}
COMPRESSED = {"size": [20, 30], "counts": coco_mask.frPyObjects(UNCOMPRESSED, 20, 30)["counts"].decode()}


def content():
    """Two images; a polygon, a crowd as uncompressed RLE, and a person with keypoints; keys of somebody else."""
    return {
        "info": {"year": 2017},
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 30, "height": 20, "license": 3},
            {"id": 9, "file_name": "b.jpg"},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "segmentation": [POLYGON], "bbox": [2, 2, 7, 6], "mine": "x"},
            {"id": 2, "image_id": 7, "category_id": 2, "segmentation": UNCOMPRESSED, "iscrowd": 1, "area": 20},
            {"id": 3, "image_id": 9, "category_id": 1, "keypoints": [1, 1, 2], "num_keypoints": 1, "area": 0.5},
        ],
        "categories": [
            {"id": 1, "name": "person", "supercategory": "person", "keypoints": ["nose"], "skeleton": []},
            {"id": 2, "name": "cat", "supercategory": "animal"},
        ],
    }


def written(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def read(path, **more):
    return COCO.read(Source(path, **more))


def masks(truth):
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth.images}
    notes = truth.annotations
    return [MaskCrops.from_coco([note["segmentation"]], *sizes[note["image_id"]]).to_bitmaps()[0] for note in notes]


def test_what_the_file_says_is_read_as_it_is(tmp_path):
    path = written(tmp_path / "annotations" / "instances.json", content())
    truth = read(path)
    assert truth.images == content()["images"]
    assert truth.annotations == content()["annotations"]
    assert truth.categories == content()["categories"]
    assert truth.json_path == path
    assert truth.annotation_place(1) == f"{path}: annotations[1]"
    assert truth.stuff is None and truth.panoptic is None and truth.notes == ()


def test_equal_numbers_are_one_object(tmp_path):
    truth = read(written(tmp_path / "a.json", content()))
    numbers = truth.annotations[0]["segmentation"][0]
    assert numbers[2] == 9.25 and numbers[2] is numbers[4]


def test_the_collector_is_left_as_it_was(tmp_path):
    path = written(tmp_path / "a.json", content())
    read(path)
    assert gc.isenabled()
    gc.disable()
    try:
        read(path)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_json_may_have(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(content() | {"info": "Grüße"}, ensure_ascii=False).encode(encoding))
    assert len(read(path).annotations) == 3


# ---- where things are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("json_name", "image_folder"),
    [
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/person_keypoints_val2017.json", "val2017"),
        ("annotations/instances_train_day.json", "images/train_day"),
        ("annotations/train.json", "images/train"),
        ("train/_annotations.coco.json", "train"),
        ("result.json", "images"),
        ("result.json", "."),
    ],
)
def test_images_are_found_near_the_json(tmp_path, json_name, image_folder):
    path = written(tmp_path / json_name, content())
    (tmp_path / "train2017").mkdir(exist_ok=True)
    (tmp_path / image_folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / image_folder / "b.jpg").touch()
    assert read(path).image_root.resolve() == (tmp_path / image_folder).resolve()


def test_without_any_image_the_name_of_the_folder_counts(tmp_path):
    path = written(tmp_path / "annotations" / "instances_val2017.json", content())
    assert read(path).image_root == path.parent
    (tmp_path / "val2017").mkdir()
    assert read(path).image_root == tmp_path / "val2017"


def test_images_that_are_given_are_not_looked_for(tmp_path):
    assert read(written(tmp_path / "a.json", content()), images=tmp_path / "x").image_root == tmp_path / "x"


def test_a_folder_stands_for_its_one_json(tmp_path):
    path = written(tmp_path / "only.json", content())
    assert read(tmp_path).json_path == path
    written(tmp_path / "other.json", content())
    with pytest.raises(DataError, match=r"holds 2: only.json, other.json"):
        read(tmp_path)
    by_roboflow = written(tmp_path / "_annotations.coco.json", content())
    assert read(tmp_path).json_path == by_roboflow


def test_a_folder_without_json_is_refused(tmp_path):
    with pytest.raises(DataError, match="it holds none"):
        read(tmp_path)


# ---- Roboflow's category 0 ---------------------------------------------------------------------------------------


def roboflow(**root):
    value = content()
    for category in value["categories"]:
        category["supercategory"] = "pets"
    value["categories"].insert(0, {"id": 0, "name": "pets", "supercategory": "none"} | root)
    return value


def test_the_category_that_only_groups_the_others_is_left_out(tmp_path):
    truth = read(written(tmp_path / "_annotations.coco.json", roboflow()))
    assert [category["id"] for category in truth.categories] == [1, 2]
    assert truth.json_path is None  # since that file says something else
    assert len(truth.notes) == 1 and "'pets' (id 0)" in truth.notes[0]


@pytest.mark.parametrize("case", ["used", "other id", "other name", "alone"])
def test_other_categories_stay(tmp_path, case):
    value = roboflow(**{"other id": {"id": 5}, "other name": {"name": "zoo"}}.get(case, {}))
    if case == "used":
        value["annotations"][0]["category_id"] = 0
    if case == "alone":
        value["categories"] = value["categories"][:1]
    truth = read(written(tmp_path / "a.json", value))
    assert truth.categories == value["categories"] and not truth.notes


# ---- writing -----------------------------------------------------------------------------------------------------


def test_written_again_all_stays_but_masks_are_compressed(tmp_path):
    truth = read(written(tmp_path / "a.json", content()))
    path = COCO.write(truth, tmp_path / "out", WriteOptions())
    assert path == tmp_path / "out" / "annotations.json"
    again = read(path)
    expected = content()["annotations"]
    expected[1]["segmentation"] = COMPRESSED
    assert (again.images, again.annotations, again.categories) == (truth.images, expected, truth.categories)
    assert truth.annotations == content()["annotations"]  # what was handed in is as before


def test_damaged_values_are_written_as_they_are_or_null(tmp_path):
    value = content()
    value["annotations"][0]["area"] = float("nan")
    value["annotations"][1]["segmentation"] = {"size": [20, 30], "counts": [5, -1, "a"]}
    truth = read(written(tmp_path / "a.json", value))
    again = read(COCO.write(truth, tmp_path / "out", WriteOptions()))
    assert again.annotations[0]["area"] is None
    assert again.annotations[1]["segmentation"]["counts"] == [5, -1, "a"]


def test_images_are_copied_if_asked(tmp_path):
    value = content()
    value["images"][1]["file_name"] = "night/b.jpg"
    path = written(tmp_path / "a.json", value)
    (tmp_path / "night").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"A")
    (tmp_path / "night" / "b.jpg").write_bytes(b"B")
    again = COCO.write(read(path), tmp_path / "out", WriteOptions(copy_images=True))
    assert (tmp_path / "out" / "images" / "night" / "b.jpg").read_bytes() == b"B"
    assert read(again).image_root == tmp_path / "out" / "images"


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "x/../../a.jpg", None, 5, "", "missing.jpg"])
def test_images_that_cannot_be_copied_are_refused(tmp_path, name):
    value = content()
    value["images"][0]["file_name"] = name
    truth = read(written(tmp_path / "in" / "a.json", value))
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DataError, match=r"a.json: images\[0\]"):
        COCO.write(truth, tmp_path / "in" / "out", WriteOptions(copy_images=True))
    assert not list((tmp_path / "in" / "out").rglob("*.json"))


def test_a_split_without_instances_is_refused(tmp_path):
    from dataclasses import replace

    truth = replace(read(written(tmp_path / "a.json", content())), annotations=None)
    with pytest.raises(DataError, match="has no instances"):
        COCO.write(truth, tmp_path / "out", WriteOptions())


def test_shapes_round_trip(small_shapes, tmp_path):
    truth = read(small_shapes / "annotations" / "instances_train.json")
    assert truth.image_root == small_shapes / "train"
    again = read(COCO.write(truth, tmp_path / "out", WriteOptions(copy_images=True)))
    assert again.annotations == truth.annotations
    assert all(np.array_equal(a, b) for a, b in zip(masks(again), masks(truth), strict=True))


@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/data")
@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_real_coco_round_trip(tmp_path, split):
    truth = read(SHARED / "real" / "coco_tiny" / "annotations" / f"instances_{split}.json")
    assert len(truth.images) == 80
    again = read(COCO.write(truth, tmp_path / "out", WriteOptions()))
    assert all(np.array_equal(a, b) for a, b in zip(masks(again), masks(truth), strict=True))
    assert [note["bbox"] for note in again.annotations] == [note["bbox"] for note in truth.annotations]
