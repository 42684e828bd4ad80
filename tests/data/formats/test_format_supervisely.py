"""Supervisely: every kind of object, and the classes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from round_trips import HEIGHT, WIDTH, assert_measured, masks_of
from supervisely_files import (
    BITMAP,
    CLASSES,
    bitmap,
    label_file,
    palette_png,
    png_of,
    polygon,
    project,
    read,
    rectangle,
)

from thingstuff.data.formats import Source
from thingstuff.data.formats.supervisely import SUPERVISELY
from thingstuff.structures import Categories, Category


def only_mask(truth):
    ((_, _, mask),) = masks_of(truth)["a.jpg"]
    return mask


# objects


def test_polygons_and_rectangles_of_whole_numbers_are_pixels(tmp_path):
    truth = read(tmp_path, polygon(), rectangle(9, 1, 4, 5, "dog"))
    first, second = truth.annotations
    assert (first["bbox"], first["area"]) == ([2, 3, 5, 6], 30)  # 2 to 6 and 3 to 8, the border included
    assert second["segmentation"] == [[4, 1, 10, 1, 10, 6, 4, 6]]
    assert (second["bbox"], second["area"], second["category_id"], second["iscrowd"]) == ([4, 1, 6, 5], 30, 1, 0)
    assert truth.images == [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}]
    assert truth.annotation_place(1) == "ds/ann/a.jpg.json: objects[1]"
    assert truth.image_place(0) == "ds/ann/a.jpg.json"
    assert_measured(truth)


def test_whole_rings_are_drawn_as_opencv_draws_them(tmp_path):
    """As Supervisely's programs do: the outer ring over its border, then the inner one out, with its border too."""
    outer, inner = [[1, 1], [10, 1], [10, 8], [4, 9], [1, 8]], [[3, 3], [6, 3], [6, 6]]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(expected, [np.array(outer)], 1)
    cv2.fillPoly(expected, [np.array(inner)], 0)
    truth = read(tmp_path, polygon(outer, [inner]))
    np.testing.assert_array_equal(only_mask(truth), expected)
    assert_measured(truth)
    same = read(tmp_path, polygon([[2, 3], [6, 3], [6, 8], [2, 8]]), rectangle(2, 3, 6, 8)).annotations
    assert same[0]["bbox"] == same[1]["bbox"] and same[0]["area"] == same[1]["area"]


def test_a_ring_beyond_the_image_is_cut_there(tmp_path):
    far = 10_000_000
    truth = read(tmp_path, polygon([[-far, -far], [far, -far], [far, far], [-far, far]]), polygon([[50, 50]] * 3))
    assert [note["area"] for note in truth.annotations] == [HEIGHT * WIDTH, 0]


def test_other_numbers_are_points(tmp_path):
    truth = read(tmp_path, polygon([[2, 3], [6.5, 3], [6, 8]]), rectangle(1, 2, 4.5, 6))
    assert truth.annotations[0]["segmentation"] == [[2, 3, 6.5, 3, 6, 8]]
    assert truth.annotations[1]["segmentation"] == [[1, 2, 4.5, 2, 4.5, 6, 1, 6]]


def test_what_touches_the_border_of_the_image_stays_in_it(tmp_path):
    truth = read(tmp_path, rectangle(0, 0, WIDTH - 1, HEIGHT - 1), rectangle(0, 0, WIDTH, HEIGHT))
    assert [note["bbox"] for note in truth.annotations] == [[0, 0, WIDTH, HEIGHT]] * 2


def test_inner_rings_are_holes(tmp_path):
    outer = [[1, 1], [10, 1], [10, 8], [1, 8]]
    holes = [[[3.0, 3.0], [5.5, 3.0], [5.5, 5.0], [3.0, 5.0]], [[8, 6], [12, 6], [12, 9], [8, 9]]]
    truth = read(tmp_path, polygon(outer, holes))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5  # a pixel belongs to a ring that has its middle
    expected[(rows > 1) & (rows < 8) & (columns > 1) & (columns < 10)] = True
    expected[(rows > 3) & (rows < 5) & (columns > 3) & (columns < 5.5)] = False
    expected[(rows > 6) & (columns > 8)] = False  # this one also lies outside of the outer ring
    found = only_mask(truth)
    assert (found & expected).sum() / (found | expected).sum() > 0.95
    assert found[1, 1] and not found[4, 4] and not found[7, 9] and not found[8, 10]
    assert_measured(truth)


@pytest.mark.parametrize(
    "png",
    [
        palette_png(BITMAP),
        png_of(Image.fromarray(BITMAP * 255)),
        png_of(Image.fromarray(BITMAP)),
        png_of(Image.fromarray(BITMAP * 255).convert("1")),
        png_of(Image.fromarray(BITMAP), transparency=0),
        png_of(Image.fromarray(np.dstack([BITMAP * 0] * 3 + [BITMAP * 255]), "RGBA")),  # black, which alpha shows
        png_of(Image.fromarray(np.dstack([BITMAP * 0 + 255] * 3 + [BITMAP * 7]), "RGBA")),
    ],
    ids=["palette", "grey", "grey of 1", "one bit", "grey with a transparent value", "black RGBA", "white RGBA"],
)
def test_bitmaps_of_every_kind_lie_at_their_origin(tmp_path, png):
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[5:7, 4:7] = BITMAP
    truth = read(tmp_path, bitmap(png))
    np.testing.assert_array_equal(only_mask(truth), expected)
    assert truth.annotations[0]["bbox"] == [4, 5, 3, 2]


def test_a_bitmap_is_cut_at_the_image(tmp_path):
    full = palette_png(np.ones((4, 4), np.uint8))
    truth = read(tmp_path, bitmap(full, (-2, -1)), bitmap(full, (50, 50)))
    assert [note["bbox"] for note in truth.annotations] == [[0, 0, 2, 3], [0, 0, 0, 0]]


def test_a_crowd_has_its_tag(tmp_path):
    truth = read(tmp_path, bitmap(tags=[{"name": "iscrowd", "value": None}]), bitmap(tags=[{"name": "old"}]))
    assert [note["iscrowd"] for note in truth.annotations] == [1, 0]


def test_other_types_are_left_out_with_a_note(tmp_path):
    line = polygon() | {"geometryType": "line"}
    truth = read(tmp_path, line, {"classTitle": "x", "geometryType": "graph", "nodes": {}}, line, polygon())
    assert len(truth.annotations) == 1
    assert truth.annotation_place(0).endswith("objects[3]")
    for words in ("2 of the objects, of the type 'line'", "1 of the objects, of the type 'graph'"):
        assert any(words in note for note in truth.notes)


# classes


def test_classes_have_the_order_of_the_project(tmp_path):
    """Its own ids (77) are of a server; a class that nothing uses, as a background, takes its place and no other's."""
    classes = [{"title": "background", "shape": "any"}, *CLASSES]
    folder = project(tmp_path, {"ds/ann/a.jpg.json": label_file(polygon(), bitmap())}, classes)
    truth = SUPERVISELY.read(Source(folder))
    assert [(c["id"], c["name"]) for c in truth.categories] == [(1, "background"), (2, "dog"), (3, "cat")]
    assert truth.categories[1]["color"] == [10, 1, 255]
    assert [note["category_id"] for note in truth.annotations] == [3, 2]


def test_declared_categories_are_matched_by_name_and_an_unknown_title_stays(tmp_path):
    declared = Categories((Category(9, "cat"), Category(0, "dog")))
    truth = read(tmp_path, polygon(), bitmap(), polygon(title="bird"), categories=declared)
    assert [note["category_id"] for note in truth.annotations] == [9, 0, "bird"]
    assert truth.categories == declared.to_coco()
