"""Data sets as one: categories by name, new ids, distinct names, label maps in one numbering; and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thingstuff.data.merge_data import merge
from thingstuff.data.stuff_maps import to_stuff_map
from thingstuff.data.truth import PanopticFiles, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.structures import VOID, Categories
from thingstuff.structures.png import write_png


def truth(folder, name="a", categories=("cat", "dög"), images=("1.jpg", "x/2.jpg"), **more):
    """Ids: categories 1, 2 ..., images 10, 11 ...; one annotation an image, of the first category."""
    records = [{"id": 10 + n, "file_name": image, "width": 4, "height": 3} for n, image in enumerate(images)]
    notes = [
        {"id": 7 + n, "image_id": record["id"], "category_id": 1, "bbox": [n, 0, 1, 1], "note": name}
        for n, record in enumerate(records)
    ]
    kinds = [{"id": n, "name": kind} for n, kind in enumerate(categories, 1)]
    return replace(SplitTruth(f"{name}.json", folder / name, kinds, records, notes), **more)


def test_ids_are_new_and_all_records_are_there(tmp_path):
    a, b = truth(tmp_path), truth(tmp_path, "b", ("dög", "bird", "cat"))
    found = merge([a, b], ["a", "b"])
    assert found.name == "a + b"
    assert found.image_root == tmp_path
    # the b of `b` is free, so that nothing but the names counts: dög 1 -> 2, bird 2 -> 3, cat 3 -> 1
    assert found.categories == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dög"}, {"id": 3, "name": "bird"}]
    assert [(i["id"], i["file_name"]) for i in found.images] == [
        (1, "a/1.jpg"), (2, "a/x/2.jpg"), (3, "b/1.jpg"), (4, "b/x/2.jpg")
    ]  # fmt: skip
    assert [(n["id"], n["image_id"], n["category_id"], n["note"], n["bbox"][0]) for n in found.annotations] == [
        (1, 1, 1, "a", 0), (2, 2, 1, "a", 1), (3, 3, 2, "b", 0), (4, 4, 2, "b", 1)
    ]  # fmt: skip
    assert found.annotation_place(3) == "b.json: annotations[1]"
    assert found.image_place(2) == "b.json: images[0]"
    assert found.json_path is None
    assert a == truth(tmp_path), "what was given is as it was"


def test_ids_that_are_free_stay(tmp_path):
    b = truth(tmp_path, "b")
    b.categories[:] = [{"id": 40, "name": "bird"}, {"id": 1, "name": "cat", "supercategory": "animal"}]
    b.annotations[0]["category_id"] = 40
    found = merge([truth(tmp_path), b], ["a", "b"])
    assert [(c["id"], c["name"]) for c in found.categories] == [(1, "cat"), (2, "dög"), (40, "bird")]
    assert found.categories[0]["supercategory"] == "animal"
    assert [n["category_id"] for n in found.annotations] == [1, 1, 40, 1]


def test_one_folder_and_folders_in_each_other(tmp_path):
    a, b = truth(tmp_path, "same"), truth(tmp_path, "same", images=("3.jpg",))
    assert [i["file_name"] for i in merge([a, b], ["a", "b"]).images] == ["1.jpg", "x/2.jpg", "3.jpg"]
    inner = truth(tmp_path / "same", "x", images=("1.jpg",))
    found = merge([a, inner], ["a", "b"])
    assert (found.image_root, found.images[2]["file_name"]) == (tmp_path / "same", "x/1.jpg")


def test_one_data_set_and_none_and_empty_ones(tmp_path):
    alone = merge([truth(tmp_path)], ["a"])
    assert [i["file_name"] for i in alone.images] == ["1.jpg", "x/2.jpg"]
    empty = truth(tmp_path, "b", (), ())
    both = merge([empty, truth(tmp_path)], ["empty", "a"])
    assert (len(both.images), len(both.annotations), len(both.categories)) == (2, 2, 2)
    with pytest.raises(DataError, match="one data set or more"):
        merge([], [])


@pytest.mark.parametrize("link", [False, True])
def test_an_image_that_is_there_twice_is_refused(tmp_path, link):
    folder = "a"
    if link:
        (tmp_path / "a").mkdir()
        (tmp_path / "linked").symlink_to(tmp_path / "a")
        folder = "linked"
    with pytest.raises(DataError, match=r"b: b.json: images\[0\] and a: a.json: images\[1\] are the same image"):
        merge([truth(tmp_path), truth(tmp_path, "b", images=("./x/2.jpg",), image_root=tmp_path / folder)], ["a", "b"])


def one_kind(tmp_path, name, labels, label_ids, void):
    """A data set of one image, whose label map is `labels`."""
    path = tmp_path / f"{name}.png"
    write_png(path, labels)
    found = truth(tmp_path, name, images=("1.jpg",))
    found.categories.extend({"id": n, "name": n_name, "isthing": 0} for n, n_name in ((3, "sky"), (4, "sea")))
    return replace(found, stuff=StuffFiles({10: path}, label_ids, frozenset(void)))


@pytest.mark.parametrize("same_numbers", [True, False])
def test_label_maps_mean_the_same_as_before(tmp_path, same_numbers):
    labels = np.array([[0, 1, 2, 255]], np.uint8)  # things, sky, sea, void
    a = one_kind(tmp_path, "a", labels, {0: None, 1: 3, 2: 4}, {255})
    b = a
    if same_numbers:
        b = one_kind(tmp_path, "b", labels, {0: None, 1: 3, 2: 4}, {255})
    else:
        turned = np.array([[9, 1, 0, 7]], np.uint8)
        b = one_kind(tmp_path, "b", turned, {9: None, 1: 3, 0: 4}, {7, 8})
    found = merge([a, b], ["a", "b"])
    categories = Categories.from_coco(found.categories)
    for image in found.images:
        assert to_stuff_map(found.stuff.read(image["id"]), found.stuff, categories).tolist() == [[0, 1, 2, VOID]]
    assert bool(found.stuff.drawn) is not same_numbers
    assert found.notes == ()


def test_a_label_without_meaning_is_named_when_it_is_read(tmp_path):
    a = one_kind(tmp_path, "a", np.array([[0, 6]], np.uint8), {0: None, 1: 3}, {255})
    b = one_kind(tmp_path, "b", np.array([[1, 1]], np.uint8), {1: 4}, {255})
    found = merge([a, b], ["a", "b"])
    assert found.stuff.read(2).shape == (1, 2)
    with pytest.raises(DataError, match=r"a.png: the label 6 is no category's"):
        found.stuff.read(1)


def test_what_is_left_out_is_noted(tmp_path):
    a = one_kind(tmp_path, "a", np.zeros((1, 1), np.uint8), {0: None}, {255})
    a = replace(a, notes=("said before",), panoptic=PanopticFiles(Path("p.json"), Path("p"), []))
    found = merge([a, truth(tmp_path, "b")], ["a", "b"])
    assert found.stuff is None
    assert found.panoptic is None
    assert len(found.notes) == 3
    assert found.notes[0] == "said before"
    assert found.notes[1].startswith("b without label maps")
    assert "panoptic truth of a" in found.notes[2]


def test_data_sets_without_instances(tmp_path):
    bare, other = (truth(tmp_path, name, annotations=None) for name in "ab")
    with pytest.raises(DataError, match="a holds instances, and b does not"):
        merge([truth(tmp_path), replace(other)], ["a", "b"])
    with pytest.raises(DataError, match="nothing would be left"):
        merge([bare, other], ["a", "b"])
    with_maps = [
        replace(one_kind(tmp_path, n, np.zeros((1, 1), np.uint8), {0: 3}, {9}), annotations=None) for n in "ab"
    ]
    assert merge(with_maps, ["a", "b"]).annotations is None


@pytest.mark.parametrize(
    ("kind", "record", "words"),
    [
        ("categories", {"id": 1, "name": "other"}, r"b: categories\[2\]: the id 1 is that of another"),
        ("categories", {"id": 9, "name": "cat"}, "two categories have one name"),
        ("categories", {"id": "9", "name": "fish"}, "integer id"),
        ("categories", {"id": True, "name": "fish"}, "integer id"),
        ("categories", {"id": 9, "name": None}, "integer id and a name"),
        ("categories", {"id": 9}, "integer id and a name"),
        ("images", {"id": 10, "file_name": "9.jpg"}, r"b.json: images\[2\]: the image id 10: another image has it"),
        ("images", {"id": [1], "file_name": "9.jpg"}, "expected a number or a text"),
        ("images", {"id": 99, "file_name": "../9.jpg"}, "below the image folder"),
        ("images", {"id": 99, "file_name": "/etc/9.jpg"}, "below the image folder"),
        ("images", {"id": 99}, "below the image folder"),
        ("annotations", {"image_id": 9, "category_id": 1}, r"b.json: annotations\[2\]: the image_id 9 is unknown"),
        ("annotations", {"image_id": 10, "category_id": "cat"}, "the category_id 'cat' is unknown"),
        ("annotations", {"image_id": 10, "category_id": [1]}, r"the category_id \[1\] is unknown"),
        ("annotations", {}, "the image_id None is unknown"),
    ],
)
def test_damaged_records_are_named(tmp_path, kind, record, words):
    b = truth(tmp_path, "b")
    getattr(b, kind).append(record)
    with pytest.raises(DataError, match=words) as caught:
        merge([truth(tmp_path), b], ["a", "b"])
    assert "\n" not in str(caught.value)


def test_categories_that_contradict_each_other_are_refused(tmp_path):
    a, b = truth(tmp_path), truth(tmp_path, "b")
    b.categories[0]["isthing"] = 0
    with pytest.raises(DataError, match="a and b: 'cat' is a thing in one and stuff in the other"):
        merge([a, b], ["a", "b"])
    del b.categories[0]["isthing"]
    a.categories[0]["keypoints"], b.categories[0]["keypoints"] = ["nose"], ["tail"]
    with pytest.raises(DataError, match="other keypoints"):
        merge([a, b], ["a", "b"])
