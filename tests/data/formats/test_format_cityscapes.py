"""Cityscapes' instanceIds, by the description at the head of cityscapesScripts' `json2instanceImg.py`.

A pixel of an instance is the label's id * 1000 + the number of the instance, from 0; one of a group of things, or of
stuff, is the label's id. Names, ids and colours are those of its `labels.py`, of which Detectron2 has a copy.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from round_trips import assert_measured, assert_same_masks, masks_of, shapes_truth, without_crowds

from thingstuff.data.checks import Checked, run_checks
from thingstuff.data.convert import convert
from thingstuff.data.formats import FORMATS, Source, WriteOptions, format_of
from thingstuff.data.formats.cityscapes import CITYSCAPES
from thingstuff.data.open_data import open_data
from thingstuff.data.panoptic.build import build_panoptic
from thingstuff.data.truth import SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops, ids_to_rgb, write_png
from thingstuff.structures.png import png_kind, read_label_png

PERSON, CAR, ROAD, SKY, CARAVAN, PARKING = 24, 26, 7, 23, 29, 9
IDS = np.full((8, 9), ROAD, np.uint16)
IDS[0] = SKY
IDS[1:3, 1:4], IDS[1:3, 5:7] = PERSON * 1000, PERSON * 1000 + 1
IDS[4:6, 0:2], IDS[4:6, 4:9] = CAR * 1000 + 3, CAR  # a group of cars
IDS[7] = [0, 1, 3, 4, PARKING, CARAVAN, CARAVAN * 1000, ROAD, ROAD]


def write_set(root, ids=IDS, name="aachen/aachen_0_1", kind="gtFine", split="train"):
    image = root / f"leftImg8bit/{split}/{name}_leftImg8bit.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", ids.shape[1::-1]).save(image)
    labels = root / kind / split
    write_png(labels / f"{name}_{kind}_instanceIds.png", ids)
    for other in ("color", "labelIds"):
        write_png(labels / f"{name}_{kind}_{other}.png", np.zeros((8, 9), np.uint8))
    (labels / f"{name}_{kind}_polygons.json").write_text('{"imgHeight": 8, "imgWidth": 9, "objects": []}')
    return labels


def read(path, images=None, lenient=False, **options):
    return CITYSCAPES.read(Source(path, images, None, options, lenient))


def names_of(truth):
    return {category["id"]: category["name"] for category in truth.categories}


def stuff_names(truth, image_id=1):
    """H x W names: of stuff, "" where a thing may be, "?" where nobody knows."""
    names = {c["id"]: "" if c.get("isthing", 1) else c["name"] for c in truth.categories} | {None: ""}
    meaning = {label: names[own] for label, own in truth.stuff.label_ids.items()}
    meaning |= dict.fromkeys(truth.stuff.void_labels, "?")
    return np.vectorize(meaning.__getitem__)(truth.stuff.read(image_id))


# ---- Cityscapes as it is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gtFine", "gtCoarse"])
def test_instances_groups_and_stuff(tmp_path, kind):
    truth = read(write_set(tmp_path, kind=kind))
    assert truth.image_root == tmp_path / "leftImg8bit/train"
    assert truth.images == [{"id": 1, "file_name": "aachen/aachen_0_1_leftImg8bit.png", "width": 9, "height": 8}]
    expected = [("car", True, CAR), ("person", False, 24000), ("person", False, 24001), ("car", False, 26003)]
    found = masks_of(truth)["aachen/aachen_0_1_leftImg8bit.png"]
    assert [mask[:2] for mask in found] == [each[:2] for each in expected]
    for (_, _, mask), (_, _, value) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mask, value == IDS)
    assert_measured(truth)
    assert truth.annotation_places[0] == f"aachen/aachen_0_1_{kind}_instanceIds.png: 26"
    things = np.isin(IDS, [24000, 24001, 26003, CAR])
    np.testing.assert_array_equal(stuff_names(truth) == "", things)
    np.testing.assert_array_equal(stuff_names(truth) == "road", IDS == ROAD)
    np.testing.assert_array_equal(stuff_names(truth) == "sky", IDS == SKY)
    assert (stuff_names(truth)[7] == ["?"] * 7 + ["road"] * 2).all()
    assert truth.notes == ("left out: 1 instances of label 29, which the benchmark ignores: with_ignored keeps them",)
    assert not [finding for finding in run_checks(Checked({"train": truth})) if finding.code.severity == "error"]


def test_the_table_is_that_of_detectron2(tmp_path):
    from detectron2.data.datasets.builtin_meta import CITYSCAPES_CATEGORIES

    expected = [
        {"id": c["id"], "name": c["name"], "isthing": c["isthing"], "color": list(c["color"])}
        for c in CITYSCAPES_CATEGORIES
    ]
    assert read(write_set(tmp_path)).categories == expected


def test_what_is_ignored_can_be_kept(tmp_path):
    """But not what says that nobody looked."""
    truth = read(write_set(tmp_path), with_ignored=True)
    assert [names_of(truth)[n] for n in (4, 9, 29, 30)] == ["static", "parking", "caravan", "trailer"]
    assert not {0, 1, 2, 3} & names_of(truth).keys()
    assert stuff_names(truth)[7].tolist() == ["?", "?", "?", "static", "parking", "", "", "road", "road"]
    labels = [(names_of(truth)[note["category_id"]], note["iscrowd"]) for note in truth.annotations]
    assert labels.count(("caravan", 0)) == labels.count(("caravan", 1)) == 1
    assert truth.notes == ()
    with pytest.raises(DataError, match="with_ignored: expected true or false, got 'yes'"):
        read(tmp_path / "gtFine/train", with_ignored="yes")


def test_values_of_8_bits_and_of_rgb(tmp_path):
    """PNG has no 32 bits of grey: numbers above 65535 are R + 256 G + 65536 B, as in COCO's panoptic PNGs."""
    labels = write_set(tmp_path, np.where(IDS < 256, IDS, 0).astype(np.uint8))
    assert [(n["category_id"], n["iscrowd"]) for n in read(labels).annotations] == [(CAR, 1)]
    big = IDS.astype(np.uint32)
    big[2, 8] = 301_007
    write_set(tmp_path, ids_to_rgb(big))
    truth = read(labels, labels={24: "person", 7: "road", 26: "car", 23: "sky", 301: "bird"}, things=["bird"], void=[
        *(0, 1, 3, 4, 9, 29),
    ], lenient=True)  # fmt: skip
    assert [(n["category_id"], n["area"], n["iscrowd"]) for n in truth.annotations] == [(301, 1, 0)]
    assert stuff_names(truth)[2, 8] == ""


def test_an_image_of_void_alone(tmp_path):
    """As in the test split."""
    truth = read(write_set(tmp_path, np.full((8, 9), 3, np.uint8)))
    assert truth.annotations == [] and (stuff_names(truth) == "?").all()


def test_panoptic_truth_is_built_of_it(tmp_path):
    """The same segments as in cityscapesScripts' `createPanopticImgs.py`: one a value, but for what is ignored."""
    built = build_panoptic(read(write_set(tmp_path)), tmp_path / "panoptic")
    found = sorted((s["category_id"], s["iscrowd"], s["area"]) for s in built.annotations[0]["segments_info"])
    values = [24000, 24001, 26003, CAR, ROAD, SKY]
    expected = sorted((v // 1000 or v, int(v == CAR), int((v == IDS).sum())) for v in values)
    assert found == expected


# ---- files -------------------------------------------------------------------------------------------------------


def test_it_is_recognised_before_masks_of_ids_where_names_say_gt(tmp_path):
    labels = write_set(tmp_path)
    assert format_of("auto", labels).name == format_of("auto", tmp_path / "gtFine").name == "cityscapes"
    write_png(tmp_path / "other/a_instanceIds.png", IDS)
    write_png(tmp_path / "other/b_instanceIds.png", IDS)
    assert format_of("auto", tmp_path / "other").name == "id_masks"
    assert not CITYSCAPES.recognises(tmp_path / "nowhere") and not CITYSCAPES.recognises(labels / "x.png")


def test_masks_of_ids_read_the_same_instances(tmp_path):
    """As their documentation says, with the divisor 1000."""
    labels = write_set(tmp_path, np.where(np.isin(IDS, [CAR, 29000]), 0, IDS))
    ends = {"suffix": "_gtFine_instanceIds", "image_suffix": "_leftImg8bit"}
    source = Source(labels, tmp_path / "leftImg8bit/train", options={"divisor": 1000, **ends})
    as_ids, own = FORMATS["id_masks"].read(source), read(labels)
    assert [n["segmentation"] for n in as_ids.annotations] == [n["segmentation"] for n in own.annotations]
    assert [n["category_id"] for n in as_ids.annotations] == [n["category_id"] for n in own.annotations]


def test_all_splits_at_once_and_images_without_labels(tmp_path):
    write_set(tmp_path)
    write_set(tmp_path, name="bonn/bonn_0_1", split="val")
    (tmp_path / "gtFine/val/bonn/bonn_0_1_gtFine_instanceIds.png").unlink()
    truth = read(tmp_path / "gtFine")
    assert [image["file_name"] for image in truth.images] == ["train/aachen/aachen_0_1_leftImg8bit.png"]
    assert truth.notes[0] == f"left out: 1 of the images in {tmp_path}/leftImg8bit, which have no labels"


def test_other_names(tmp_path):
    """IDD writes instanceids; other sets have no leftImg8bit at all, or several images of one label."""
    write_png(tmp_path / "labels/a_gtFine_instanceids.png", IDS)
    write_png(tmp_path / "labels/b_instanceIds.png", IDS)
    for name in ("a.jpg", "b_leftImg8bit.jpg", "a_fog.jpg", "b_fog.jpg"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (9, 8)).save(tmp_path / "photos" / name)
    truth = read(tmp_path / "labels", tmp_path / "photos")
    assert [image["file_name"] for image in truth.images] == ["a.jpg", "b_leftImg8bit.jpg"]
    truth = read(tmp_path / "labels", tmp_path / "photos", image_suffix="_fog")
    assert [image["file_name"] for image in truth.images] == ["a_fog.jpg", "b_fog.jpg"]
    with pytest.raises(DataError, match="image_suffix: expected the end of names as text, such as _leftImg8bit, got 3"):
        read(tmp_path / "labels", image_suffix=3)


def test_labels_among_their_images(tmp_path):
    write_png(tmp_path / "a_gtFine_instanceIds.png", IDS)
    Image.new("RGB", (9, 8)).save(tmp_path / "a.png")
    assert [image["file_name"] for image in read(tmp_path).images] == ["a.png"]


def test_a_declaration_gives_both_kinds_or_one(tmp_path):
    write_set(tmp_path)
    write_set(tmp_path, name="bonn/bonn_0_1", split="val")
    head = "splits: [train, val]\nformat: cityscapes\n"
    (tmp_path / "both.yaml").write_text(head + "annotations: gtFine/{split}\n")
    for truth in open_data(str(tmp_path / "both.yaml")).splits.values():
        assert len(truth.annotations) == 4 and truth.stuff is not None
    text = "stuff: {annotations: 'gtFine/{split}'}\ncategories: [{name: sky, id: 1, isthing: false}]\n"
    (tmp_path / "stuff.yaml").write_text(head + text)
    truth = open_data(str(tmp_path / "stuff.yaml")).splits["val"]
    assert truth.annotations is None
    assert [names_of(truth), set(np.unique(stuff_names(truth)))] == [{1: "sky"}, {"sky", "?"}]


def test_declared_categories_are_matched_by_name(tmp_path):
    """Whatever their order and ids are; what is not declared is void."""
    write_set(tmp_path)
    text = "categories: [{name: car, id: 7}, {name: road, id: 26, isthing: false}, {name: bus, id: 24}]\n"
    (tmp_path / "a.yaml").write_text(f"splits: [train]\nformat: auto\nannotations: 'gtFine/{{split}}'\n{text}")
    truth = open_data(str(tmp_path / "a.yaml")).splits["train"]
    assert [(n["category_id"], n["iscrowd"]) for n in truth.annotations] == [(7, 1), (7, 0)]
    np.testing.assert_array_equal(stuff_names(truth) == "road", IDS == ROAD)
    assert set(stuff_names(truth)[0]) == set(stuff_names(truth)[1, 1:4]) == {"?"}


# ---- other tables ------------------------------------------------------------------------------------------------


def test_labels_of_another_table(tmp_path):
    """In any order, with gaps, and a class 0 that nothing uses."""
    ids = np.array([[2000, 2001, 9], [0, 9, 1], [5, 255, 9000]], np.uint16)
    labels = write_set(tmp_path, ids)
    stated = {9: "fog", 2: "boat", 1: "water", 5: "car", 0: "background"}
    truth = read(labels, labels=stated, things=["boat", "fog"])
    assert names_of(truth) == {n: stated[n] for n in (9, 2, 1, 5, 0)}
    kinds = {category["name"]: category["isthing"] for category in truth.categories}
    assert kinds == {"fog": 1, "boat": 1, "water": 0, "car": 0, "background": 0}
    found = [(names_of(truth)[n["category_id"]], n["area"], n["iscrowd"]) for n in truth.annotations]
    assert found == [("fog", 2, 1), ("boat", 1, 0), ("boat", 1, 0), ("fog", 1, 0)]
    assert stuff_names(truth).tolist() == [["", "", ""], ["background", "", "water"], ["car", "?", ""]]


def test_names_of_cityscapes_keep_their_kind_and_colour(tmp_path):
    """Train ids, as people renumber them: 11 is a person."""
    labels = write_set(tmp_path, np.array([[11000, 11, 0, 255, 13000]], np.uint16))
    truth = read(labels, labels={0: "road", 11: "person", 13: "car"})
    assert truth.categories[1] == {"id": 11, "name": "person", "isthing": 1, "color": [220, 20, 60]}
    assert [(n["category_id"], n["iscrowd"]) for n in truth.annotations] == [(11, 1), (11, 0), (13, 0)]
    assert stuff_names(truth).tolist() == [["", "", "road", "?", ""]]


def test_two_labels_of_one_name_are_one_category(tmp_path):
    labels = write_set(tmp_path, np.array([[7, 9, 0]], np.uint16))
    assert stuff_names(read(labels, labels={7: "road", 9: "road"})).tolist() == [["road", "road", "?"]]


def test_only_one_kind_there(tmp_path):
    labels = write_set(tmp_path, np.array([[7, 26000, 0]], np.uint16))
    assert read(labels, labels={26: "car"}, void=[0, 7]).stuff is None
    assert read(labels, labels={7: "road"}, void=[0, 26]).annotations is None


def test_cityscapes_own_labels_with_other_things(tmp_path):
    truth = read(write_set(tmp_path, np.array([[17000, 7]], np.uint16)), things=["pole"])
    assert [names_of(truth)[n["category_id"]] for n in truth.annotations] == ["pole"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [1]}, r"labels: expected a mapping of labels to names"),
        ({"labels": {24: None}}, "labels: expected names of labels below 1000, got 24: None"),
        ({"labels": {24000: "person"}}, "labels: expected names of labels below 1000, got 24000: 'person'"),
        ({"labels": {7: "road"}, "void": [7]}, "labels: the label 7 is a category's and cannot mean void"),
        ({"labels": {7: "road"}, "void": "x"}, r"void: expected labels, as \[0, 255\], got 'x'"),
        ({"void": [0]}, "void: goes with `labels` alone"),
        ({"things": "person"}, r"things: expected a list of names, as \[person, car\], got 'person'"),
        ({"things": ["persno"]}, "things: no label is named 'persno': the names are road, sidewalk"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        read(write_set(tmp_path), lenient=True, **options)


# ---- faults ------------------------------------------------------------------------------------------------------


def refused_or_left_out(labels, kind, example, count=1, **options):
    """Refused in one line with that kind, and a note where that is wanted. What is left."""
    with pytest.raises(DataError) as caught:
        read(labels, **options)
    text = str(caught.value)
    assert f"{count} {kind} (" in text and example in text and text.endswith("leave them out by `lenient`")
    truth = read(labels, lenient=True, **options)
    assert any(note.startswith(f"left out: {count} {kind}, the first is ") and example in note for note in truth.notes)
    assert not [finding for finding in run_checks(Checked({"train": truth})) if finding.code.severity == "error"]
    return truth


def test_labels_that_no_table_has(tmp_path):
    """They are void then, so that the checks find nothing either."""
    labels = write_set(tmp_path, np.array([[34, 50001, 24000, 7]], np.uint16))
    example = "aachen/aachen_0_1_gtFine_instanceIds.png: 34: name 34 in `labels`"
    truth = refused_or_left_out(labels, "regions whose label has no name", example, 2)
    assert stuff_names(truth).tolist() == [["?", "?", "", "road"]]
    assert len(truth.annotations) == 1


def test_instances_of_stuff(tmp_path):
    labels = write_set(tmp_path, np.array([[7001, 24000]], np.uint16))
    truth = refused_or_left_out(labels, "instances of stuff", "instanceIds.png: 7001: name 'road' in `things`")
    assert stuff_names(truth).tolist() == [["road", ""]] and len(truth.annotations) == 1


def test_labels_without_an_image(tmp_path):
    write_set(tmp_path, name="bonn/bonn_0_1")
    labels = write_set(tmp_path)
    (tmp_path / "leftImg8bit/train/bonn/bonn_0_1_leftImg8bit.png").unlink()
    truth = refused_or_left_out(labels, "labels without an image", "of 'bonn/bonn_0_1_leftImg8bit' in")
    assert len(truth.images) == 1
    with pytest.raises(DataError, match="train: none of the labels, as .*, has an image in .*: say where they are"):
        read(labels, tmp_path / "nowhere", lenient=True)


def test_labels_that_cannot_be_read(tmp_path):
    write_set(tmp_path, name="bonn/bonn_0_1")
    labels = write_set(tmp_path)
    (labels / "bonn/bonn_0_1_gtFine_instanceIds.png").write_bytes(b"")
    truth = refused_or_left_out(labels, "labels that cannot be read", "expected a PNG, got no PNG at all")
    assert len(truth.images) == len(truth.stuff.paths) == 1
    noise = np.random.default_rng(0).integers(24000, 34000, (64, 64)).astype(np.uint16)
    write_png(labels / "bonn/bonn_0_1_gtFine_instanceIds.png", noise)
    refused_or_left_out(labels, "labels that cannot be read", "different values, as in a photograph")


def test_fine_and_coarse_labels_of_one_image(tmp_path):
    labels = write_set(tmp_path)
    write_png(labels / "aachen/aachen_0_1_gtCoarse_instanceIds.png", IDS)
    refused_or_left_out(labels, "images with several labels", "'aachen/aachen_0_1_leftImg8bit.png' has ")


def test_a_name_that_is_not_utf8(tmp_path):
    labels = write_set(tmp_path)
    write_png(tmp_path / "x.png", IDS)
    (tmp_path / "x.png").rename(labels / os.fsdecode(b"\xff_gtFine_instanceIds.png"))
    refused_or_left_out(labels, "file names that are not UTF-8", r"'\udcff_gtFine_instanceIds.png': rename it")


def test_folders_without_labels(tmp_path):
    with pytest.raises(DataError, match="expected a folder of Cityscapes' labels, such as gtFine/train"):
        read(tmp_path / ("x" * 300))
    with pytest.raises(DataError, match=r"there are no labels in it: expected \*_gtFine_instanceIds.png"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["[]", '{"categories": [], "labels": {"a": 1}}', '{"categories": {}}', "{"])
def test_a_file_of_labels_that_is_none(tmp_path, content):
    labels = write_set(tmp_path)
    (labels / "labels.json").write_text(content)
    with pytest.raises(DataError, match=r"labels\.json: "):
        read(labels, lenient=True)


# ---- writing -----------------------------------------------------------------------------------------------------


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
