"""LabelMe: every kind of shape is read as LabelMe draws it, and what is written is read again."""

from __future__ import annotations

import base64
import dataclasses
import io
import json

import numpy as np
import pytest
from mutated_json import mutated_files
from PIL import Image
from round_trips import (
    HEIGHT,
    WIDTH,
    assert_measured,
    assert_survives,
    coco_tiny,
    iou,
    masks_of,
    shapes_truth,
)

from thingstuff.data.formats import FORMATS, Source, WriteOptions, format_of
from thingstuff.data.formats.labelme import LABELME
from thingstuff.data.formats.round_outlines import ellipse_polygon
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category, MaskCrops

WRITTEN = ("labelme", "cvat", "id_masks", "lvis", "mask_folders", "supervisely")
SQUARE = [[2, 3], [6, 3], [6, 8], [2, 8]]


def shape(label="cat", points=SQUARE, kind="polygon", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def content(*shapes, **more):
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "street.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        **more,
    }


def read(folder, *shapes, images=None, categories=None, ignore=(), **more):
    (folder / "street.json").write_text(json.dumps(content(*shapes, **more)))
    options = {"ignore": list(ignore)} if ignore else {}
    return LABELME.read(Source(folder, images, categories, options))


def png_text(bitmap, mode="L"):
    file = io.BytesIO()
    Image.fromarray(bitmap).convert(mode).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


# shapes


def test_polygons_and_rectangles(tmp_path):
    truth = read(tmp_path, shape(), shape("dog", [[9, 1], [3.5, 4]], "rectangle"))
    assert [c["name"] for c in truth.categories] == ["cat", "dog"]
    assert [c["id"] for c in truth.categories] == [1, 2]
    first, second = truth.annotations
    assert first["segmentation"] == [[2, 3, 6, 3, 6, 8, 2, 8]]
    assert (first["bbox"], first["area"], first["category_id"], first["iscrowd"]) == ([2, 3, 4, 5], 20, 1, 0)
    assert second["segmentation"] == [[9, 1, 3.5, 1, 3.5, 4, 9, 4]]
    assert truth.images == [{"id": 1, "file_name": "street.jpg", "width": WIDTH, "height": HEIGHT}]
    assert truth.annotation_place(1) == "street.json: shapes[1]"
    assert truth.image_place(0) == "street.json"
    assert "alphabetical" in truth.notes[0]
    assert_measured(truth)


def test_the_first_versions_have_no_shape_type(tmp_path):
    old = {"label": "cat", "points": SQUARE, "line_color": None, "fill_color": None}
    assert read(tmp_path, old, lineColor=[0, 255, 0, 128]).annotations[0]["area"] == 20


@pytest.mark.parametrize("radius", [0.8, 1, 2.5, 4, 7.3, 15, 31.9, 32.1, 60, 200])
def test_a_circle_is_its_disc(radius):
    side = int(2 * radius + 10)
    for x, y in [(side / 2, side / 2), (side / 2 + 0.31, side / 2 - 0.17)]:
        rows, columns = np.mgrid[:side, :side] + 0.5
        disc = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
        drawn = MaskCrops.from_polygons([[ellipse_polygon((x, y), (radius, radius))]], side, side).bitmap(0)
        assert iou(drawn, disc) >= (1 if radius < 32 else 0.99)


def test_a_circle_goes_through_its_second_point(tmp_path):
    truth = read(tmp_path, shape(points=[[5, 5], [5, 8]], kind="circle"))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    disc = (columns - 5) ** 2 + (rows - 5) ** 2 <= 9
    np.testing.assert_array_equal(masks_of(truth)["street.jpg"][0][2], disc)
    for radius in (0, 0.2, 1e5):
        assert len(read(tmp_path, shape(points=[[5, 5], [5 + radius, 5]], kind="circle")).annotations) == 1


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("mode", ["L", "1"])
def test_a_mask_lies_between_its_points(tmp_path, last, mode):
    """LabelMe's second point is the last pixel; others write the one behind it."""
    bitmap = np.array([[0, 1, 1], [1, 0, 1]], np.uint8) * 255
    points = [[4, 5], [6 + last, 6 + last]]
    truth = read(tmp_path, shape(points=points, kind="mask", mask=png_text(bitmap, mode)))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[5:7, 4:7] = bitmap
    np.testing.assert_array_equal(masks_of(truth)["street.jpg"][0][2], expected)
    assert_measured(truth)


def test_a_mask_is_cut_at_the_image(tmp_path):
    bitmap = np.full((4, 4), 255, np.uint8)
    truth = read(tmp_path, shape(points=[[-2, -1], [1, 2]], kind="mask", mask=png_text(bitmap)))
    assert truth.annotations[0]["bbox"] == [0, 0, 2, 3]


def test_shapes_of_a_group_are_one_instance(tmp_path):
    bitmap = np.full((2, 2), 255, np.uint8)
    far = [[8, 1], [11, 1], [11, 4], [8, 4]]
    truth = read(
        tmp_path,
        shape(group_id=1),
        shape("dog", far, group_id=1),
        shape(points=far, group_id=1),
        shape(points=far, group_id=2),
        shape(points=[[0, 0], [1, 1]], kind="mask", mask=png_text(bitmap), group_id=2),
        shape(points=far),
        shape(points=far),
    )
    assert [len(note["segmentation"]) for note in truth.annotations] == [2, 1, 2, 1, 1]
    assert truth.annotation_places[0] == "street.json: shapes[0], shapes[2]"
    assert "counts" in truth.annotations[2]["segmentation"]
    assert truth.annotations[2]["area"] == 9 + 4
    assert_measured(truth)


def test_what_is_no_area_and_what_is_ignored_is_left_out_with_a_note(tmp_path):
    line = shape(points=[[1, 1], [2, 2]], kind="line")
    shapes = [line, line, shape(points=[[1, 1]], kind="point"), shape("blur"), shape()]
    truth = read(tmp_path, *shapes, ignore=["blur"])
    assert [note["area"] for note in truth.annotations] == [20]
    assert truth.annotation_place(0) == "street.json: shapes[4]"
    assert [c["name"] for c in truth.categories] == ["cat"]
    for part in ("2 of the shapes, which are of the type 'line'", "1 of the shapes", "1 of the label 'blur'"):
        assert any(part in note for note in truth.notes)
    with pytest.raises(DataError, match="ignore: expected a list of labels, got 'blur'"):
        LABELME.read(Source(tmp_path, options={"ignore": "blur"}))


def test_declared_categories_keep_their_ids_and_an_unknown_label_its_text(tmp_path):
    declared = Categories((Category(7, "dog"), Category(3, "cat")))
    truth = read(tmp_path, shape(), shape("dgo"), categories=declared)
    assert [note["category_id"] for note in truth.annotations] == [3, "dgo"]
    assert truth.categories == declared.to_coco()


# images


def test_images_are_where_their_files_say(tmp_path):
    (tmp_path / "labels/b").mkdir(parents=True)
    for name, path in [("a", "..\\images\\a.jpg"), ("b/c", "../../images/b/c.jpg")]:
        (tmp_path / f"labels/{name}.json").write_text(json.dumps(content(shape(), imagePath=path)))
    truth = LABELME.read(Source(tmp_path / "labels"))
    assert truth.image_root == tmp_path / "images"
    assert [image["file_name"] for image in truth.images] == ["a.jpg", "b/c.jpg"]
    assert [image["id"] for image in truth.images] == [1, 2]
    given = LABELME.read(Source(tmp_path / "labels", tmp_path))
    assert [image["file_name"] for image in given.images] == ["images/a.jpg", "images/b/c.jpg"]


def test_images_that_somebody_moved_are_found_in_the_given_folder(tmp_path):
    (tmp_path / "images/b").mkdir(parents=True)
    (tmp_path / "labels/b").mkdir(parents=True)
    for name in ("a.jpg", "b/c.jpg"):
        (tmp_path / "images" / name).write_bytes(b"")
        path = (tmp_path / "labels" / name).with_suffix(".json")
        path.write_text(json.dumps(content(imagePath=f"C:\\Users\\me\\{name[-5:]}")))
    truth = LABELME.read(Source(tmp_path / "labels", tmp_path / "images"))
    assert [image["file_name"] for image in truth.images] == ["a.jpg", "b/c.jpg"]


def test_a_path_that_leads_away_stays_for_the_checks(tmp_path):
    (tmp_path / "x/labels").mkdir(parents=True)
    truth = read(tmp_path / "x/labels", imagePath="../../../../../../../../etc/passwd")
    assert truth.image_root == tmp_path / "x/labels"
    assert truth.images[0]["file_name"].startswith("../../")


def test_the_size_is_the_image_s_where_it_is_not_stated(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "street.jpg")
    truth = read(tmp_path, shape(), imageHeight=None)
    assert (truth.images[0]["width"], truth.images[0]["height"]) == (30, 20)
    (tmp_path / "street.jpg").unlink()
    truth = read(tmp_path, shape(), imageHeight=None, imageData=png_text(np.zeros((5, 7), np.uint8)))
    assert (truth.images[0]["width"], truth.images[0]["height"]) == (7, 5)
    unknown = read(tmp_path, shape(), imageHeight=None, imageData="no image")
    assert "height" not in unknown.images[0]
    assert unknown.annotations[0]["segmentation"] == [[2, 3, 6, 3, 6, 8, 2, 8]]


# refusals


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shapes": None}, "expected a file of LabelMe, an object with the list shapes"),
        ({"shapes": [3]}, r"street.json: shapes\[0\]: expected an object with label and points, got 3"),
        ({"shapes": [shape(None)]}, r"shapes\[0\]: expected a label, got None"),
        ({"shapes": [shape(points="1 2")]}, r"shapes\[0\]: expected points as a list of \[x, y\], got '1 2'"),
        ({"shapes": [shape(points=[[1, True]])]}, r"shapes\[0\]: expected a number, got True"),
        ({"shapes": [shape(points=[[1, 10**400]])]}, r"shapes\[0\]: expected a number, got 1000"),
        ({"shapes": [shape(kind="circle")]}, r"shapes\[0\]: expected a circle of two points, got 4"),
        ({"shapes": [shape(points=[[1, 1], [float("nan"), 1]], kind="circle")]}, "expected coordinates in pixels, got"),
        ({"shapes": [shape(group_id=[1])]}, "expected a group_id that is a number or null"),
        ({"shapes": [shape(points=[[0, 0], [1, 1]], kind="mask", mask="?")]}, r"shapes\[0\]: mask: expected a PNG"),
        ({"shapes": [shape(points=[[0, 0], [1, 1]], kind="mask", mask=5)]}, "expected its mask as a PNG in base64"),
        (
            {"shapes": [shape(points=[[0, 0], [9, 9]], kind="mask", mask=png_text(np.ones((2, 3), np.uint8)))]},
            r"shapes\[0\]: its mask has 3 x 2 pixels, which its points contradict",
        ),
        ({"imageHeight": "10"}, "street.json: expected a height in whole pixels above 0, got '10'"),
        ({"imageWidth": -1}, "street.json: expected a width"),
        ({"imageHeight": 10**6, "imageWidth": 10**6}, "are more than the 268435456 that are read"),
        ({"imagePath": None}, "street.json: expected imagePath"),
        ({"imagePath": "a\0"}, "street.json: expected imagePath"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, changed, message):
    with pytest.raises(DataError, match=message) as refusal:
        read(tmp_path, **changed)
    assert "\n" not in str(refusal.value)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected LabelMe's JSON files in this folder, found none"):
        LABELME.read(Source(tmp_path))
    with pytest.raises(DataError, match="nowhere: cannot be read: No such file"):
        LABELME.read(Source(tmp_path / "nowhere"))


def test_an_outline_that_would_fill_the_memory_is_not_drawn(tmp_path):
    zigzag = [[1e6 * (n % 2), n] for n in range(20_000)]
    (note,) = read(tmp_path, shape(points=zigzag)).annotations
    assert len(note["segmentation"][0]) == 40_000
    assert "bbox" not in note


def test_damaged_files_are_refused_in_one_line_or_read(tmp_path):
    sound = content(
        shape(group_id=1),
        shape(points=[[1, 1], [5, 7]], kind="rectangle", group_id=1),
        shape("dog", [[4, 4], [6, 4]], "circle"),
        shape(points=[[4, 5], [6, 6]], kind="mask", mask=png_text(np.eye(2, 3, dtype=np.uint8) * 255)),
    )
    path = tmp_path / "street.json"

    assert_survives(lambda: LABELME.read(Source(tmp_path)), path, mutated_files(sound, 600))
    path.write_text("[" * 200_000)
    with pytest.raises(DataError, match="nested too deeply"):
        LABELME.read(Source(tmp_path))


# writing


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    written = shapes_truth(small_shapes)
    assert_round_trip(written, tmp_path / "out", bound=1.0)


def test_real_polygons_and_crowds_are_written_and_read_again(tmp_path):
    assert_round_trip(coco_tiny(), tmp_path / "out", bound=1.0)


def assert_round_trip(written, folder, bound):
    path = LABELME.write(written, folder, WriteOptions())
    assert format_of("auto", path).name == "labelme"
    read_again = LABELME.read(Source(path, written.image_root))
    got, expected = masks_of(read_again), masks_of(written)
    assert got.keys() == expected.keys()
    for name, masks in expected.items():
        assert [mask[:2] for mask in got[name]] == [mask[:2] for mask in masks if mask[2].any()]
        for (_, _, one), (_, _, other) in zip(got[name], [m for m in masks if m[2].any()], strict=True):
            assert iou(one, other) >= bound


def test_holes_parts_boxes_and_crowds_are_kept(tmp_path):
    ring = np.ones((HEIGHT, WIDTH), bool)
    ring[3:5, 3:5] = False
    parts = np.zeros((HEIGHT, WIDTH), bool)
    parts[1:3, 1:3] = parts[6:8, 6:9] = True
    rles = MaskCrops.from_bitmaps(np.stack([ring, parts])).to_rles()
    common = {"image_id": 5, "category_id": 2}
    notes = [
        {"id": 1, **common, "segmentation": rles[0], "iscrowd": 1},
        {"id": 2, **common, "segmentation": rles[1], "iscrowd": 0},
        {"id": 3, **common, "bbox": [1, 2, 3.5, 4]},
    ]
    image = {"id": 5, "file_name": "sub/a.jpg", "width": WIDTH, "height": HEIGHT}
    (tmp_path / "images/sub").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images/sub/a.jpg")
    truth = SplitTruth("made", tmp_path / "images", [{"id": 2, "name": "cat"}], [image], notes)
    folder = LABELME.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    record = json.loads((folder / "sub/a.json").read_text())
    assert [each["shape_type"] for each in record["shapes"]] == ["mask", "polygon", "polygon", "rectangle"]
    assert [each["group_id"] for each in record["shapes"]] == [None, 1, 1, None]
    assert record["imagePath"] == "a.jpg"
    assert (folder / "sub/a.jpg").read_bytes() == (tmp_path / "images/sub/a.jpg").read_bytes()
    again = LABELME.read(Source(folder))
    masks = masks_of(again)["sub/a.jpg"]
    np.testing.assert_array_equal(masks[0][2], ring)
    np.testing.assert_array_equal(masks[1][2], parts)
    assert [mask[1] for mask in masks] == [True, False, False]
    assert again.annotations[2]["segmentation"] == [[1, 2, 4.5, 2, 4.5, 6, 1, 6]]


@pytest.mark.parametrize("name", [*WRITTEN, "fiftyone"])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"annotations": None}, "made has no instances"),
        (
            {"images": [{"id": 1, "file_name": "../a.jpg", "width": 3, "height": 3}]},
            r"images\[0\]: expected a file_name",
        ),
        ({"images": [{"id": 1, "file_name": "a.jpg"}]}, r"images\[0\]: expected a height in whole pixels"),
        ({"annotations": [{"image_id": 1, "category_id": 9}]}, r"annotations\[0\]: there is no category 9"),
        ({"annotations": [{"image_id": 2, "category_id": 1}]}, r"annotations\[0\]: there is no image 2"),
        ({"annotations": [{"image_id": [], "category_id": 1}]}, r"annotations\[0\]: expected image_id, a number"),
    ],
)
def test_what_no_file_can_hold_is_refused(tmp_path, name, changed, message):
    image = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    truth = SplitTruth("made", tmp_path, [{"id": 1, "name": "cat"}], [image], [])
    with pytest.raises(DataError, match=message):
        FORMATS[name].write(dataclasses.replace(truth, **changed), tmp_path / "out", WriteOptions())


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize(
    "segmentation",
    [[[1, 2]], [["x"] * 6], {"size": [9, 9], "counts": [81]}, {"size": [HEIGHT, WIDTH], "counts": "~"}, "x", 5],
)
def test_broken_masks_are_named_by_their_place(tmp_path, name, segmentation):
    image = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    note = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation}
    truth = SplitTruth("made", tmp_path, [{"id": 1, "name": "cat"}], [image], [note])
    with pytest.raises(DataError, match=r"made: annotations\[0\]: "):
        FORMATS[name].write(truth, tmp_path / "out", WriteOptions())
