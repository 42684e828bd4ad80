"""FiftyOne's COCODetectionDataset, written by hand after "COCODetectionDataset" in its user guide on importing data.

Categories count from 0 there, or are missing; `fiftyone.utils.coco` then calls a label by its id.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from mutated_json import mutated_files
from PIL import Image
from round_trips import assert_same_masks, assert_survives, coco_tiny, shapes_truth

from thingstuff.data.formats import Source, WriteOptions, format_of
from thingstuff.data.formats.coco import COCO
from thingstuff.data.formats.fiftyone import FIFTYONE
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops

POLYGON = [2.5, 2.0, 9.25, 2.0, 9.25, 8.0]
CATEGORIES = [{"id": n, "name": name, "supercategory": None} for n, name in enumerate(("cat", "dog"))]


def note(own, category_id, **more):
    shape = {"bbox": [2, 2, 7, 6], "segmentation": [POLYGON], "area": 20.25, "iscrowd": 0}
    return {"id": own, "image_id": 1, "category_id": category_id, **shape, **more}


def labels(*annotations, categories=CATEGORIES, name="sub/a.png"):
    image = {"id": 1, "file_name": name, "width": 30, "height": 20, "license": None, "coco_url": None}
    return {"info": {}, "licenses": [], "categories": categories, "images": [image], "annotations": list(annotations)}


def dataset(folder, content, *names):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20)).save(folder / "data" / name)
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


def read(folder, *annotations, lenient=False, **more):
    return FIFTYONE.read(Source(dataset(folder, labels(*annotations, **more)), lenient=lenient))


def labels_of(truth):
    names = {category["id"]: category["name"] for category in truth.categories}
    return [names[each["category_id"]] for each in truth.annotations]


def test_a_folder_is_read_as_coco_with_its_images_in_data(tmp_path):
    truth = read(tmp_path, note(1, 1), note(2, 0, iscrowd=1, keypoints=[1, 1, 2]))
    assert truth.image_root == tmp_path / "data"
    assert truth.json_path == tmp_path / "labels.json"
    assert (truth.categories, labels_of(truth), truth.notes) == (CATEGORIES, ["dog", "cat"], ())
    assert truth.images[0]["file_name"] == "sub/a.png"
    assert FIFTYONE.read(Source(tmp_path / "labels.json", tmp_path / "x")).image_root == tmp_path / "x"


def test_it_is_recognised_by_its_names(tmp_path):
    folder = dataset(tmp_path / "one", labels(note(1, 1)))
    assert format_of("auto", folder) is FIFTYONE
    assert format_of("auto", folder / "labels.json") is FIFTYONE
    (folder / "data").rmdir()
    assert format_of("auto", folder) is COCO
    assert not FIFTYONE.recognises(tmp_path / "none")
    (tmp_path / "two/data").mkdir(parents=True)
    (tmp_path / "two/labels.json").write_text('{"labels": {"a": 1}}')  # FiftyOne's classifications
    assert not FIFTYONE.recognises(tmp_path / "two")


# ids


@pytest.mark.parametrize(
    ("ids", "expected"),
    [((0, 1), {0: "cat", 1: "dog"}), ((1, 2), {1: "cat", 2: "dog"}), ((70, 5), {70: "cat", 5: "dog"})],
    ids=["from 0", "from 1", "gaps, another order"],
)
def test_ids_of_any_kind_land_on_their_names(tmp_path, ids, expected):
    categories = [{"id": own, "name": name} for own, name in zip(ids, ("cat", "dog"), strict=True)]
    truth = read(tmp_path, note(1, ids[1]), note(2, ids[0]), categories=categories)
    assert {category["id"]: category["name"] for category in truth.categories} == expected
    assert labels_of(truth) == ["dog", "cat"]


def test_a_background_that_nothing_uses_moves_nothing(tmp_path):
    categories = [{"id": 0, "name": "background"}, {"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert labels_of(read(tmp_path, note(1, 2), categories=categories)) == ["dog"]


def test_numbers_with_which_gaps_were_filled_are_left_out(tmp_path):
    """FiftyOne, given COCO's ids 1, 3, 5, knows the classes 0, cat, 2, dog, 4, bird."""
    names = ("0", "cat", "2", "dog", "4", "bird")
    categories = [{"id": n, "name": name} for n, name in enumerate(names)]
    truth = read(tmp_path, note(1, 3), note(2, 4), categories=categories)
    assert [category["name"] for category in truth.categories] == ["cat", "dog", "4", "bird"]
    assert labels_of(truth) == ["dog", "4"]
    assert "2 categories are called by their ids and used nowhere, 0, 2: left out" in truth.notes[0]
    assert truth.json_path is None
    digits = [{"id": n, "name": str(n)} for n in range(10)]
    assert read(tmp_path, note(1, 7), categories=digits).categories == digits


@pytest.mark.parametrize("categories", [None, []])
def test_without_categories_the_ids_are_the_names(tmp_path, categories):
    truth = read(tmp_path, note(1, 12), note(2, 3), note(3, 12), categories=categories)
    assert truth.categories == [{"id": 3, "name": "3"}, {"id": 12, "name": "12"}]
    assert labels_of(truth) == ["12", "3", "12"]
    assert "has no categories: their names are the ids" in truth.notes[0]
    assert truth.json_path is None


# predictions, and what else is refused


def test_predictions_are_refused_or_left_out(tmp_path):
    notes = [note(1, 1, score=0.75), note(2, 0), note(3, 0, score=0), note(4, 0, score=None)]
    expected = r"2 predictions, which have a score .* \(labels.json: annotations\[0\]: the score is 0.75\)"
    with pytest.raises(DataError, match=expected):
        read(tmp_path, *notes)
    truth = read(tmp_path, *notes, lenient=True)
    assert [each["id"] for each in truth.annotations] == [2, 4]
    assert truth.annotation_place(0) == f"{tmp_path / 'labels.json'}: annotations[1]"
    assert truth.notes[0].startswith("left out: 2 x predictions") and truth.json_path is None


def test_names_may_be_whole_paths(tmp_path):
    whole = str(tmp_path / "data/sub/a.png")
    truth = read(tmp_path, note(1, 1), name=whole)
    assert truth.images[0]["file_name"] == "sub/a.png" and truth.json_path is None
    assert read(tmp_path, note(1, 1), name="/elsewhere/a.png").images[0]["file_name"] == "/elsewhere/a.png"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"annotations": None}, "has no annotations, which FiftyOne leaves out where nothing is labelled"),
        ({"annotations": {}}, "expected a list of 'annotations'"),
        ({"annotations": [3]}, r"annotations\[0\]: expected a dictionary"),
        ({"categories": {"0": "cat"}}, "expected a list of 'categories'"),
        ({"images": None}, "expected a list of 'images'"),
    ],
)
def test_what_is_no_such_data_set_is_refused(tmp_path, changed, message):
    folder = dataset(tmp_path, labels(note(1, 1)) | changed)
    with pytest.raises(DataError, match=f"labels.json: .*{message}"):
        FIFTYONE.read(Source(folder))


def test_no_labels_at_all(tmp_path):
    with pytest.raises(DataError, match="labels.json: cannot be read: No such file"):
        FIFTYONE.read(Source(tmp_path))


def test_damaged_files_are_refused_in_one_line_or_read(tmp_path):
    sound = labels(note(1, 1), note(2, 0, iscrowd=1, score=None))
    path = dataset(tmp_path, sound) / "labels.json"
    assert_survives(lambda: FIFTYONE.read(Source(tmp_path)), path, mutated_files(sound, 400))


# writing


@pytest.mark.parametrize("copy_images", [False, True])
def test_shapes_are_written_and_read_again(small_shapes, tmp_path, copy_images):
    written = shapes_truth(small_shapes)
    path = FIFTYONE.write(written, tmp_path / "out", WriteOptions(copy_images))
    assert path == tmp_path / "out/labels.json"
    again = FIFTYONE.read(Source(path, None if copy_images else written.image_root))
    assert_same_masks(again, written)
    if copy_images:
        assert format_of("auto", path.parent) is FIFTYONE
        assert again.image_root == tmp_path / "out/data"
        assert all((again.image_root / image["file_name"]).is_file() for image in again.images)


def test_real_polygons_crowds_and_ids_are_written_and_read_again(tmp_path):
    written = coco_tiny()
    again = FIFTYONE.read(Source(FIFTYONE.write(written, tmp_path / "out", WriteOptions()), written.image_root))
    assert_same_masks(again, written)
    assert again.categories == written.categories


def test_sizes_and_boxes_are_added_since_fiftyone_needs_them(tmp_path):
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 3:9, 4:6] = True
    (rle,) = MaskCrops.from_bitmaps(mask).to_rles()
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    notes = [{"id": 1, "image_id": 5, "category_id": 0, "segmentation": rle}]
    truth = SplitTruth("made", tmp_path, CATEGORIES, [{"id": 5, "file_name": "a.png"}], notes)
    value = json.loads(FIFTYONE.write(truth, tmp_path / "out", WriteOptions()).read_text())
    assert value["annotations"][0]["bbox"] == [4, 3, 2, 6]
    assert (value["images"][0]["width"], value["images"][0]["height"]) == (30, 20)
    assert value["categories"] == CATEGORIES
