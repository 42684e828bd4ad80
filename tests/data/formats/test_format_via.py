"""VIA's JSON, written by hand after VIA's user guide: every shape, both versions, and masks come back exactly.

https://www.robots.ox.ac.uk/~vgg/software/via/docs/face_track_annotation.html and the demo project of VIA 2 show the
files; shapes are in pixels, (0, 0) being the corner of the first, and `theta` of an ellipse is in radians.
"""

from __future__ import annotations

import json
import logging
import math

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
)

from thingstuff.data.formats import Source, WriteOptions, format_of
from thingstuff.data.formats.via import VIA
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category, MaskCrops

SQUARE = {"name": "polygon", "all_points_x": [2, 6, 6, 2], "all_points_y": [3, 3, 8, 8]}
RECT = {"name": "rect", "x": 9, "y": 1, "width": 2.5, "height": 3}


def region(shape=SQUARE, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes}


def entry(*regions, filename="street.jpg", **more):
    return {"filename": filename, "size": 1234, "regions": list(regions), "file_attributes": {}, **more}


def annotations(*regions):
    return {"street.jpg1234": entry(*regions)}


def project(*regions, attributes=None):
    return {
        "_via_settings": {"ui": {}, "core": {"default_filepath": ""}, "project": {"name": "street"}},
        "_via_img_metadata": annotations(*regions),
        "_via_attributes": {"region": attributes or {}, "file": {}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": ["street.jpg1234"],
    }


def read(folder, content, categories=None, lenient=False, images=None, **options):
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "street.jpg")
    (folder / "via_region_data.json").write_text(json.dumps(content))
    return VIA.read(Source(folder, images, categories, options, lenient))


# shapes


def test_polygons_and_rectangles_of_a_project(tmp_path):
    content = project(region(**{"class": "cat"}), region(RECT, **{"class": "dog"}))
    truth = read(tmp_path, content)
    first, second = truth.annotations
    assert first["segmentation"] == [[2, 3, 6, 3, 6, 8, 2, 8]]
    assert (first["bbox"], first["area"], first["category_id"], first["iscrowd"]) == ([2, 3, 4, 5], 20, 1, 0)
    assert second["segmentation"] == [[9, 1, 11.5, 1, 11.5, 4, 9, 4]]
    assert truth.images == [{"id": 1, "file_name": "street.jpg", "width": WIDTH, "height": HEIGHT}]
    assert [c["name"] for c in truth.categories] == ["cat", "dog"]
    assert truth.annotation_place(1) == "via_region_data.json: 'street.jpg1234': regions[1]"
    assert truth.image_place(0) == "via_region_data.json: 'street.jpg1234'"
    assert truth.image_root == tmp_path
    assert "the class is the attribute 'class'" in truth.notes[0]
    assert_measured(truth)


def test_version_1_numbers_its_regions(tmp_path):
    old = entry(fileref="", base64_img_data="") | {"regions": {"0": region(kind="cat"), "1": region(RECT, kind="dog")}}
    truth = read(tmp_path, {"street.jpg1234": old})
    assert [note["category_id"] for note in truth.annotations] == [1, 2]
    assert truth.annotation_place(1).endswith("regions[1]")


def test_a_circle_and_an_ellipse_are_the_pixels_inside(tmp_path):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for theta in (None, 0, 0.5, 2):
        turn = {} if theta is None else {"theta": theta}
        ellipse = {"name": "ellipse", "cx": 6, "cy": 5.2, "rx": 4, "ry": 2.5, **turn}
        (_, _, drawn), (_, _, disc) = masks_of(
            read(tmp_path, annotations(region(ellipse), region({"name": "circle", "cx": 5, "cy": 5, "r": 3})))
        )["street.jpg"]
        x, y, angle = columns - 6, rows - 5.2, theta or 0
        along = x * math.cos(angle) + y * math.sin(angle)
        across = y * math.cos(angle) - x * math.sin(angle)
        np.testing.assert_array_equal(drawn, (along / 4) ** 2 + (across / 2.5) ** 2 <= 1)
        np.testing.assert_array_equal(disc, (columns - 5) ** 2 + (rows - 5) ** 2 <= 9)


def test_what_is_no_area_is_left_out_with_a_note(tmp_path):
    line = SQUARE | {"name": "polyline"}
    truth = read(
        tmp_path, annotations(region(line), region(line), region({"name": "point", "cx": 1, "cy": 2}), region())
    )
    assert len(truth.annotations) == 1
    assert any("2 of the regions, which are of the shape 'polyline'" in note for note in truth.notes)
    assert any("1 of the regions, which are of the shape 'point'" in note for note in truth.notes)


# classes


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ([{"type": "dog", "name": ""}, {"type": "cat", "name": "x"}], ["cat", "dog"]),
        ([{"Label": "dog", "hidden": "yes"}, {"Label": "cat", "hidden": "no"}], ["cat", "dog"]),
        ([{"species": "dog"}, {"species": "cat", "hidden": "no"}], ["cat", "dog"]),
        ([{"species": {"dog": True, "cat": False}}, {"species": {"cat": True}}], ["cat", "dog"]),
        ([{"class": 7}, {"class": 12}], ["12", "7"]),
    ],
)
def test_the_class_is_an_attribute(tmp_path, attributes, names):
    truth = read(tmp_path, annotations(*(region(**each) for each in attributes)))
    assert [c["name"] for c in truth.categories] == names
    assert [note["category_id"] for note in truth.annotations] == [2, 1]


def test_an_option_names_the_attribute(tmp_path):
    regions = [region(a="x", b="dog"), region(a="x", b="cat")]
    assert [c["name"] for c in read(tmp_path, annotations(*regions), label="b").categories] == ["cat", "dog"]
    with pytest.raises(DataError, match=r"say by `label` which attribute .* is the class: they have \['a', 'b'\]"):
        read(tmp_path, annotations(*regions))
    with pytest.raises(
        DataError, match=r"no region has the attribute 'c', which `label` names: they have \['a', 'b'\]"
    ):
        read(tmp_path, annotations(*regions), label="c")
    with pytest.raises(DataError, match=r"label: expected the name of an attribute, got \[\]"):
        read(tmp_path, annotations(*regions), label=[])


def test_without_attributes_there_is_one_class(tmp_path):
    assert [c["name"] for c in read(tmp_path, annotations(region())).categories] == ["object"]
    truth = read(tmp_path, annotations(region(), region()), Categories((Category(9, "balloon"),)))
    assert [note["category_id"] for note in truth.annotations] == [9, 9]
    with pytest.raises(DataError, match="2 categories, and nothing tells them apart"):
        read(tmp_path, annotations(region()), Categories((Category(9, "balloon"), Category(2, "kite"))))


def test_declared_categories_keep_their_ids_and_an_unknown_label_its_text(tmp_path):
    declared = Categories((Category(7, "dog"), Category(0, "background"), Category(3, "cat")))
    truth = read(tmp_path, annotations(region(label="cat"), region(label="dgo"), region(label="dog")), declared)
    assert [note["category_id"] for note in truth.annotations] == [3, "dgo", 7]
    assert truth.categories == declared.to_coco()


def test_the_choices_of_a_project_are_the_categories_in_their_order(tmp_path):
    choices = {"type": "dropdown", "options": {"dog": "a dog", "cat": "a cat", "cow": "a cow"}}
    truth = read(tmp_path, project(region(kind="cat"), attributes={"kind": choices}))
    assert truth.categories == [{"id": n, "name": name} for n, name in enumerate(("dog", "cat", "cow"), 1)]
    assert truth.annotations[0]["category_id"] == 2


# images


def test_images_are_found_near_the_file(tmp_path):
    (tmp_path / "images/b").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(tmp_path / "images/b/c.png")
    names = ["b\\c.png", "C:\\me\\b\\c.png", "https://example.org/x/b/c.png?a=1", "gone.png"]
    content = {name: entry(region(), filename=name) for name in names}
    (tmp_path / "anything.json").write_text(json.dumps(content))
    truth = VIA.read(Source(tmp_path))
    assert truth.image_root == tmp_path / "images"
    assert [image["file_name"] for image in truth.images] == ["b/c.png"] * 3 + ["gone.png"]
    assert (truth.images[0]["width"], truth.images[0]["height"]) == (30, 20)
    assert "width" not in truth.images[3] and "bbox" not in truth.annotations[3]
    assert VIA.read(Source(tmp_path / "anything.json", tmp_path)).images[0]["file_name"] == "b/c.png"


def test_a_path_that_leads_away_stays_for_the_checks(tmp_path):
    truth = read(tmp_path, {"x": entry(filename="../../../etc/passwd")})
    assert truth.images[0]["file_name"] == "../../../etc/passwd"


def test_auto_knows_the_file_and_the_folder(tmp_path):
    for content in (annotations(), project()):
        read(tmp_path, content)
        assert format_of("auto", tmp_path).name == format_of("auto", tmp_path / "via_region_data.json").name == "via"


# refusals


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], r"expected VIA's JSON, an object with an entry for each image, got \[1\]"),
        ({k: {} for k in ("project", "config", "attribute", "file", "metadata", "view")}, "a project of VIA 3"),
        ({"a": 3}, "1 entries that cannot be read .*'a': expected an object with filename and regions, got 3"),
        ({"a": entry(filename=None)}, "1 records that name no image .*'a': expected the path or the URL of its image"),
        ({"a": entry(filename="\udcff.png")}, r"1 images whose names are not UTF-8 \(.*'a': '\\udcff.png'\)"),
        ({"a": entry() | {"regions": 5}}, "'a': expected regions as a list or an object, got 5"),
        (
            annotations(7),
            r"1 regions that cannot be read .*regions\[0\]: expected an object with shape_attributes, got 7",
        ),
        (annotations(region({"name": 5})), "expected the name of a shape such as polygon, got 5"),
        (annotations(region() | {"region_attributes": []}), r"expected region_attributes as an object, got \[\]"),
        (annotations(region(SQUARE | {"all_points_x": [1]})), "lists of equal length"),
        (annotations(region(SQUARE | {"all_points_x": [1, 2, 3, "4"]})), "expected a number, got '4'"),
        (annotations(region(RECT | {"width": None})), "width: expected a number, got None"),
        (annotations(region({"name": "circle", "cx": 1, "cy": 1, "r": 1e300})), "expected coordinates in pixels, got"),
        (annotations(region(a="cat"), region()), r"1 regions without a class .*regions\[1\]: 'a': expected a label"),
        (annotations(region(a={"x": True, "y": True})), r"expected one choice of 'a', got \['x', 'y'\]"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as refusal:
        read(tmp_path, content)
    assert str(refusal.value).isprintable()
    assert str(tmp_path) in str(refusal.value)


def test_lenient_reading_leaves_out_what_is_broken_and_tells(tmp_path):
    content = annotations(region(a="cat"), region(), 5, region(a="cat")) | {"b": 1, "c": entry(filename="\ud800")}
    truth = read(tmp_path, content, lenient=True)
    assert len(truth.annotations) == 2 and len(truth.images) == 1
    told = [note for note in truth.notes if note.startswith("left out: 1 ")]
    assert len(told) == 4


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected a folder with one JSON file"):
        VIA.read(Source(tmp_path))
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match="nested too deeply"):
        VIA.read(Source(tmp_path))


def test_damaged_files_are_refused_in_one_line_or_read(tmp_path):
    ellipse = {"name": "ellipse", "cx": 6, "cy": 5, "rx": 4, "ry": 2, "theta": 0.3}
    sound = project(region(kind="cat"), region(RECT, kind={"dog": True}), region(ellipse, kind="cat", iscrowd="true"))
    path = tmp_path / "via.json"
    assert_survives(lambda: VIA.read(Source(tmp_path)), path, mutated_files(sound, 600))


# writing


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    assert_round_trip(shapes_truth(small_shapes), tmp_path / "out")


def test_real_polygons_and_crowds_are_written_and_read_again(tmp_path):
    assert_round_trip(coco_tiny(), tmp_path / "out")


def assert_round_trip(written, folder):
    path = VIA.write(written, folder, WriteOptions())
    assert format_of("auto", path).name == format_of("auto", folder).name == "via"
    assert_same_masks(VIA.read(Source(path, written.image_root)), written)


def test_holes_parts_boxes_and_crowds_are_kept(tmp_path, caplog):
    ring = np.ones((HEIGHT, WIDTH), bool)
    ring[3:5, 3:5] = ring[7, 8] = False
    parts = np.zeros((HEIGHT, WIDTH), bool)
    parts[1:3, 1:3] = parts[6:8, 6:9] = True
    rles = MaskCrops.from_bitmaps(np.stack([ring, parts, np.zeros_like(ring)])).to_rles()
    common = {"image_id": 5, "category_id": 2}
    two = [[1, 1, 3, 1, 3, 3, 1, 3], [6, 6, 9, 6, 9, 8, 6, 8]]
    notes = [{"id": n, **common, "segmentation": rle, "iscrowd": int(n == 0)} for n, rle in enumerate(rles)]
    notes += [{"id": 3, **common, "segmentation": two}, {"id": 4, **common, "bbox": [1, 2, 3.5, 4]}]
    image = {"id": 5, "file_name": "sub/a b.png", "width": WIDTH, "height": HEIGHT}
    (tmp_path / "from/sub").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "from/sub/a b.png")
    truth = SplitTruth("made", tmp_path / "from", [{"id": 2, "name": 'a "cat"'}], [image], notes)
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = VIA.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    assert "1 masks without a pixel, which via cannot hold" in caplog.text
    size = (tmp_path / "from/sub/a b.png").stat().st_size
    (name, record), *others = json.loads(path.read_text()).items()
    assert (name, record["size"], others) == (f"sub/a b.png{size}", size, [])
    assert [each["shape_attributes"]["name"] for each in record["regions"]] == ["polygon"] * 3 + ["rect"]
    again = VIA.read(Source(path))
    assert again.image_root == tmp_path / "out/images"
    masks = masks_of(again)["sub/a b.png"]
    for (label, crowd, mask), expected in zip(masks, (ring, parts, parts), strict=False):
        assert (label, crowd) == ('a "cat"', expected is ring)
        np.testing.assert_array_equal(mask, expected)
    assert again.annotations[3]["segmentation"] == [[1, 2, 4.5, 2, 4.5, 6, 1, 6]]


def test_an_image_that_is_not_there_is_written_too(tmp_path):
    image = {"id": 1, "file_name": "gone.png", "width": WIDTH, "height": HEIGHT}
    path = VIA.write(SplitTruth("made", tmp_path, [], [image], []), tmp_path / "out", WriteOptions())
    assert list(json.loads(path.read_text())) == ["gone.png-1"]
