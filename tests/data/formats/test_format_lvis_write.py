"""LVIS: what is written, from LVIS and from other data, and who reads it."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections import defaultdict

import numpy as np
import pytest
from lvis_files import POLYGON, content, read, written
from PIL import Image
from round_trips import assert_same_masks, coco_tiny, masks_of, shapes_truth, without_crowds

from thingstuff.data.formats import WriteOptions, format_of
from thingstuff.data.formats.lvis import LVIS
from thingstuff.data.open_data import open_data
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.evaluation import evaluate_lvis
from thingstuff.report.ground_truth import open_truth
from thingstuff.structures import MaskCrops


def test_written_again_nothing_is_lost(tmp_path):
    truth = read(written(tmp_path / "in/a.json", content()))
    path = LVIS.write(truth, tmp_path / "out", WriteOptions())
    assert format_of("auto", path) is LVIS
    again = read(path, images=truth.image_root)
    assert (again.images, again.categories) == (truth.images, truth.categories)
    assert sorted(again.annotations, key=str) == sorted(truth.annotations, key=str)


def test_lists_lose_categories_that_are_gone(tmp_path):
    truth = read(written(tmp_path / "in/a.json", content()))
    truth = dataclasses.replace(truth, categories=truth.categories[1:])
    value = json.loads(LVIS.write(truth, tmp_path / "out", WriteOptions()).read_text())
    assert [one["neg_category_ids"] for one in value["images"]] == [[1], [4]]


def test_other_data_count_as_labelled_exhaustively(tmp_path, caplog):
    """11 images with a cat, 1 with a dog, a bird in a crowd, and a category that nothing uses."""
    notes = [note(n, n, 5) for n in range(11)] + [note(20, 0, 0), note(21, 0, 9, iscrowd=1), note(22, 1, 9, box=True)]
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 30, "height": 20} for n in range(11)]
    names = {9: "bird", 5: "cat", 0: "dog", 3: "fish"}
    categories = [{"id": own, "name": name} for own, name in names.items()] + [{"id": 8, "name": "sky", "isthing": 0}]
    path = LVIS.write(SplitTruth("made", tmp_path, categories, images, notes), tmp_path / "out", WriteOptions())
    value = json.loads(path.read_text())
    assert [(c["name"], c["frequency"], c["image_count"], c["instance_count"]) for c in value["categories"]] == [
        ("bird", "r", 0, 0),
        ("cat", "c", 11, 11),
        ("dog", "r", 1, 1),
        ("fish", "r", 0, 0),
    ]
    assert [one["neg_category_ids"] for one in value["images"][:3]] == [[3], [0, 3], [9, 0, 3]]
    assert [one["not_exhaustive_category_ids"] for one in value["images"][:3]] == [[9], [9], []]
    assert not any("iscrowd" in each or "keypoints" in each for each in value["annotations"])
    assert "left out: 1 crowd regions, which lvis cannot hold" in caplog.text
    assert "left out: 1 boxes without a mask, which lvis cannot hold" in caplog.text


def note(own, image_id, category_id, box=False, **more):
    shape = {} if box else {"segmentation": [POLYGON]}
    return {"id": own, "image_id": image_id, "category_id": category_id, "bbox": [2, 2, 7, 6], **shape, **more}


@pytest.mark.parametrize(("count", "frequency"), [(1, "r"), (10, "r"), (11, "c"), (100, "c"), (101, "f")])
def test_frequencies_have_the_limits_of_lvis(tmp_path, count, frequency):
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 30, "height": 20} for n in range(count)]
    notes = [note(n, n // 2, 1) for n in range(2 * count)]
    truth = SplitTruth("made", tmp_path, [{"id": 1, "name": "cat"}], images, notes)
    (found,) = json.loads(LVIS.write(truth, tmp_path / "out", WriteOptions()).read_text())["categories"]
    assert (found["frequency"], found["image_count"], found["instance_count"]) == (frequency, count, 2 * count)


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    truth = without_crowds(shapes_truth(small_shapes))
    again = read(LVIS.write(truth, tmp_path / "out", WriteOptions(copy_images=True)))
    assert again.image_root == tmp_path / "out/images"
    assert_same_masks(again, truth)


def test_real_polygons_are_written_and_read_again(tmp_path):
    truth = without_crowds(coco_tiny())
    again = read(LVIS.write(truth, tmp_path / "out", WriteOptions()), images=truth.image_root)
    assert [each["segmentation"] for each in again.annotations if isinstance(each["segmentation"], list)]
    assert_same_masks(again, truth)


def test_masks_with_holes_and_parts_are_polygons_that_draw_them(tmp_path, caplog):
    rng = np.random.default_rng(0)
    masks = np.concatenate([rng.random((20, 20, 30)) < 0.6, np.zeros((1, 20, 30), bool)])
    notes = [
        {"id": 5, "image_id": 1, "category_id": 1, "segmentation": rle}
        for rle in MaskCrops.from_bitmaps(masks).to_rles()
    ]
    image = {"id": 1, "file_name": "a.jpg", "width": 30, "height": 20}
    truth = SplitTruth("made", tmp_path, [{"id": 1, "name": "cat"}], [image], notes)
    again = read(LVIS.write(truth, tmp_path / "out", WriteOptions()))
    assert all(isinstance(each["segmentation"], list) for each in again.annotations)
    assert len({each["id"] for each in again.annotations}) == 20  # though all were 5
    for (_, _, mask), expected in zip(masks_of(again)["a.jpg"], masks[:20], strict=True):
        np.testing.assert_array_equal(mask, expected)
    assert [each["area"] for each in again.annotations] == [mask.sum() for mask in masks[:20]]
    assert "left out: 1 masks without a pixel, which lvis cannot hold" in caplog.text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"neg_category_ids": 5}, r"images\[0\]: expected neg_category_ids as a list of category ids, got 5"),
        ({"not_exhaustive_category_ids": "x"}, r"images\[0\]: expected not_exhaustive_category_ids as a list"),
    ],
)
def test_lists_that_are_none_are_refused(tmp_path, changed, message):
    value = content()
    value["images"][0] |= changed
    truth = read(written(tmp_path / "a.json", value))
    with pytest.raises(DataError, match=message):
        LVIS.write(truth, tmp_path / "out", WriteOptions())


# ---- who reads it ------------------------------------------------------------------------------------------------


def test_our_evaluation_takes_it_for_lvis(small_shapes, tmp_path):
    """Perfect results have AP 1, and what is known to be absent counts as a mistake."""
    truth = without_crowds(shapes_truth(small_shapes))
    path = LVIS.write(truth, tmp_path / "out", WriteOptions())
    opened = open_truth(str(path))
    assert set(opened.key_ids) == {one["file_name"] for one in truth.images}
    results = [
        {key: each[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.5} for each in truth.annotations
    ]
    found = evaluate_lvis(opened.instances, results, "bbox")
    assert found.numbers["AP"] == pytest.approx(1)
    absent = json.loads(path.read_text())["images"][0]
    wrong = {"image_id": absent["id"], "category_id": absent["neg_category_ids"][0], "bbox": [0, 0, 9, 9], "score": 1}
    assert evaluate_lvis(opened.instances, [*results, wrong], "bbox").numbers["AP"] < 1


class OfLvisApi:
    """What Detectron2 asks of lvis-api's class, which reads the JSON and sorts it by ids."""

    def __init__(self, path):
        with open(path) as file:  # noqa: PTH123
            value = json.load(file)
        self.imgs = {one["id"]: one for one in value["images"]}
        self.img_ann_map = defaultdict(list)
        for each in value["annotations"]:
            self.img_ann_map[each["image_id"]].append(each)

    def load_imgs(self, ids):
        return [self.imgs[own] for own in ids]


def test_a_registered_data_set_is_opened_with_its_names(tmp_path, monkeypatch):
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from detectron2.data.datasets.lvis import register_lvis_instances

    monkeypatch.setitem(sys.modules, "lvis", types.SimpleNamespace(LVIS=OfLvisApi))
    path = written(tmp_path / "lvis_v1_val.json", content())
    register_lvis_instances("my_lvis_v1", {}, str(path), f"{tmp_path}/")
    try:
        truth = open_data("my_lvis_v1").splits["my_lvis_v1"]
    finally:
        DatasetCatalog.remove("my_lvis_v1")
        MetadataCatalog.remove("my_lvis_v1")
    assert [one["file_name"] for one in truth.images] == ["train2017/000000391895.jpg", "val2017/000000000042.jpg"]
    assert truth.image_root == tmp_path


def test_detectron2_reads_it(small_shapes, tmp_path, monkeypatch):
    from detectron2.data.datasets.lvis import load_lvis_json

    monkeypatch.setitem(sys.modules, "lvis", types.SimpleNamespace(LVIS=OfLvisApi))
    truth = without_crowds(shapes_truth(small_shapes))
    path = LVIS.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    records = load_lvis_json(str(path), f"{path.parent / 'images'}/")
    assert sum(len(record["annotations"]) for record in records) == len(truth.annotations)
    for record in records:
        with Image.open(record["file_name"]) as picture:
            assert picture.size == (record["width"], record["height"])
