"""CVAT's XML: every kind of shape is read as CVAT draws it, hostile XML is refused, and masks come back exactly."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from PIL import Image
from round_trips import (
    HEIGHT,
    WIDTH,
    assert_measured,
    assert_same_masks,
    assert_survives,
    coco_tiny,
    masks_of,
    mutated_bytes,
    shapes_truth,
)

from thingstuff.data.formats import Source, WriteOptions, format_of
from thingstuff.data.formats.cvat import CVAT
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category, MaskCrops

LABELS = """<meta><task><labels>
<label><name>dog</name><color>#ff8000</color><attributes></attributes></label>
<label><name>cat</name><color>gray</color></label>
<label><name>paw</name><parent>cat</parent></label>
</labels></task></meta>"""
POLYGON = '<polygon label="cat" points="2,3;6,3;6,8;2,8" {}></polygon>'
RLE = 'rle="1, 2, 2, 1" left="4" top="5" width="3" height="2"'


def xml(*shapes, meta="", image="", root="annotations", before=""):
    name = f'id="4" name="a/street.jpg" width="{WIDTH}" height="{HEIGHT}"'
    inner = "\n".join(shapes)
    return f"""<?xml version="1.0" encoding="utf-8"?>{before}
<{root}><version>1.1</version>{meta}
<image {image or name}>
{inner}
</image>
</{root}>"""


def read(folder, *shapes, categories=None, **more):
    (folder / "annotations.xml").write_text(xml(*shapes, **more))
    return CVAT.read(Source(folder, categories=categories))


# shapes


def test_polygons_with_their_places(tmp_path):
    truth = read(tmp_path, POLYGON.format(""), POLYGON.format('z_order="3"').replace("6,8", "6.5,8.25"), meta=LABELS)
    first, second = truth.annotations
    assert first["segmentation"] == [[2, 3, 6, 3, 6, 8, 2, 8]]
    assert (first["bbox"], first["area"], first["category_id"], first["image_id"]) == ([2, 3, 4, 5], 20, 2, 4)
    assert second["segmentation"] == [[2, 3, 6, 3, 6.5, 8.25, 2, 8]]
    assert truth.categories == [{"id": 1, "name": "dog", "color": [255, 128, 0]}, {"id": 2, "name": "cat"}]
    assert truth.images == [{"id": 4, "file_name": "a/street.jpg", "width": WIDTH, "height": HEIGHT}]
    lines = (tmp_path / "annotations.xml").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "polygon" in text)
    assert truth.annotation_place(0) == f"annotations.xml:{line}: polygon"
    assert truth.image_place(0) == f"annotations.xml:{line - 1}: image 'a/street.jpg'"
    assert_measured(truth)


def test_a_box_turns_clockwise_about_its_centre(tmp_path):
    box = '<box label="cat" xtl="2" ytl="3" xbr="8" ybr="5" {}/>'
    plain, quarter, eighth = read(
        tmp_path, box.format(""), box.format('rotation="90"'), box.format('rotation="45"')
    ).annotations
    assert plain["segmentation"] == [[2, 3, 8, 3, 8, 5, 2, 5]]
    np.testing.assert_allclose(quarter["segmentation"][0], [6, 1, 6, 7, 4, 7, 4, 1])
    # the corner (2, 3) lies 3 left of and 1 above the centre (5, 4); y points down, so clockwise is x -> y
    half = math.sqrt(0.5)
    np.testing.assert_allclose(eighth["segmentation"][0][:2], [5 + half * (-3 + 1), 4 + half * (-3 - 1)])


@pytest.mark.parametrize("degrees", [0, 30, 90, 200])
def test_an_ellipse_is_the_pixels_inside(tmp_path, degrees):
    truth = read(tmp_path, f'<ellipse label="cat" cx="6" cy="5.2" rx="4" ry="2.5" rotation="{degrees}"/>')
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    turn = math.radians(degrees)
    x, y = columns - 6, rows - 5.2
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    expected = (along / 4) ** 2 + (across / 2.5) ** 2 <= 1
    np.testing.assert_array_equal(masks_of(truth)["a/street.jpg"][0][2], expected)


def test_a_mask_is_runs_along_the_rows_of_its_box(tmp_path):
    truth = read(tmp_path, f'<mask label="cat" {RLE}/>')
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[5:7, 4:7] = [[0, 1, 1], [0, 0, 1]]
    np.testing.assert_array_equal(masks_of(truth)["a/street.jpg"][0][2], expected)
    assert_measured(truth)
    beyond = read(tmp_path, '<mask label="cat" rle="0, 16" left="-2" top="8" width="4" height="4"/>')
    assert beyond.annotations[0]["bbox"] == [0, 8, 2, 2]


def test_shapes_of_a_group_are_one_instance_and_higher_ones_come_later(tmp_path):
    truth = read(
        tmp_path,
        POLYGON.format('z_order="5"'),
        POLYGON.format('group_id="1" z_order="-1"'),
        f'<mask label="cat" group_id="1" z_order="2" {RLE}/>',
        POLYGON.format('group_id="1"').replace("cat", "dog"),
        POLYGON.format('group_id="0"'),
        POLYGON.format('group_id="0"'),
    )
    kinds = [place.split(": ")[1] for place in truth.annotation_places]
    assert kinds == ["polygon"] * 5
    lines = [int(place.split(":")[1]) for place in truth.annotation_places]
    assert [line - lines[3] for line in lines] == [2, 3, 4, 0, -1]  # z orders 0, 0, 0, 2, 5
    joined = truth.annotations[3]
    assert "counts" in joined["segmentation"]
    assert joined["area"] == 20 + 2  # one of the three pixels of the mask lies in the polygon


def test_what_is_no_area_is_left_out_with_a_note(tmp_path):
    others = ('<points label="cat" points="1,2"/>', '<tag label="cat"/>', '<tag label="cat"></tag>')
    skeleton = (
        '<skeleton label="cat"><points label="paw" points="1,2"><attribute name="a">1</attribute></points></skeleton>'
    )
    truth = read(tmp_path, *others, skeleton, POLYGON.format(""))
    assert len(truth.annotations) == 1
    assert [c["name"] for c in truth.categories] == ["cat"]
    for part in ("1 of the shapes, which are of the type 'points'", "2 of the shapes", "'skeleton'"):
        assert any(part in note for note in truth.notes)


def test_declared_categories_keep_their_ids_and_an_unknown_label_its_text(tmp_path):
    declared = Categories((Category(7, "dog"),))
    truth = read(
        tmp_path, POLYGON.format(""), POLYGON.format("").replace("cat", "dog"), categories=declared, meta=LABELS
    )
    assert [note["category_id"] for note in truth.annotations] == ["cat", 7]
    assert truth.categories == declared.to_coco()


def test_images_lie_beside_the_file_or_in_images(tmp_path):
    assert read(tmp_path).image_root == tmp_path
    (tmp_path / "images").mkdir()
    assert read(tmp_path).image_root == tmp_path / "images"
    given = CVAT.read(Source(tmp_path / "annotations.xml", tmp_path / "else"))
    assert given.image_root == tmp_path / "else"
    assert format_of("auto", tmp_path).name == format_of("auto", tmp_path / "annotations.xml").name == "cvat"


# refusals

BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (xml(before=BOMB), "annotations.xml:1: expected CVAT's XML, got a document type"),
        (xml(before='<!DOCTYPE x SYSTEM "file:///etc/passwd">'), "got a document type"),
        (xml(root="annotation"), "expected CVAT's <annotations>, got <annotation>"),
        ("<annotations><track id='0'></track></annotations>", "a <track> is of CVAT's format for videos"),
        ("<a>" * 2 + "</a>" * 2, "expected CVAT's <annotations>, got <a>"),
        ("<annotations>" + "<x>" * 100_000, "nested deeper than 32"),
        ("<annotations><image", "no XML, or cut off"),
        ("", "no XML, or cut off: no element found"),
        (xml(image='id="1" name="a" width="3"'), "image 'a': expected height as a whole number, got None"),
        (xml(image='id="1" name="a" width="3" height="1e3"'), "expected height as a whole number, got '1e3'"),
        (xml(image='id="1" name="a" width="3" height="-3"'), "expected a height in whole pixels above 0, got -3"),
        (xml(image='id="1" name="a" width="99999" height="99999"'), "are more than the 268435456"),
        (xml(image='id="1" width="3" height="3"'), "image '': expected a name"),
        (xml('<polygon points="1,2"/>'), "polygon: expected a label, got None"),
        (xml('<polygon label="c" points="1;2"/>'), "polygon: expected points as x,y;x,y;..., got '1;2'"),
        (xml('<polygon label="c" group_id="x" points=""/>'), "polygon: expected group_id as a whole number, got 'x'"),
        (xml('<box label="c" xtl="0" ytl="0" xbr="2"/>'), "box: expected ybr as a number, got ''"),
        (xml('<box label="c" xtl="0" ytl="0" xbr="2" ybr="nan"/>'), "box: expected coordinates in pixels, got nan"),
        (xml(f'<mask label="c" {RLE.replace("1, 2", "1, 3")}/>'), "expected runs of 3 x 2 pixels, got runs of 7"),
        (xml(f'<mask label="c" {RLE.replace("1, 2", "-1, 4")}/>'), "expected runs of 3 x 2 pixels"),
        (xml(f'<mask label="c" {RLE.replace("1, 2", "a")}/>'), "expected rle as whole numbers"),
        (
            xml('<mask label="c" rle="1" left="0" top="0" width="1000000000" height="9"/>'),
            "expected runs of 1000000000 x 9",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, message):
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(DataError, match=message) as refusal:
        CVAT.read(Source(tmp_path))
    assert "\n" not in str(refusal.value)


def test_files_in_strange_encodings_and_no_file(tmp_path):
    path = tmp_path / "annotations.xml"
    for encoding in ("nobody-knows", "utf-7", "shift_jis"):
        path.write_text(xml().replace("utf-8", encoding))
        with pytest.raises(DataError, match=r"annotations\.xml: "):
            CVAT.read(Source(path))
    path.write_bytes(xml(POLYGON.format("").replace("cat", "Bär")).replace("utf-8", "iso-8859-1").encode("latin-1"))
    assert CVAT.read(Source(path)).categories[0]["name"] == "Bär"
    with pytest.raises(DataError, match="cannot be read: No such file"):
        CVAT.read(Source(tmp_path / "none.xml"))


def test_damaged_files_are_refused_in_one_line_or_read(tmp_path):
    sound = xml(
        POLYGON.format('group_id="1"'),
        '<box label="dog" xtl="2" ytl="3" xbr="8" ybr="5" rotation="10">',
        '<attribute name="is_crowd">true</attribute></box>',
        '<ellipse label="cat" cx="6" cy="5.2" rx="4" ry="2.5"/>',
        f'<mask label="cat" group_id="1" {RLE}/>',
        meta=LABELS,
    )
    path = tmp_path / "annotations.xml"
    assert_survives(lambda: CVAT.read(Source(path)), path, mutated_bytes(sound.encode(), 600))


# writing


def test_shapes_are_written_and_read_again(small_shapes, tmp_path):
    assert_round_trip(shapes_truth(small_shapes), tmp_path / "out")


def test_real_polygons_and_crowds_are_written_and_read_again(tmp_path):
    assert_round_trip(coco_tiny(), tmp_path / "out")


def assert_round_trip(written, folder):
    path = CVAT.write(written, folder, WriteOptions())
    assert path == folder / "annotations.xml"
    again = CVAT.read(Source(path, written.image_root))
    assert_same_masks(again, written)
    assert [c["name"] for c in again.categories] == [c["name"] for c in written.categories]


def test_boxes_empty_masks_and_images(tmp_path, caplog):
    (tmp_path / "from").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "from/b <&>.png")
    rle = MaskCrops.from_bitmaps(np.zeros((1, HEIGHT, WIDTH), bool)).to_rles()[0]
    common = {"image_id": 1, "category_id": 3}
    notes = [{"id": 1, **common, "segmentation": rle}, {"id": 2, **common, "bbox": [1, 2, 3.5, 4], "iscrowd": 1}]
    image = {"id": 1, "file_name": "b <&>.png", "width": WIDTH, "height": HEIGHT}
    truth = SplitTruth("made", tmp_path / "from", [{"id": 3, "name": "a \"b\" 'c'"}], [image], notes)
    with caplog.at_level(logging.WARNING, "thingstuff"):
        path = CVAT.write(truth, tmp_path / "out", WriteOptions(copy_images=True))
    assert "1 masks without a pixel" in caplog.text
    again = CVAT.read(Source(path))
    assert again.image_root == tmp_path / "out/images"
    assert (again.image_root / again.images[0]["file_name"]).is_file()
    (note,) = again.annotations
    assert (note["segmentation"], note["iscrowd"]) == ([[1, 2, 4.5, 2, 4.5, 6, 1, 6]], 1)
    assert again.categories[0]["name"] == "a \"b\" 'c'"
