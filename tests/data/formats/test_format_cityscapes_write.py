"""Cityscapes' files as they are written: values, labels.json, names, and what they cannot hold."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from round_trips import assert_same_masks, masks_of, shapes_truth, without_crowds
from test_format_cityscapes import names_of, read, stuff_names

from thingstuff.data.convert import convert
from thingstuff.data.formats import FORMATS, Source, WriteOptions, format_of
from thingstuff.data.formats.cityscapes import CITYSCAPES
from thingstuff.data.truth import SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops, write_png
from thingstuff.structures.png import png_kind, read_label_png


def whole_shapes(small_shapes):
    """The embedded data set's instances, crowds and stuff; a crowd is in its first image."""
    labels = {0: None, 1: "sky", 2: "grass", 3: "water", 4: "sand"}
    stuff = FORMATS["semantic"].read(Source(small_shapes / "stuff_val", small_shapes / "val", None, {"labels": labels}))
    truth = shapes_truth(small_shapes)
    ids = {image["file_name"]: image["id"] for image in truth.images}
    maps = stuff.stuff.with_images({image["id"]: ids[image["file_name"]] for image in stuff.images})
    maps = maps.with_categories({n: 10 + n for n in labels})
    records = [{**category, "id": 10 + category["id"]} for category in stuff.categories]
    return replace(truth, categories=[*truth.categories, *records], stuff=maps)


def written_as_it_is(truth, tmp_path):
    """A truth in which nothing lies on another: what was written and read once."""
    return read(CITYSCAPES.write(truth, tmp_path / "once", WriteOptions()), truth.image_root)


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    first = whole_shapes(small_shapes)
    truth = written_as_it_is(first, tmp_path)
    path = CITYSCAPES.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    assert path == tmp_path / "out/gtFine" and format_of("auto", path).name == "cityscapes"
    again = read(path)
    assert again.image_root == tmp_path / "out/leftImg8bit"
    assert again.categories == truth.categories == [{"isthing": 1, **category} for category in first.categories]
    assert again.images == truth.images
    assert_same_masks(again, truth)
    for image in again.images:
        np.testing.assert_array_equal(stuff_names(again, image["id"]), stuff_names(truth, image["id"]))
        own = next(i["id"] for i in first.images if i["file_name"] == image["file_name"])
        is_stuff = stuff_names(first, own)
        same = stuff_names(again, image["id"]) == is_stuff
        assert same[~np.isin(is_stuff, ["", "?"]) & (stuff_names(again, image["id"]) != "")].all()


def test_the_command_takes_stuff_and_crowds_along(run_tool, small_shapes, tmp_path):
    code, out, _ = run_tool("dataset", "convert", "shapes_val", "--to", "cityscapes", "--output", tmp_path / "out")
    assert code == 0 and "no place for" not in out
    code, out, _ = run_tool("dataset", "check", tmp_path / "out/shapes_val.yaml")
    assert code == 0 and "found none" in out


def made(tmp_path, bitmaps, category_ids, categories, crowds=()):
    """A split of one image; the n-th bitmap is of the n-th of `category_ids`."""
    rles = MaskCrops.from_bitmaps(bitmaps).to_rles()
    notes = [
        {"id": n, "image_id": 1, "category_id": own, "segmentation": rle, "iscrowd": int(n in crowds)}
        for n, (own, rle) in enumerate(zip(category_ids, rles, strict=True), 1)
    ]
    height, width = bitmaps.shape[1:]
    Image.new("RGB", (width, height)).save(tmp_path / "a.jpg")
    images = [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}]
    return SplitTruth("made.json", tmp_path, categories, images, notes)


def with_stuff(truth, tmp_path, label_map, label_ids):
    write_png(tmp_path / "stuff.png", label_map)
    return replace(truth, stuff=StuffFiles({1: tmp_path / "stuff.png"}, label_ids))


CELLS = np.zeros((4, 8, 9), bool)
CELLS[0, 0:2, 0:2] = CELLS[1, 3:5, 0:2] = CELLS[2, 0:2, 3:5] = CELLS[3, 3:5, 3:5] = True
CAT, DOG, SAND = {"id": 65, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 999, "name": "sand", "isthing": 0}


def test_the_values_are_those_of_cityscapes(tmp_path):
    truth = made(tmp_path, CELLS, [65, 3, 65, 3], [CAT, SAND, DOG], crowds=[4])
    truth = with_stuff(truth, tmp_path, np.full((8, 9), 1, np.uint8), {1: 999, 0: None})
    path = CITYSCAPES.write(truth, tmp_path / "out", WriteOptions())
    png = path / "a_gtFine_instanceIds.png"
    assert png_kind(png) == "16-bit grey"
    expected = np.full((8, 9), 999)
    for bitmap, value in zip(CELLS, [65000, 3000, 65001, 3], strict=True):
        expected[bitmap] = value
    np.testing.assert_array_equal(read_label_png(png), expected)
    meaning = json.loads((path / "labels.json").read_text())
    assert [(c["id"], c["name"], c["isthing"]) for c in meaning["categories"]] == [
        *((65, "cat", 1), (999, "sand", 0), (3, "dog", 1)),
    ]
    again = read(path, tmp_path)
    assert sorted(note["category_id"] for note in again.annotations) == [3, 3, 65, 65]
    assert set(np.unique(stuff_names(again))) == {"", "sand"}


@pytest.mark.parametrize("own", [0, -1, 66, 10**6])
def test_ids_that_16_bits_cannot_hold_are_numbered_anew(tmp_path, own, caplog):
    truth = made(tmp_path, CELLS[:2], [own, 3], [SAND, {"id": own, "name": "cat"}, DOG])
    with caplog.at_level(logging.WARNING, "thingstuff"):
        again = read(CITYSCAPES.write(truth, tmp_path / "out", WriteOptions()), tmp_path)
    assert "cannot hold these category ids: categories are numbered anew, from 1" in caplog.text
    assert names_of(again) == {1: "cat", 2: "dog", 3: "sand"}
    assert_same_masks(again, truth)


def test_more_than_65_things(tmp_path):
    """Those that nothing is of are left out; if there are too many still, they are refused."""
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, 81)]
    truth = made(tmp_path, CELLS[:2], [80, 3], categories)
    again = read(CITYSCAPES.write(truth, tmp_path / "out", WriteOptions()), tmp_path)
    assert names_of(again) == {1: "class 3", 2: "class 80"}
    pixels = np.eye(66, dtype=bool).reshape(66, 6, 11)
    with pytest.raises(DataError, match=r"made.json: 66 things and 0 of stuff are more categories than .*\(65 and 999"):
        CITYSCAPES.write(made(tmp_path, pixels, range(1, 67), categories), tmp_path / "b", WriteOptions())


def test_what_lies_below_others_is_counted(tmp_path, caplog):
    bitmaps = np.zeros((5, 8, 9), bool)
    bitmaps[0, 1:3, 1:3] = bitmaps[1, 0:4, 0:4] = bitmaps[2, 3:6, 3:6] = True
    bitmaps[3, 5:7, 5:7] = bitmaps[4, 7, 7:] = True  # two crowds, of which one reaches below the last one
    truth = made(tmp_path, bitmaps, [65] * 5, [CAT], crowds=[4, 5])
    truth.annotations.append({"image_id": 1, "category_id": 65, "bbox": [1, 1, 2, 2]})
    with caplog.at_level(logging.WARNING, "thingstuff"):
        again = read(CITYSCAPES.write(truth, tmp_path / "out", WriteOptions()), tmp_path)
    # four pixels of the first, one of the second, one of a crowd
    assert "lost are 6 pixels below other instances, and 1 whole instances" in caplog.text
    assert "joined: 1 crowd regions with others of their category" in caplog.text
    assert "left out: 1 boxes without a mask" in caplog.text and "crowd regions, which" not in caplog.text
    found = [(crowd, int(mask.sum())) for _, crowd, mask in masks_of(again)["a.jpg"]]
    assert found == [(True, 5), (False, 15), (False, 9)]


@pytest.mark.parametrize(("own", "most"), [(3, 1000), (65, 536)])
def test_a_category_has_1000_instances_in_an_image(tmp_path, own, most, caplog):
    pixels = np.eye(1002, dtype=bool).reshape(1002, 6, 167)
    truth = made(tmp_path, pixels, [own] * 1002, [CAT, DOG])
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = CITYSCAPES.write(truth, tmp_path / "out", WriteOptions())
    assert f"left out: {1002 - most} instances beyond the 1000" in caplog.text
    ids = read_label_png(path / "a_gtFine_instanceIds.png").reshape(-1)
    np.testing.assert_array_equal(ids, [*range(own * 1000, own * 1000 + most), *[0] * (1002 - most)])


def test_stuff_alone(small_shapes, tmp_path):
    whole = whole_shapes(small_shapes)
    truth = replace(whole, annotations=None, categories=[c for c in whole.categories if not c.get("isthing", 1)])
    path = convert({"val": truth}, "cityscapes", tmp_path / "out", WriteOptions()).paths["val"]
    again = read(path, truth.image_root)
    assert again.annotations is None
    for image in truth.images:
        other = next(i["id"] for i in again.images if i["file_name"] == image["file_name"])
        expected = stuff_names(truth, image["id"])
        np.testing.assert_array_equal(stuff_names(again, other), np.where(expected == "", "?", expected))


def test_what_cannot_be_written_is_refused(tmp_path):
    truth = made(tmp_path, CELLS[:1], [999], [SAND])
    with pytest.raises(DataError, match=r"annotations\[0\]: its category 'sand' is stuff, which has no instances"):
        CITYSCAPES.write(truth, tmp_path / "out", WriteOptions())
    truth = with_stuff(made(tmp_path, CELLS[:1], [3], [DOG, SAND]), tmp_path, np.ones((2, 2), np.uint8), {1: 999})
    with pytest.raises(DataError, match="'a.jpg': its label map has 2 x 2 pixels, it 9 x 8"):
        CITYSCAPES.write(truth, tmp_path / "out", WriteOptions())
    twice = made(tmp_path, CELLS[:1], [3], [DOG, {"id": 4, "name": "dog"}])
    with pytest.raises(DataError, match="made.json: two categories share the name"):
        CITYSCAPES.write(twice, tmp_path / "out", WriteOptions())


def test_names_of_every_kind_come_back(tmp_path):
    """Labels whose images differ in their suffix, or in what Cityscapes adds to names, have names of their own."""
    names = ["a.jpg", "a.png", "b_leftImg8bit.png", "b.png", "c/a_leftImg8bit.png"]
    truth = without_crowds(made(tmp_path, CELLS[:1], [3], [DOG]))
    images = [{**truth.images[0], "id": n, "file_name": name} for n, name in enumerate(names, 1)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 8)).save(tmp_path / name)
    truth = replace(truth, images=images)
    path = CITYSCAPES.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    assert (path / "c/a_gtFine_instanceIds.png").is_file()
    assert (path / "b_leftImg8bit.png_gtFine_instanceIds.png").is_file()
    assert_same_masks(read(path), truth)
    Image.new("RGB", (9, 8)).save(tmp_path / "a.png.jpg")  # what it is called without its suffix is the name of another
    truth = replace(truth, images=[*images, {**images[0], "id": 9, "file_name": "a.png.jpg"}])
    assert_same_masks(read(CITYSCAPES.write(truth, tmp_path / "again", WriteOptions(copy_images=True))), truth)
