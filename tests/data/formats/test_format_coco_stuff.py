import json

import numpy as np
import pytest
from mutated_json import mutated_files

from thingstuff.data.formats.coco_stuff import COCO_STUFF
from thingstuff.data.formats.format import Source
from thingstuff.errors import DataError
from thingstuff.structures import rle
from thingstuff.structures.png import read_png

HEIGHT, WIDTH = 4, 6


def region(rows, columns):
    bitmap = np.zeros((HEIGHT, WIDTH), bool)
    bitmap[rows, columns] = True
    return bitmap


SKY, GRASS, OTHER = region(slice(0, 2), slice(0, 6)), region(slice(3, 4), slice(0, 3)), region(slice(2, 3), slice(4, 6))


def content():
    categories = [(92, "banner"), (106, "sky"), (124, "grass"), (183, "other")]
    notes = [(106, SKY), (124, GRASS), (183, OTHER)]
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": c, "segmentation": rle.encode(mask), "iscrowd": 0}
            for n, (c, mask) in enumerate(notes)
        ],
        "categories": [{"id": i, "name": n, "supercategory": "other" if n == "other" else "x"} for i, n in categories],
    }


def written(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def read(path):
    return COCO_STUFF.read(Source(path))


def test_regions_become_a_label_map(tmp_path):
    path = written(tmp_path / "annotations" / "stuff_val2017.json", content())
    truth = read(path)
    assert truth.annotations is None and truth.panoptic is None
    assert [(c["id"], c["isthing"]) for c in truth.categories] == [(92, 0), (106, 0), (124, 0)]
    assert "'other' stands for things" in truth.notes[0]
    assert truth.stuff.label_ids == {0: None, 1: 92, 2: 106, 3: 124}
    assert truth.stuff.void_labels == {255}
    assert dict(truth.stuff.paths) == {7: path}  # a check that asks whether the file is there is right
    labels = truth.stuff.read(7)
    assert labels.dtype == np.uint8
    expected = np.full((HEIGHT, WIDTH), 255)
    expected[SKY], expected[GRASS], expected[OTHER] = 2, 3, 0
    assert np.array_equal(labels, expected)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["annotations", "stuff_val2017.json"]  # nothing is written


def test_uncompressed_masks_and_polygons_are_drawn_too(tmp_path):
    value = content()
    value["annotations"][0]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": [0, 4, 20]}
    value["annotations"][1]["segmentation"] = [[2, 0, 4, 0, 4, 4, 2, 4]]
    del value["annotations"][2]
    labels = read(written(tmp_path / "stuff.json", value)).stuff.read(7)
    expected = np.full((HEIGHT, WIDTH), 255)
    expected[:, 0], expected[:, 2:4] = 2, 3
    assert np.array_equal(labels, expected)


def test_the_later_of_two_regions_counts(tmp_path):
    value = content()
    value["annotations"][1]["segmentation"] = rle.encode(region(slice(0, 4), slice(0, 6)))
    labels = read(written(tmp_path / "stuff.json", value)).stuff.read(7)
    assert np.array_equal(labels, np.where(OTHER, 0, 3))


def test_an_image_without_regions_is_void(tmp_path):
    value = content() | {"annotations": []}
    assert np.all(read(written(tmp_path / "stuff.json", value)).stuff.read(7) == 255)


def test_more_categories_than_bytes(tmp_path):
    value = content()
    value["categories"] += [{"id": 1000 + n, "name": f"c{n}", "supercategory": "x"} for n in range(300)]
    value["annotations"][0]["category_id"] = 1299
    stuff = read(written(tmp_path / "stuff.json", value)).stuff
    labels = stuff.read(7)
    assert labels.dtype == np.uint16 and labels[0, 0] == 303 and stuff.label_ids[303] == 1299
    assert stuff.void_labels == {65535} and labels[3, 5] == 65535


def test_images_and_categories_get_other_ids(tmp_path):
    stuff = read(written(tmp_path / "stuff.json", content())).stuff
    moved = stuff.with_images({7: "seven", 8: "eight"}).with_categories({106: 1, 92: None})
    assert np.array_equal(moved.read("seven"), stuff.read(7))
    assert list(moved.paths) == ["seven"]
    assert moved.label_ids == {0: None, 1: None, 2: 1, 3: 124}
    with pytest.raises(DataError, match="image 7 has no label map"):
        moved.read(7)


def test_shapes_as_coco_stuff(small_shapes, tmp_path):
    """Regions of the label maps that shapes has, written as COCO does it, give the same label maps."""
    panoptic = json.loads((small_shapes / "annotations" / "panoptic_val.json").read_text())
    stuff = [c for c in panoptic["categories"] if not c["isthing"]]
    maps = {i["id"]: read_png(small_shapes / "stuff_val" / i["file_name"], "grey8") for i in panoptic["images"]}
    notes = [
        {"image_id": image_id, "category_id": category["id"], "segmentation": rle.encode(labels == label)}
        for image_id, labels in maps.items()
        for label, category in enumerate(stuff, 1)
    ]
    value = {"images": panoptic["images"], "annotations": notes, "categories": stuff}
    read_back = read(written(tmp_path / "stuff_val.json", value)).stuff
    for image_id, labels in maps.items():
        assert np.array_equal(read_back.read(image_id), np.where(labels == 0, 255, labels))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_id": 1}, r"annotations\[0\]: no category has the id 1"),
        ({"category_id": [92]}, r"annotations\[0\]: no category has the id \[92\]"),
        ({"segmentation": None}, r"annotations\[0\]: .*expected a list of lists, got NoneType"),
        ({"segmentation": {"size": [10**5, 10**5], "counts": [0, 10**10]}}, r"expected an RLE of size \[4, 6\]"),
        ({"segmentation": {"size": [4, 6], "counts": [2**62] * 4 + [24]}}, "expected run lengths of 0 to 24"),
        ({"segmentation": {"size": [4, 6], "counts": "X"}}, r"annotations\[0\]: "),
    ],
)
def test_regions_that_cannot_be_drawn_are_named(tmp_path, change, message):
    value = content()
    value["annotations"][0] |= change
    truth = read(written(tmp_path / "stuff.json", value))
    with pytest.raises(DataError, match=message) as caught:
        truth.stuff.read(7)
    assert str(caught.value).startswith(truth.name)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("categories", {"id": "92"}, r"categories\[0\]: expected an integer id, got a text"),
        ("images", {"id": None}, r"images\[0\]: expected id to be a number or a text, got none"),
        ("annotations", {"image_id": [7]}, r"annotations\[0\]: expected image_id to be a number or a text, got a list"),
    ],
)
def test_ids_of_other_types_are_refused(tmp_path, key, change, message):
    value = content()
    value[key][0] |= change
    with pytest.raises(DataError, match=message):
        read(written(tmp_path / "stuff.json", value))


@pytest.mark.parametrize("size", [{"width": 10**9, "height": 10**9}, {"width": 0}, {"height": None}, {"width": "6"}])
def test_images_without_a_size_that_can_be_are_refused(tmp_path, size):
    value = content()
    value["images"][0] |= size
    truth = read(written(tmp_path / "stuff.json", value))
    with pytest.raises(DataError, match=r"images\[0\]"):
        truth.stuff.read(7)


def test_mutated_files_are_read_or_refused_in_one_line(tmp_path):
    path = tmp_path / "stuff.json"
    refused = 0
    for data in mutated_files(content(), 400):
        path.write_bytes(data)
        COCO_STUFF.recognises(path)
        try:
            truth = read(path)
            for image in truth.images:
                truth.stuff.read(image["id"])
        except DataError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600
    assert refused > 100


@pytest.mark.parametrize(
    ("name", "ids", "more", "is_stuff"),
    [
        ("a", (92, 183), {"supercategory": "x"}, True),
        ("a", (91, 183), {"supercategory": "x"}, False),
        ("a", (92, 183), {}, False),
        ("a", (1, 2), {"isthing": 0}, True),
        ("a", (1, 2), {"isthing": 1}, False),
        ("stuff_train", (1, 2), {}, True),
        ("stuff_train", (1, 2), {"isthing": 1}, False),
        ("things_and_stuff", (1, 2), {}, False),
        ("stuff_train", (), {}, False),
    ],
)
def test_it_is_recognised_by_its_categories_or_its_name(tmp_path, name, ids, more, is_stuff):
    value = content() | {"categories": [{"id": i, "name": f"c{i}"} | more for i in ids]}
    assert COCO_STUFF.recognises(written(tmp_path / f"{name}.json", value)) == is_stuff


def test_a_long_file_is_recognised_by_its_ends(tmp_path):
    value = content()
    value["annotations"] *= 2000
    assert COCO_STUFF.recognises(written(tmp_path / "a.json", value))
