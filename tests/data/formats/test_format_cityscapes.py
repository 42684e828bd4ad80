"""Cityscapes' instanceIds, by the description at the head of cityscapesScripts' `json2instanceImg.py`.

A pixel of an instance is the label's id * 1000 + the number of the instance, from 0; one of a group of things, or of
stuff, is the label's id. Names, ids and colours are those of its `labels.py`, of which Detectron2 has a copy.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from round_trips import assert_measured, masks_of

from thingstuff.data.checks import Checked, run_checks
from thingstuff.data.declared.declaration import read_declaration
from thingstuff.data.declared.prepared import prepare
from thingstuff.data.formats import FORMATS, Source, format_of
from thingstuff.data.formats.cityscapes import CITYSCAPES
from thingstuff.data.open_data import open_data
from thingstuff.data.panoptic.build import build_panoptic
from thingstuff.errors import DataError
from thingstuff.structures import ids_to_rgb, write_png
from thingstuff.structures.png import read_label_png

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


def test_a_declaration_prepares_what_panoptic_models_learn_from(tmp_path, monkeypatch):
    monkeypatch.setenv("THINGSTUFF_CACHE", str(tmp_path / "cache"))
    write_set(tmp_path)
    (tmp_path / "street.yaml").write_text("""
splits: [train]
instances: {format: cityscapes, annotations: "gtFine/{split}"}
stuff: {format: cityscapes, annotations: "gtFine/{split}"}
panoptic: {build: fail}
""")
    split = prepare(read_declaration(tmp_path / "street.yaml")).splits["train"]
    (path,) = split.stuff_files().values()
    expected = np.select([IDS == ROAD, IDS == SKY, np.isin(IDS, [24000, 24001, 26003, CAR])], [1, 11, 0], 255)
    np.testing.assert_array_equal(read_label_png(path), expected)  # 0 things, then 11 of stuff in their order
    segments = json.loads(Path(split.panoptic_json).read_text())["annotations"][0]["segments_info"]
    found = [(one["category_id"], one["iscrowd"]) for one in segments]
    assert sorted(found) == [(ROAD, 0), (SKY, 0), (PERSON, 0), (PERSON, 0), (CAR, 0), (CAR, 1)]


def test_declared_categories_are_matched_by_name(tmp_path):
    """Whatever their order and ids are; what is not declared is void."""
    write_set(tmp_path)
    text = "categories: [{name: car, id: 7}, {name: road, id: 26, isthing: false}, {name: bus, id: 24}]\n"
    (tmp_path / "a.yaml").write_text(f"splits: [train]\nformat: auto\nannotations: 'gtFine/{{split}}'\n{text}")
    truth = open_data(str(tmp_path / "a.yaml")).splits["train"]
    assert [(n["category_id"], n["iscrowd"]) for n in truth.annotations] == [(7, 1), (7, 0)]
    np.testing.assert_array_equal(stuff_names(truth) == "road", IDS == ROAD)
    assert set(stuff_names(truth)[0]) == set(stuff_names(truth)[1, 1:4]) == {"?"}
