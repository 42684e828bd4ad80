"""COCO's results, from files written by hand after cocodataset.org's "Results Format": instances and panoptic maps."""

import json

import numpy as np
import pytest
from result_cases import HEIGHT, TARGETS, WIDTH, names_of, read, square

from thingstuff.data.results import result_format_of
from thingstuff.errors import DataError
from thingstuff.structures import ids_to_rgb, rle, write_png

MASK = square(2, 2, 8, 6)


def record(**changed):
    one = {"image_id": 11, "category_id": 3, "score": 0.9, "segmentation": rle.encode(MASK)}
    return {key: value for key, value in {**one, **changed}.items() if value is not None}


def write(path, *records):
    path.write_text(json.dumps(list(records)))
    return path


def test_masks_and_boxes_are_filed_under_their_images(tmp_path):
    found, notes = read(write(tmp_path / "r.json", record(), record(image_id=12, category_id=7, score=0.5)))
    assert list(found) == ["a.jpg", "x/b.png"]
    assert names_of(found["a.jpg"]) == ["cat"]
    assert names_of(found["x/b.png"]) == ["dog"]
    np.testing.assert_array_equal(found["a.jpg"].detections.masks.bitmap(0), MASK)
    assert found["a.jpg"].detections.boxes_xyxy.tolist() == [[2, 2, 8, 6]]
    assert (found["a.jpg"].image_id, notes) == (11, [])


def test_an_image_without_results_has_no_detections(tmp_path):
    found, _ = read(write(tmp_path / "r.json", record(segmentation=None, bbox=[1, 2, 3, 4])))
    assert found["a.jpg"].detections.masks is None
    assert found["a.jpg"].detections.boxes_xyxy.tolist() == [[1, 2, 4, 6]]
    assert len(found["x/b.png"].detections) == 0


@pytest.mark.parametrize(
    ("names", "category_id", "expected"),
    [
        ({}, 7, "dog"),  # the data set's own ids, with gaps
        ({0: "dog", 1: "cat"}, 0, "dog"),  # places in a list, in another order
        ({1: "dog", 2: "cat"}, 2, "cat"),  # counted from 1
        ({0: "__background__", 1: "cat", 2: "dog"}, 1, "cat"),
        ({5: "cat", 90: "dog"}, 90, "dog"),
    ],
)
def test_names_decide_which_category_is_meant(tmp_path, names, category_id, expected):
    found, _ = read(write(tmp_path / "r.json", record(category_id=category_id)), names)
    assert names_of(found["a.jpg"]) == [expected]


def test_classes_that_the_data_set_has_not_are_counted(tmp_path):
    path = write(tmp_path / "r.json", record(category_id=0), record(category_id=1), record(category_id=8))
    names = {0: "cat", 1: "horse"}
    with pytest.raises(DataError, match=r"2 results of classes that the data set has not \(.*record 1: class 1 is 'ho"):
        read(path, names)
    found, notes = read(path, names, lenient=True)
    assert names_of(found["a.jpg"]) == ["cat"]
    assert "left out: 2 x results of classes that the data set has not" in notes[0]


def test_names_of_another_data_set_are_refused(tmp_path):
    with pytest.raises(DataError, match="its names .+horse.+ are none of the data set's"):
        read(write(tmp_path / "r.json", record()), {3: "horse"})


@pytest.mark.parametrize(
    ("changed", "kind", "example"),
    [
        ({"image_id": 99}, "detections of unknown images", "image_id 99"),
        ({"category_id": 4}, "detections of unknown categories", "category_id 4 .*say by --names what the ids of its"),
        ({"score": None}, "detections without a usable score", "has no 'score'"),
        ({"segmentation": {"size": [3, 3], "counts": "1"}}, "masks of another size", r"segmentation has .*\(3, 3\)"),
    ],
)
def test_a_record_that_cannot_count_is_named_or_left_out(tmp_path, changed, kind, example):
    path = write(tmp_path / "r.json", record(), record(**changed), record(image_id=12))
    with pytest.raises(DataError, match=rf"1 {kind}.* \(.*r.json\[1\]: {example}"):
        read(path)
    found, notes = read(path, lenient=True)
    assert [len(image.detections) for image in found.values()] == [1, 1]
    assert f"left out: 1 x {kind}" in notes[0]


def test_all_that_cannot_count_is_counted_by_kind(tmp_path):
    wrong = [record(image_id=99), record(image_id=98), record(score=None), record(category_id=4)]
    expected = r"2 detections of unknown images .*; 1 detections without .*; 1 detections of unknown categories"
    with pytest.raises(DataError, match=expected):
        read(write(tmp_path / "r.json", record(), *wrong))


@pytest.mark.parametrize("names", [["dog", "cat"], ["horse", "cow"]])
def test_names_of_its_own_decide_if_the_data_set_knows_them(tmp_path, names):
    """And those of another data set are told, and have no say."""
    path = tmp_path / "r.json"
    categories = [{"id": own, "name": name} for own, name in zip((3, 7), names, strict=True)]
    path.write_text(json.dumps({"annotations": [record()], "categories": categories}))
    found, notes = read(path)
    is_known = names[0] == "dog"
    assert names_of(found["a.jpg"]) == (["dog"] if is_known else ["cat"])
    assert ("none of its own category names is the data set's" in "".join(notes)) != is_known


def test_a_dictionary_around_the_results_is_taken_off(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"annotations": [record()]}))
    assert names_of(read(path)[0]["a.jpg"]) == ["cat"]


@pytest.mark.parametrize(("content", "message"), [("{}", "no format that is known"), ("[1", "JSON"), ("", "no format")])
def test_files_that_are_no_results(tmp_path, content, message):
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read(path)


# panoptic


def write_panoptic(folder, **changed):
    ids = np.zeros((HEIGHT, WIDTH), np.uint32)
    ids[2:6, 2:8], ids[6:] = 5, 6
    segments = [{"id": 5, "category_id": changed.pop("category_id", 3)}, {"id": 6, "category_id": 9}]
    notes = [
        {"image_id": image.image_id, "file_name": f"{image.image_id}.png", "segments_info": segments}
        for image in TARGETS.images
    ]
    for note in notes:
        write_png(folder / "panoptic" / note["file_name"], ids_to_rgb(ids))
    (folder / "panoptic.json").write_text(json.dumps({"annotations": notes} | changed))
    return folder / "panoptic.json", ids


def test_panoptic_maps_come_as_they_are(tmp_path):
    path, ids = write_panoptic(tmp_path)
    assert result_format_of("auto", path).name == "coco_panoptic"
    found, notes = read(path)
    np.testing.assert_array_equal(found["x/b.png"].panoptic.ids, ids)
    assert [segment.category_id for segment in found["a.jpg"].panoptic.segments] == [3, 9]
    assert notes == []


def test_names_decide_in_panoptic_maps_too(tmp_path):
    path, _ = write_panoptic(tmp_path, category_id=1)
    found, _ = read(path, {1: "dog", 9: "sky"})
    assert [segment.category_id for segment in found["a.jpg"].panoptic.segments] == [7, 9]


def test_its_own_categories_decide(tmp_path):
    categories = [{"id": 3, "name": "dog", "isthing": 1}, {"id": 9, "name": "sky", "isthing": 0}]
    path, _ = write_panoptic(tmp_path, categories=categories)
    assert [segment.category_id for segment in read(path)[0]["a.jpg"].panoptic.segments] == [7, 9]


def test_a_missing_map_is_named_or_left_out(tmp_path):
    path, _ = write_panoptic(tmp_path)
    (tmp_path / "panoptic/12.png").unlink()
    with pytest.raises(DataError, match=r"1 images without a panoptic map that can be read \(image 12: "):
        read(path)
    found, notes = read(path, lenient=True)
    assert list(found) == ["a.jpg"]
    assert "left out: 1 x images without a panoptic map" in notes[0]


def test_the_pngs_may_lie_elsewhere(tmp_path):
    path, ids = write_panoptic(tmp_path)
    (tmp_path / "panoptic").rename(tmp_path / "maps")
    np.testing.assert_array_equal(read(path, folder=tmp_path / "maps")[0]["a.jpg"].panoptic.ids, ids)
    with pytest.raises(DataError, match="its PNGs are looked for in"):
        read(path)


@pytest.mark.parametrize("strange", [{"a": 1}, [1], None, 1.5])
@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_ids_that_nobody_writes(tmp_path, key, strange):
    path = tmp_path / "r.json"
    path.write_text(json.dumps([record(), record() | {key: strange}]))
    for names in ({}, {3: "cat"}):
        with pytest.raises(DataError):
            read(path, names)
