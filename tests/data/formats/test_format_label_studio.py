"""Label Studio's JSON, written by hand after its guide: every area, and masks come back exactly.

https://labelstud.io/guide/task_format shows tasks, https://labelstud.io/tags/ what a result of each kind holds.
"""

from __future__ import annotations

import json
import logging
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from mutated_json import mutated_files
from PIL import Image
from round_trips import (
    HEIGHT,
    WIDTH,
    assert_measured,
    assert_same_masks,
    assert_survives,
    coco_tiny,
    masks_of,
    shapes_truth,
    without_crowds,
)

from thingstuff.data.formats import Source, WriteOptions, format_of
from thingstuff.data.formats.label_studio import LABEL_STUDIO
from thingstuff.data.formats.label_studio_rle import encode_brush
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category

URL = "/data/upload/1/0a1b2c3d-street.jpg"
NUMBERS = iter(range(10**6))


def percent(x, y):
    return [100 * x / WIDTH, 100 * y / HEIGHT]


SQUARE = {"points": [percent(*point) for point in ((2, 3), (6, 3), (6, 8), (2, 8))], "closed": True}
RECT = dict(zip(("x", "y", "width", "height"), (*percent(4, 2), *percent(6, 3)), strict=True))


def result(kind="polygonlabels", value=SQUARE, label="cat", **more):
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {
        "id": f"r{next(NUMBERS)}",
        "type": kind,
        "from_name": "label",
        "to_name": "image",
        **size,
        "value": value | {kind: [label]},
        **more,
    }


def task(*results, image=URL, **more):
    annotation = {"id": 6, "completed_by": 1, "was_cancelled": False, "result": list(results)}
    return {
        "id": 5,
        "annotations": [annotation],
        "predictions": [],
        "data": {"image": image, "text": "a street"},
    } | more


def read(folder, *tasks, images=None, categories=None, lenient=False, **options):
    (folder / "project-1.json").write_text(json.dumps(tasks))
    return LABEL_STUDIO.read(Source(folder, images, categories, options, lenient))


def mask_of(truth):
    ((_, _, mask),) = masks_of(truth)["street.jpg"]
    return mask


# areas


def test_polygons_and_rectangles_in_percent(tmp_path):
    truth = read(tmp_path, task(result(), result("rectanglelabels", RECT | {"rotation": 0}, "dog")))
    first, second = truth.annotations
    assert first["segmentation"] == [[2, 3, 6, 3, 6, 8, 2, 8]]
    assert (first["bbox"], first["area"], first["category_id"], first["iscrowd"]) == ([2, 3, 4, 5], 20, 1, 0)
    assert second["segmentation"] == [[4, 2, 10, 2, 10, 5, 4, 5]]
    assert truth.images == [{"id": 1, "file_name": "street.jpg", "width": WIDTH, "height": HEIGHT}]
    assert [c["name"] for c in truth.categories] == ["cat", "dog"]
    assert truth.annotation_place(1) == "project-1.json: [0]: result[1]"
    assert truth.image_place(0) == "project-1.json: [0]"
    assert_measured(truth)


def test_a_rectangle_turns_clockwise_about_its_first_corner_in_pixels(tmp_path):
    """Turned in percent it would be no rectangle, since the image is no square."""
    quarter, eighth = read(
        tmp_path, task(*(result("rectanglelabels", RECT | {"rotation": degrees}) for degrees in (90, 45)))
    ).annotations
    np.testing.assert_allclose(quarter["segmentation"][0], [4, 2, 4, 8, 1, 8, 1, 2], atol=1e-3)
    half = math.sqrt(0.5)
    expected = [4, 2, 4 + 6 * half, 2 + 6 * half, 4 + 3 * half, 2 + 9 * half, 4 - 3 * half, 2 + 3 * half]
    np.testing.assert_allclose(eighth["segmentation"][0], expected, atol=1e-3)


@pytest.mark.parametrize("degrees", [0, 30, 200])
def test_an_ellipse_is_the_pixels_inside(tmp_path, degrees):
    (x, y), (across, down) = percent(6, 5.2), percent(4, 2.5)
    value = {"x": x, "y": y, "radiusX": across, "radiusY": down, "rotation": degrees}
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    turn = math.radians(degrees)
    u, v = columns - 6, rows - 5.2
    inside = ((u * math.cos(turn) + v * math.sin(turn)) / 4) ** 2 + (
        (v * math.cos(turn) - u * math.sin(turn)) / 2.5
    ) ** 2
    np.testing.assert_array_equal(mask_of(read(tmp_path, task(result("ellipselabels", value)))), inside <= 1)


def test_results_of_one_id_are_one_region(tmp_path):
    """The tags Polygon and Labels apart: one result has the place, the other the label. A parent is no part."""
    shape = result("polygon", id="a") | {"value": SQUARE}
    parts = [shape, result("labels", SQUARE, "dog", id="a"), result("choices", {}, "blurred", id="a")]
    truth = read(tmp_path, task(*parts, result(parentID="a")))
    assert len(truth.annotations) == 2
    assert [c["name"] for c in truth.categories] == ["cat", "dog"]
    assert truth.annotations[0]["category_id"] == 2


def test_what_is_no_area_is_left_out_with_a_note(tmp_path):
    relation = {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"}
    truth = read(tmp_path, task(result("keypointlabels", {"x": 1, "y": 2}), result("choices", {}), relation, result()))
    assert len(truth.annotations) == 1
    for kind in ("keypointlabels", "choices", "relation"):
        assert any(f"1 of the results, which are of the type '{kind}'" in note for note in truth.notes)


def test_declared_categories_keep_their_ids_and_an_unknown_label_its_text(tmp_path):
    declared = Categories((Category(7, "dog"), Category(0, "background"), Category(3, "cat")))
    truth = read(tmp_path, task(result(), result(label="dgo"), result(label="dog")), categories=declared)
    assert [note["category_id"] for note in truth.annotations] == [3, "dgo", 7]
    assert truth.categories == declared.to_coco()


# brush masks


def brush(data, **more):
    return result("brushlabels", {"format": "rle", "rle": list(data)}, **more)


def test_a_brush_mask_of_a_task(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[2:5, 3:9] = True
    mask[3, 4] = False
    truth = read(tmp_path, task(brush(encode_brush(mask[2:5, 3:9], (3, 2, 9, 5), mask.shape))))
    np.testing.assert_array_equal(mask_of(truth), mask)
    assert_measured(truth)


# tasks and images


def test_the_last_annotation_that_counts_is_read(tmp_path):
    whole = task(result())
    cancelled = {"was_cancelled": True, "result": [result(label="no")]}
    others = [{"result": [result(label="old")]}, whole["annotations"][0], cancelled]
    tasks = [whole | {"annotations": others}, task(image="/data/upload/1/empty.png")]
    tasks += [task(annotations=[]), task(annotations=[cancelled])]
    truth = read(tmp_path, *tasks)
    assert [c["name"] for c in truth.categories] == ["cat"]
    assert [image["file_name"] for image in truth.images] == ["street.jpg", "empty.png"]
    assert any("2 of the images, which nobody has labelled" in note for note in truth.notes)
    assert any("1 annotations of 1 tasks that have several" in note for note in truth.notes)


@pytest.mark.parametrize(
    ("url", "there", "found"),
    [
        (URL, "street.jpg", "street.jpg"),
        (URL, "0a1b2c3d-street.jpg", "0a1b2c3d-street.jpg"),
        (URL, None, "street.jpg"),
        ("http://localhost:8080/data/upload/1/0a1b2c3d-street.jpg", "street.jpg", "street.jpg"),
        ("/data/local-files/?d=town/b%20c/str%C3%A4et.jpg", "b c/sträet.jpg", "b c/sträet.jpg"),
        ("/data/local-files/?d=town%5Cb%5Cstreet.jpg", "town/b/street.jpg", "town/b/street.jpg"),
        ("/data/local-files/?d=town/street.jpg", None, "town/street.jpg"),
        ("https://example.org/town/a%20street.jpg?size=5#x", "town/a street.jpg", "town/a street.jpg"),
        ("https://example.org/town/street.jpg", "street.jpg", "street.jpg"),
        ("s3://bucket/town/a%20?street.jpg", "town/a%20?street.jpg", "town/a%20?street.jpg"),
        ("s3://bucket/town/0a1b2c3d-street.jpg", "street.jpg", "0a1b2c3d-street.jpg"),
        ("town/street.jpg", None, "town/street.jpg"),
    ],
)
def test_an_image_is_the_file_below_the_image_folder(tmp_path, url, there, found):
    root = tmp_path / "images"
    root.mkdir()
    if there:
        (root / there).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / there)
    for images in (root, None) if there else (root,):
        truth = read(tmp_path, task(image=url), images=images)
        assert (truth.image_root, truth.images[0]["file_name"]) == (root, found)
        assert truth.images[0].get("width") == (WIDTH if there and found == there else None)


def test_an_option_names_the_image(tmp_path):
    data = {"left": "a.png", "right": "b.png", "image": "no name"}
    assert read(tmp_path, task(data=data), image="right").images[0]["file_name"] == "b.png"
    with pytest.raises(DataError, match=r"say by `image` which of its data is the image: \['left', 'right'\]"):
        read(tmp_path, task(data=data))
    with pytest.raises(DataError, match="its data have no 'up', which `image` names"):
        read(tmp_path, task(data=data), image="up")
    assert read(tmp_path, task(data={"photo": "s3://b/c.png"})).images[0]["file_name"] == "c.png"


def test_the_size_is_the_image_s_where_it_is_not_stated(tmp_path):
    unsized = result()
    del unsized["original_width"]
    with pytest.raises(DataError, match="the size of its image is not known"):
        read(tmp_path, task(unsized))
    Image.new("RGB", (2 * WIDTH, HEIGHT)).save(tmp_path / "street.jpg")
    assert read(tmp_path, task(unsized)).annotations[0]["bbox"] == [4, 3, 8, 5]


def test_auto_knows_the_file_and_the_folder(tmp_path):
    read(tmp_path, task(result()))
    assert format_of("auto", tmp_path).name == format_of("auto", tmp_path / "project-1.json").name == "label_studio"


# refusals


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "expected Label Studio's JSON, a list of tasks, got {'a': 1}"),
        (
            [{"id": 1, "image": URL, "label": []}],
            r"1 tasks that cannot be read .*\[0\]: expected a task with data and ann",
        ),
        ([task(annotations=5)], "expected annotations as a list of objects, got 5"),
        ([task(annotations=[{"result": 5}])], "expected the result of its annotation as a list, got 5"),
        ([task(image=7)], "1 records that name no image .*expected the path or the URL of its image, got 7"),
        ([task(image="/")], "expected the path or the URL of its image, got '/'"),
        ([task(image="\udcff.png")], r"1 images whose names are not UTF-8 \(.*\[0\]: '\\udcff.png'\)"),
        ([task(5)], r"1 regions that cannot be read .*result\[0\]: expected an object with type and value, got 5"),
        ([task(result() | {"value": 5})], "expected a value with the place of the polygon, got 5"),
        ([task(result(value={"points": [[1]]}))], r"expected points as a list of \[x, y\], got \[\[1\]\]"),
        ([task(result(value={"points": [[1, "2"]]}))], "expected a number, got '2'"),
        ([task(result("rectanglelabels", {"x": 1, "y": 1, "width": 2}))], "height: expected a number, got None"),
        (
            [task(result("ellipselabels", dict.fromkeys(("x", "y", "radiusX", "radiusY"), 1e300)))],
            "coordinates in pixels",
        ),
        ([task(result(value=SQUARE | {"polygonlabels": []}) | {"value": SQUARE})], r"expected one label, got \[\]"),
        ([task(result(id="a"), result("labels", {}, "dog", id="a"))], r"expected one label, got \['cat', 'dog'\]"),
        ([task(result(label=" "))], "expected a label, got ' '"),
        ([task(result(image_rotation=90))], "its image was turned by 90 degrees when it was drawn"),
        ([task(result(original_width="12"))], "expected a width in whole pixels above 0, got '12'"),
        ([task(result(original_width=10**6, original_height=10**6))], "are more than the 268435456 that are read"),
        ([task(result(), result(original_width=5))], r"result\[1\]: its image has another size"),
        ([task(result("brushlabels", {"format": "png", "rle": [0]}))], "expected a brush mask of the format rle"),
        ([task(brush([300]))], r"expected a brush mask of the format rle, a list of bytes, got \[300\]"),
        ([task(brush([0] * 7))], "the brush mask is cut off or damaged"),
        (
            [task(brush(encode_brush(np.ones((9, 9), np.uint8), (0, 0, 9, 9), (9, 9))))],
            "4 x 12 x 10 values, .* got 324",
        ),
        ([task(brush(encode_brush(np.ones((9, 9), np.uint8), (0, 0, 9, 9), (10, 12))[:-1]))], "cut off or damaged"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, message):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message) as refusal:
        LABEL_STUDIO.read(Source(tmp_path))
    assert str(refusal.value).isprintable()
    assert str(tmp_path) in str(refusal.value)


def test_lenient_reading_leaves_out_what_is_broken_and_tells(tmp_path):
    truth = read(tmp_path, task(result(), 5, result(label="")), 7, task(image="\ud800"), lenient=True)
    assert len(truth.annotations) == 1 and len(truth.images) == 1
    assert sorted(note[:11] for note in truth.notes[1:]) == ["left out: 1", "left out: 1", "left out: 2"]


def test_damaged_files_are_refused_in_one_line_or_read(tmp_path):
    mask = np.eye(HEIGHT, WIDTH, dtype=np.uint8)
    masked = brush(encode_brush(mask, (0, 0, WIDTH, HEIGHT), mask.shape))
    sound = [task(result(), result("rectanglelabels", RECT), masked), task(result())]
    path = tmp_path / "a.json"
    assert_survives(lambda: LABEL_STUDIO.read(Source(path)), path, mutated_files(sound, 600))


# writing


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    assert_round_trip(shapes_truth(small_shapes), tmp_path / "out")


def test_real_polygons_are_written_and_read_again(tmp_path):
    assert_round_trip(without_crowds(coco_tiny()), tmp_path / "out")


def assert_round_trip(written, folder):
    path = LABEL_STUDIO.write(written, folder, WriteOptions())
    assert format_of("auto", path).name == format_of("auto", folder).name == "label_studio"
    assert_same_masks(LABEL_STUDIO.read(Source(path, written.image_root)), written)


def test_boxes_crowds_names_and_the_config(tmp_path, caplog):
    common = {"image_id": 1, "category_id": 3}
    notes = [{"id": 1, **common, "bbox": [1, 2, 3.5, 4]}, {"id": 2, **common, "bbox": [1, 2, 3.5, 4], "iscrowd": 1}]
    image = {"id": 1, "file_name": "sub/50% ä & ?b.png", "width": 300, "height": 70}
    (tmp_path / "from/sub").mkdir(parents=True)
    Image.new("RGB", (300, 70)).save(tmp_path / "from" / image["file_name"])
    categories = [{"id": 3, "name": "a <\"b\"> & 'c'", "color": [255, 128, 0]}, {"id": 1, "name": "unused"}]
    truth = SplitTruth("made", tmp_path / "from", categories, [image], notes)
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = LABEL_STUDIO.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    assert "1 crowd regions, which label_studio cannot hold" in caplog.text
    assert "/data/local-files/?d=sub/50%25%20%C3%A4%20%26%20%3Fb.png" in path.read_text()
    again = LABEL_STUDIO.read(Source(path))
    assert again.image_root == tmp_path / "out/images"
    assert again.images == [image]
    assert [note["segmentation"] for note in again.annotations] == [[[1, 2, 4.5, 2, 4.5, 6, 1, 6]]]
    config = ElementTree.parse(path.with_name("labels.xml")).getroot()
    names = {each.get("name"): each for each in config}
    for written in json.loads(path.read_text())[0]["annotations"][0]["result"]:
        tag = names[written["from_name"]]
        assert tag.tag.lower() == written["type"] and tag.get("toName") == written["to_name"]
        assert set(written["value"][written["type"]]) <= {label.get("value") for label in tag}
    assert names["brush"][0].get("background") == "#ff8000"
    assert names["image"].get("value") == "$image"


def test_a_category_that_xml_cannot_hold_is_named_with_its_data_set(tmp_path):
    truth = SplitTruth("street.json", tmp_path, [{"id": 1, "name": "\ud800"}], [], [])
    with pytest.raises(DataError, match=r"street.json: '\\ud800': XML cannot hold"):
        LABEL_STUDIO.write(truth, tmp_path / "out", WriteOptions())
