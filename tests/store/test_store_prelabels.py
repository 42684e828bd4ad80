"""Exports for labelling tools are decoded by what their formats define."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from predicted_scenes import CATEGORIES, blob, detections, full, panoptic, stored

from thingstuff.errors import DataError
from thingstuff.store import PredictedImage, StoreMeta
from thingstuff.store.exports import EXPORTS, ExportOptions
from thingstuff.store.exports.names import file_names
from thingstuff.store.exports.outlines import outlines
from thingstuff.structures import Categories, Category, Detections, MaskCrops

WITH_STUFF = ExportOptions(include_stuff=True)


# LabelMe


@pytest.mark.parametrize("tolerance_px", [0, 0.5])
def test_labelme_polygons_cover_the_masks(tmp_path, tolerance_px):
    image = PredictedImage("a/x.jpg", 120, 160, detections=detections(0, 8, 120, 160))
    store = stored(tmp_path, image)
    EXPORTS["labelme"](store, tmp_path / "out", ExportOptions(tolerance_px=tolerance_px))
    record = json.loads((tmp_path / "out/a/x.json").read_text())
    assert (record["imagePath"], record["imageData"]) == ("x.jpg", None)
    assert (record["imageHeight"], record["imageWidth"], record["flags"]) == (120, 160, {})
    assert record["version"].startswith("5.")
    found = image.detections
    with_pixels = [number for number, area in enumerate(found.masks.areas_px()) if area]
    shapes = record["shapes"]
    assert len(shapes) == len(with_pixels)  # each blob is one part
    for shape, number in zip(shapes, with_pixels, strict=True):
        assert shape["shape_type"] == "polygon"
        assert shape["label"] == CATEGORIES.by_id(found.category_ids[number]).name
        assert shape["group_id"] is None
        assert float(shape["description"].removeprefix("score ")) == pytest.approx(found.scores[number], abs=1e-4)
        assert iou([shape], found.masks.bitmap(number)) > 0.9


def iou(shapes, bitmap):
    polygons = [np.ravel(shape["points"]).tolist() for shape in shapes]
    drawn = MaskCrops.from_polygons([polygons], *bitmap.shape).bitmap(0)
    return (drawn & bitmap).sum() / (drawn | bitmap).sum()


def test_labelme_parts_share_a_group_and_boxes_become_rectangles(tmp_path):
    bitmap = np.zeros((1, 24, 32), bool)
    bitmap[0, 2:9, 3:11] = bitmap[0, 15:20, 20:31] = True
    masks = MaskCrops.from_bitmaps(bitmap)
    one = Detections(masks, np.array([[1, 2, 3, 4.5]], np.float32), np.array([0.5], np.float32), np.array([7]))
    boxes = Detections(None, one.boxes_xyxy, one.scores, one.category_ids, 24, 32)
    store = stored(
        tmp_path, PredictedImage("parts", 24, 32, detections=one), PredictedImage("boxes", 24, 32, detections=boxes)
    )
    EXPORTS["labelme"](store, tmp_path / "out", ExportOptions())
    parts = json.loads((tmp_path / "out/parts.json").read_text())["shapes"]
    assert [shape["group_id"] for shape in parts] == [0, 0]
    assert iou(parts, bitmap[0]) == 1
    (rectangle,) = json.loads((tmp_path / "out/boxes.json").read_text())["shapes"]
    assert rectangle["shape_type"] == "rectangle"
    assert rectangle["points"] == [[1, 2], [3, 4.5]]


def test_labelme_draws_stuff_below_the_things(tmp_path):
    both = full("both", 0)
    panoptic_only = PredictedImage("panoptic", 24, 32, panoptic=panoptic(1))
    store = stored(tmp_path, both, panoptic_only)
    EXPORTS["labelme"](store, tmp_path / "out", WITH_STUFF)
    for image, truth in [(both, both.stuff_map), (panoptic_only, panoptic_only.panoptic.stuff_map(CATEGORIES))]:
        shapes = json.loads((tmp_path / f"out/{image.key}.json").read_text())["shapes"]
        labels = [shape["label"] for shape in shapes]
        stuff_names = [c.name for c in CATEGORIES.stuff]
        things_begin = next((n for n, label in enumerate(labels) if label not in stuff_names), len(labels))
        assert not set(labels[things_begin:]) & set(stuff_names)
        for number, name in enumerate(stuff_names, 1):
            region = truth == number
            drawn = [shape for shape in shapes if shape["label"] == name]
            assert bool(drawn) == region.any()
            if drawn and image is both:  # whole rows: no holes to lose
                assert iou(drawn, region) == 1


def test_labelme_keeps_files_that_are_there_unless_told_otherwise(tmp_path):
    store = stored(tmp_path, full("a.jpg", 0), full("b.jpg", 1))
    by_hand = tmp_path / "out/b.json"
    by_hand.parent.mkdir()
    by_hand.write_text("corrected")
    EXPORTS["labelme"](store, tmp_path / "out", ExportOptions())
    assert by_hand.read_text() == "corrected"
    assert json.loads((tmp_path / "out/a.json").read_text())["imagePath"] == "a.jpg"
    EXPORTS["labelme"](store, tmp_path / "out", ExportOptions(overwrite=True))
    assert json.loads(by_hand.read_text())["imagePath"] == "b.jpg"


def test_labelme_points_to_images_elsewhere(tmp_path):
    store = stored(tmp_path, full("a/x.jpg", 0))
    EXPORTS["labelme"](store, tmp_path / "out", ExportOptions(image_root=tmp_path / "images"))
    record = json.loads((tmp_path / "out/a/x.json").read_text())
    assert record["imagePath"] == "../../images/a/x.jpg"


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["a.jpg", "b/a.jpg", "clip.mp4/000012", ".jpg"], ["a.json", "b/a.json", "clip.mp4/000012.json", ".jpg.json"]),
        (["a.jpg", "a.png", "b.png"], ["a.jpg.json", "a.png.json", "b.json"]),
        (["a.jpg", "a.png", "a.jpg.jpg"], ["a.jpg.json", "a.png.json", "a.jpg.jpg.json"]),
    ],
)
def test_two_images_never_share_a_file(keys, names):
    assert file_names(keys, ".json") == dict(zip(keys, names, strict=True))


# outlines


def test_an_outline_runs_along_pixel_edges():
    (square,) = outlines(np.ones((1, 1), np.uint8), 5, 7)
    assert sorted(map(tuple, square.tolist())) == [(5, 7), (5, 8), (6, 7), (6, 8)]
    (bar,) = outlines(np.ones((2, 3), np.uint8), 0, 0, tolerance_px=0.5)
    assert sorted(map(tuple, bar.tolist())) == [(0, 0), (0, 2), (3, 0), (3, 2)]
    assert outlines(np.zeros((0, 0), np.uint8), 0, 0) == []
    assert outlines(np.zeros((2, 2), np.uint8), 0, 0) == []


def test_outlines_of_random_masks_lose_holes_alone():
    rng = np.random.default_rng(0)
    for _ in range(30):
        bitmap = blob(rng, 40, 50) & (rng.random((40, 50)) > 0.1)
        polygons = [points.reshape(-1).tolist() for points in outlines(bitmap.view(np.uint8), 0, 0)]
        drawn = MaskCrops.from_polygons([polygons], 40, 50).bitmap(0)
        np.testing.assert_array_equal(drawn, without_holes(bitmap))


def without_holes(bitmap):
    """What the outside, flowing in from the border across pixel edges, does not reach."""
    padded = np.pad(bitmap.astype(np.uint8), 1)
    cv2.floodFill(padded, None, (0, 0), 2, flags=4)
    return padded[1:-1, 1:-1] != 2


# CVAT


def cvat_mask(element, height, width):
    """CVAT's definition: run lengths along the rows of the box, alternately outside and inside, outside first."""
    left, top, columns, rows = (int(element.get(name)) for name in ("left", "top", "width", "height"))
    inside, values = 0, []
    for run in element.get("rle").split(","):
        values += [inside] * int(run)
        inside = 1 - inside
    assert len(values) == rows * columns
    bitmap = np.zeros((height, width), bool)
    bitmap[top : top + rows, left : left + columns] = np.reshape(values, (rows, columns))
    return bitmap


def test_cvat_masks_are_exact(tmp_path):
    images = [full("b <&> \"x\" 'y'.jpg", 0), full("a.jpg", 1), full("日本.jpg", 2)]
    path = EXPORTS["cvat"](stored(tmp_path, *images), tmp_path / "out", WITH_STUFF)
    root = ElementTree.parse(path).getroot()
    assert root.find("version").text == "1.1"
    names = [label.find("name").text for label in root.iter("label")]
    assert names == [c.name for c in CATEGORIES.all]
    assert root.findall(".//label/color")[1].text == "#0102ff"
    defined = {
        label.find("name").text: [a.find("name").text for a in label.iter("attribute")] for label in root.iter("label")
    }
    elements = root.findall("image")
    assert [(e.get("id"), e.get("name")) for e in elements] == [
        (str(number), key) for number, key in enumerate(sorted(image.key for image in images))
    ]
    for element, image in zip(elements, sorted(images, key=lambda image: image.key), strict=True):
        assert (element.get("height"), element.get("width")) == ("24", "32")
        masks = element.findall("mask")
        for mask in masks:
            assert [a.get("name") for a in mask.findall("attribute")] == defined[mask.get("label")]
            assert mask.get("occluded") == "0"
        things = [mask for mask in masks if mask.get("z_order") == "1"]
        found = image.detections
        expected = [n for n, area in enumerate(found.masks.areas_px()) if area]
        for mask, number in zip(things, expected, strict=True):
            np.testing.assert_array_equal(cvat_mask(mask, 24, 32), found.masks.bitmap(number))
            assert mask.get("label") == CATEGORIES.by_id(found.category_ids[number]).name
            assert mask.find("attribute").text == f"{found.scores[number]:.4f}"
        stuff = {mask.get("label"): cvat_mask(mask, 24, 32) for mask in masks if mask.get("z_order") == "0"}
        for label, category in enumerate(CATEGORIES.stuff, 1):
            region = image.stuff_map == label
            np.testing.assert_array_equal(stuff.get(category.name, np.zeros((24, 32), bool)), region)


def test_cvat_boxes(tmp_path):
    found = Detections(None, np.array([[1, 2, 3, 4.567]], np.float32), np.ones(1, np.float32), np.array([2]), 24, 32)
    path = EXPORTS["cvat"](stored(tmp_path, PredictedImage("a", 24, 32, detections=found)), tmp_path, ExportOptions())
    (box,) = ElementTree.parse(path).getroot().iter("box")
    assert [box.get(name) for name in ("label", "xtl", "ytl", "xbr", "ybr")] == ["tree", "1.00", "2.00", "3.00", "4.57"]


def test_cvat_refuses_names_that_xml_cannot_hold(tmp_path):
    for folder, key, name in [("1", "a\x01b", "cat"), ("2", "\udcff", "cat"), ("3", "a", "c\x0bat")]:
        meta = StoreMeta("c", "w", Categories((Category(7, name), Category(2, "tree"))))
        store = stored(tmp_path / folder, PredictedImage(key, 24, 32, detections=detections(0)), meta=meta)
        with pytest.raises(DataError, match="XML cannot hold the character"):
            EXPORTS["cvat"](store, tmp_path / "out", ExportOptions())
    assert not list((tmp_path / "out").glob("*"))


def test_a_negative_tolerance_is_refused():
    with pytest.raises(DataError, match="tolerance_px: expected 0 or more, got -1"):
        ExportOptions(tolerance_px=-1)
