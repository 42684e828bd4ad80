"""LVIS: names, faults, and lists of ids that follow their categories."""

from __future__ import annotations

import pytest
from lvis_files import URL, category, content, read, written
from mutated_json import mutated_files
from round_trips import assert_survives

from thingstuff.data.declared.same_categories import settle_categories
from thingstuff.data.formats import format_of
from thingstuff.data.formats.lvis import LVIS
from thingstuff.data.merge_data import merge
from thingstuff.data.subset import subset
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category


def test_images_are_called_by_the_end_of_their_url(tmp_path):
    truth = read(written(tmp_path / "lvis_v1_train.json", content()))
    names = ["train2017/000000391895.jpg", "val2017/000000000042.jpg"]
    assert truth.images == [one | {"file_name": name} for one, name in zip(content()["images"], names, strict=True)]
    assert truth.categories == content()["categories"]
    assert truth.annotations == [note | {"iscrowd": 0} for note in content()["annotations"]]
    assert truth.json_path is None  # since the file says neither names nor crowds
    labels = {category["id"]: category["name"] for category in truth.categories}
    assert [labels[note["category_id"]] for note in truth.annotations] == ["cat", "dog"]
    assert truth.notes == ()


def test_a_stated_name_counts_but_for_the_names_of_2014(tmp_path):
    value = content()
    value["images"][0]["file_name"] = "mine/a.jpg"
    value["images"][1]["file_name"] = "COCO_val2014_000000000042.jpg"
    truth = read(written(tmp_path / "a.json", value))
    assert [one["file_name"] for one in truth.images] == ["mine/a.jpg", "val2017/000000000042.jpg"]
    value["images"][1]["coco_url"] = f"{URL}val2014/COCO_val2014_000000000042.jpg"
    truth = read(written(tmp_path / "a.json", value))
    assert truth.images[1]["file_name"] == "COCO_val2014_000000000042.jpg"


@pytest.mark.parametrize("root", ["lvis", ".", "coco", "lvis/coco", "lvis/images"])
def test_images_are_found_as_detectron2_lays_them_out(tmp_path, root):
    path = written(tmp_path / "lvis/lvis_v1_train.json", content())
    (tmp_path / root / "train2017").mkdir(parents=True)
    (tmp_path / root / "train2017/000000391895.jpg").touch()
    assert read(path).image_root.resolve() == (tmp_path / root).resolve()
    assert read(path, images=tmp_path / "x").image_root == tmp_path / "x"


def test_it_is_recognised_by_its_ends(tmp_path):
    path = written(tmp_path / "a.json", content())
    assert format_of("auto", path) is LVIS
    many = content()
    many["annotations"] *= 2000
    many["categories"] = [category(n, f"name of the category {n}", "f") for n in range(2000)]
    assert format_of("auto", written(tmp_path / "long.json", many)) is LVIS
    plain = content()
    for record in (*plain["images"], *plain["categories"]):
        for key in ("neg_category_ids", "not_exhaustive_category_ids", "synset"):
            record.pop(key, None)
    assert format_of("auto", written(tmp_path / "plain.json", plain)).name == "coco"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"coco_url": None}, "expected a coco_url or a file_name, got None and None"),
        ({"coco_url": "/"}, "expected a coco_url or a file_name, got '/' and None"),
        ({"coco_url": 5, "file_name": ""}, "expected a coco_url or a file_name, got 5 and ''"),
    ],
)
def test_images_without_a_name_are_faults(tmp_path, changed, message):
    value = content()
    value["images"][0] |= changed
    path = written(tmp_path / "a.json", value)
    with pytest.raises(DataError, match=rf"1 images without a name \(a.json: images\[0\]: {message}\)"):
        read(path)
    truth = read(path, lenient=True)
    assert [one["id"] for one in truth.images] == [3]
    assert [note["id"] for note in truth.annotations] == [7]
    assert (truth.image_place(0), truth.annotation_place(0)) == (f"{path}: images[1]", f"{path}: annotations[1]")
    assert "left out: 1 x images without a name" in truth.notes[0]


def test_damaged_files_are_refused_in_one_line_or_read(tmp_path):
    path = tmp_path / "a.json"
    assert_survives(lambda: read(path), path, mutated_files(content(), 300))


# ---- ids that change ---------------------------------------------------------------------------------------------


def test_declared_categories_take_the_lists_of_the_images_along(tmp_path):
    truth = read(written(tmp_path / "a.json", content()))
    declared = Categories((Category(1, "cat"), Category(2, "dog")))
    settled = settle_categories({"train": truth}, declared)["train"]
    assert [one["neg_category_ids"] for one in settled.images] == [[2], [1]]
    assert [one["not_exhaustive_category_ids"] for one in settled.images] == [[1], []]
    assert [note["category_id"] for note in settled.annotations] == [1, 2]
    assert truth.images[0]["neg_category_ids"] == [1]  # what was handed in is as before


def test_merged_data_sets_take_them_along_too(tmp_path):
    one = read(written(tmp_path / "one/a.json", content()))
    value = content()
    for record, own in zip(value["categories"], (4, 0, 1), strict=True):
        record["id"] = own
    other = read(written(tmp_path / "other/a.json", value))
    whole = merge([one, other], ["one", "other"])
    assert [record["neg_category_ids"] for record in whole.images] == [[1], [0, 4], [1], [4, 0]]
    names = {record["id"]: record["name"] for record in whole.categories}
    assert names == {0: "background", 4: "cat", 1: "dog"}


def test_some_of_the_images_keep_their_fields(tmp_path):
    truth = read(written(tmp_path / "a.json", content()))
    part = subset(truth, {"val2017/000000000042.jpg"})
    assert part.images == truth.images[1:]
