import json
from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED
from mutated_json import mutated_files

from thingstuff.data.panoptic.forms import (
    FORMS,
    convert_from_2ch,
    convert_from_detection,
    convert_to_2ch,
    convert_to_detection,
)
from thingstuff.errors import DataError
from thingstuff.structures import Categories, Category, PanopticMap, read_png, rle, write_png

GOLDEN = SHARED / "golden" / "panoptic_coco"
with_golden = pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/data")
CAT, DOG, SKY = Category(3, "cat"), Category(200, "dog"), Category(7, "sky", False)
CATEGORIES = Categories((CAT, DOG, SKY))

#        two cats, a dog, a crowd of cats, sky; 0 is void
IDS = np.array([[50, 50, 9, 9, 0], [50, 31, 31, 2, 2], [4, 4, 4, 4, 0]], np.uint32)
SEGMENTS = {9: 3, 50: 3, 31: 200, 2: 3, 4: 7}
TWO_CHANNELS = {9: (3, 0, 0), 50: (3, 1, 0), 31: (200, 0, 0), 2: (3, 255, 0), 4: (7, 0, 0), 0: (0, 0, 0)}


def written(folder, ids=IDS, segments=SEGMENTS, categories=CATEGORIES, name="x/a.png"):
    """A panoptic JSON with one image, its PNGs beside it; segment 2 is a crowd."""
    panoptic = PanopticMap.from_labels(ids, segments, categories, crowd_ids={2} & set(segments))
    infos = panoptic.write_coco(folder / "panoptic" / name)
    height, width = ids.shape
    content = {
        "info": {"year": 2018},
        "images": [{"id": 7, "file_name": str(Path(name).with_suffix(".jpg")), "height": height, "width": width}],
        "annotations": [{"image_id": 7, "file_name": name, "segments_info": infos}],
        "categories": categories.to_coco(),
    }
    (folder / "panoptic.json").write_text(json.dumps(content))
    return folder / "panoptic.json"


def changed(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def maps(json_path):
    """Image id -> the map of each, as (category, instance's mask, is a crowd) in an order of their own."""
    content = json.loads(json_path.read_text())
    categories = Categories.from_coco(content["categories"])
    found = {}
    for record in content["annotations"]:
        path = json_path.with_suffix("") / record["file_name"]
        panoptic = PanopticMap.read_coco(path, record["segments_info"], categories)
        parts = [(s.category_id, s.isthing, s.iscrowd, s.area, s.bbox) for s in panoptic.segments]
        masks = [np.packbits(panoptic.ids == s.id).tobytes() for s in panoptic.segments]
        found[record["image_id"]] = sorted(zip(parts, masks, strict=True))
    return found


# ---- panopticapi's own files -------------------------------------------------------------------------------------


@with_golden
def test_two_channels_are_panopticapis(tmp_path):
    out = convert_to_2ch(GOLDEN / "panoptic_examples.json", None, tmp_path / "out")
    expected = sorted((GOLDEN / "panoptic_examples_2ch_format").glob("*.png"))
    assert sorted(p.name for p in out.iterdir()) == [p.name for p in expected]
    for path in expected:
        assert np.array_equal(read_png(out / path.name, "RGB"), read_png(path, "RGB"))


@with_golden
def test_detections_are_panopticapis(tmp_path):
    out = convert_to_detection(GOLDEN / "panoptic_examples.json", GOLDEN / "panoptic_examples", tmp_path)
    assert json.loads(out.read_text()) == json.loads((GOLDEN / "panoptic_coco_detection_format.json").read_text())


@with_golden
def test_panopticapis_two_channels_give_its_panoptic_files(tmp_path):
    folder, categories = GOLDEN / "panoptic_examples_2ch_format", GOLDEN / "panoptic_coco_categories.json"
    out = convert_from_2ch(folder, GOLDEN / "images_info_examples.json", tmp_path / "p.json", categories)
    assert maps(out) == maps(GOLDEN / "panoptic_examples.json")


@with_golden
def test_panopticapis_detections_give_its_panoptic_files(tmp_path):
    categories = GOLDEN / "panoptic_coco_categories.json"
    out = convert_from_detection(GOLDEN / "panoptic_coco_detection_format.json", tmp_path / "p.json", categories)
    assert maps(out) == maps(GOLDEN / "panoptic_examples.json")


# ---- the rules, one by one ---------------------------------------------------------------------------------------


def test_channels_hold_category_and_instance(tmp_path):
    out = FORMS["panoptic_2ch"](written(tmp_path), None, tmp_path / "out")
    expected = np.array([[TWO_CHANNELS[i] for i in row] for row in IDS.tolist()])
    assert np.array_equal(read_png(out / "x" / "a.png", "RGB"), expected)


def test_detections_hold_every_segment(tmp_path):
    out = FORMS["panoptic_detection"](written(tmp_path), None, tmp_path / "out")
    assert out == tmp_path / "out" / "panoptic_detection.json"
    content = json.loads(out.read_text())
    assert content["info"] == {"year": 2018}
    assert content["categories"] == [{"id": c.id, "name": c.name} for c in CATEGORIES.all]
    for number, (segment_id, note) in enumerate(zip(SEGMENTS, content["annotations"], strict=True)):
        mask = segment_id == IDS
        assert note == {
            "id": number,
            "image_id": 7,
            "category_id": SEGMENTS[segment_id],
            "segmentation": rle.encode(mask),
            "bbox": list(rle.bbox_xywh(rle.encode(mask))),
            "area": int(mask.sum()),
            "iscrowd": int(segment_id == 2),
        }


def test_shapes_there_and_back(small_shapes, tmp_path):
    source, pngs = small_shapes / "annotations" / "panoptic_val.json", small_shapes / "panoptic_val"
    two = convert_from_2ch(convert_to_2ch(source, pngs, tmp_path / "2ch"), source, tmp_path / "two" / "p.json")
    detections = convert_to_detection(source, pngs, tmp_path / "det")
    one = convert_from_detection(detections, tmp_path / "one" / "p.json", source)
    (tmp_path / "p.json").write_text(source.read_text())
    (tmp_path / "p").symlink_to(pngs)
    assert maps(two) == maps(one) == maps(tmp_path / "p.json")


def test_an_image_that_is_void_all_over(tmp_path):
    source = written(tmp_path, np.zeros((2, 3), np.uint32), {})
    two = convert_to_2ch(source, None, tmp_path / "2ch")
    assert not read_png(two / "x" / "a.png", "RGB").any()
    assert maps(convert_from_2ch(two, source, tmp_path / "back.json")) == {7: []}
    detections = convert_to_detection(source, None, tmp_path / "det")
    assert json.loads(detections.read_text())["annotations"] == []
    assert maps(convert_from_detection(detections, tmp_path / "back2.json")) == {7: []}


def test_without_images_there_is_nothing(tmp_path):
    source = written(tmp_path)
    changed(source, lambda content: content.update(images=[], annotations=[]))
    assert not list(convert_to_2ch(source, None, tmp_path / "2ch").iterdir())
    assert maps(convert_from_2ch(tmp_path / "2ch", source, tmp_path / "back.json")) == {}


def test_255_instances_fit_and_256_do_not(tmp_path):
    ids = np.arange(1, 257, dtype=np.uint32).reshape(16, 16)
    fits = written(tmp_path / "a", np.where(ids == 256, 0, ids).astype(np.uint32), dict.fromkeys(range(1, 256), 200))
    changed(fits, lambda c: [s.update(iscrowd=0) for s in c["annotations"][0]["segments_info"]])
    channels = read_png(convert_to_2ch(fits, None, tmp_path / "out") / "x" / "a.png", "RGB")
    assert channels[15, 14].tolist() == [200, 254, 0]
    too_many = written(tmp_path / "b", ids, dict.fromkeys(range(1, 257), 200))
    changed(too_many, lambda c: [s.update(iscrowd=0) for s in c["annotations"][0]["segments_info"]])
    with pytest.raises(DataError, match="image 7: there are more than 255 instances of category 200"):
        convert_to_2ch(too_many, None, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()


@pytest.mark.parametrize("category_id", [0, 256])
def test_categories_that_do_not_fit_into_a_byte(tmp_path, category_id):
    categories = Categories((Category(category_id, "x"),))
    source = written(tmp_path, np.ones((2, 2), np.uint32), {1: category_id}, categories)
    with pytest.raises(DataError, match=f"category id {category_id} does not fit"):
        convert_to_2ch(source, None, tmp_path / "out")
    assert json.loads(convert_to_detection(source, None, tmp_path).read_text())["annotations"][0]["area"] == 4


@pytest.mark.parametrize("convert", [convert_to_2ch, convert_to_detection])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(file_name="../a.png"), "expected a file_name below the folder of the PNGs"),
        (lambda a: a.update(file_name="b.png"), r"annotations\[0\]: .*b.png: cannot be read"),
        (lambda a: a["segments_info"][0].update(id="9"), r"segments_info\[0\]: expected an integer id and category_id"),
        (lambda a: a["segments_info"][0].update(category_id=[3]), r"segments_info\[0\]: expected an integer id"),
        (lambda a: a["segments_info"][0].update(category_id=5), "no category has the id 5"),
        (lambda a: a["segments_info"].pop(), "the map has pixels of segment 4, which no segment describes"),
        (lambda a: a["segments_info"].append(a["segments_info"][0]), "two segments share the id 9"),
    ],
)
def test_bad_panoptic_files_leave_nothing_behind(tmp_path, convert, change, message):
    source = written(tmp_path)
    changed(source, lambda content: change(content["annotations"][0]))
    with pytest.raises(DataError, match=message):
        convert(source, None, tmp_path / "out")
    assert not list(tmp_path.glob("out/*")) and not list(tmp_path.glob(".out*"))


def test_two_annotations_of_one_file_are_refused(tmp_path):
    source = written(tmp_path)
    changed(source, lambda content: content["annotations"].append(content["annotations"][0]))
    with pytest.raises(DataError, match=r"annotations\[1\]: x/a.png is another annotation's file already"):
        convert_to_2ch(source, None, tmp_path / "out")


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path):
    source = written(tmp_path)
    with pytest.raises(DataError, match="holds something already"):
        convert_to_2ch(source, None, tmp_path / "panoptic")


@pytest.mark.parametrize(
    ("pixel", "message"),
    [
        ((1, 2, 3), "the third channel is not empty"),
        ((9, 0, 0), "no category has the id 9"),
        ((0, 1, 0), "no category has the id 0"),
    ],
)
def test_files_that_are_no_two_channels(tmp_path, pixel, message):
    source = written(tmp_path)
    write_png(tmp_path / "2ch" / "x" / "a.png", np.array([[pixel]], np.uint8))
    with pytest.raises(DataError, match=message):
        convert_from_2ch(tmp_path / "2ch", source, tmp_path / "back.json")
    assert not (tmp_path / "back").exists() and not (tmp_path / "back.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["annotations"].append(c["annotations"][0]),
            r"annotations\[5\] shares pixels with annotations\[0\]",
        ),
        (lambda c: c["annotations"][0].update(image_id=None), r"annotations\[0\]: expected an image_id"),
        (lambda c: c["annotations"][0].update(category_id="3"), r"annotations\[0\]: expected an integer category_id"),
        (lambda c: c["annotations"][0].update(category_id=4), "no category has the id 4"),
        (lambda c: c["annotations"][0].pop("segmentation"), r"annotations\[0\]: "),
        (lambda c: c["images"][0].update(width=10**9), r"images\[0\]: .*expected at most"),
        (lambda c: c["images"][0].update(width=4), r"annotations\[0\]: expected an RLE of size \[3, 4\], got \[3, 5\]"),
        (lambda c: c["images"][0].update(file_name="/a.jpg"), "expected a file_name below its folder"),
        (lambda c: c["images"][0].update(id={}), "expected an id that is a number or a text"),
    ],
)
def test_detections_that_are_no_panoptic_truth(tmp_path, change, message):
    source = convert_to_detection(written(tmp_path), None, tmp_path / "det")
    changed(source, change)
    with pytest.raises(DataError, match=message):
        convert_from_detection(source, tmp_path / "back.json")
    assert not (tmp_path / "back").exists() and not (tmp_path / "back.json").exists()


def test_without_a_list_of_categories_all_are_things(tmp_path):
    source = convert_to_detection(written(tmp_path), None, tmp_path / "det")
    back = json.loads(convert_from_detection(source, tmp_path / "back.json").read_text())
    assert [c["isthing"] for c in back["categories"]] == [1, 1, 1]
    (tmp_path / "list.json").write_text(json.dumps(CATEGORIES.to_coco()))
    back = json.loads(convert_from_detection(source, tmp_path / "b.json", tmp_path / "list.json").read_text())
    assert [c["isthing"] for c in back["categories"]] == [1, 1, 0]
    (tmp_path / "list.json").write_text('"cats"')
    with pytest.raises(DataError, match="list.json: expected a list of 'categories'"):
        convert_from_detection(source, tmp_path / "c.json", tmp_path / "list.json")


def test_mutated_files_are_converted_or_refused_in_one_line(tmp_path):
    source = written(tmp_path / "in")
    detections = convert_to_detection(source, None, tmp_path / "det")
    two = convert_to_2ch(source, None, tmp_path / "2ch")
    ways = {
        source: [lambda out: convert_to_2ch(source, None, out), lambda out: convert_to_detection(source, None, out)],
        detections: [lambda out: convert_from_detection(detections, out / "p.json")],
    }
    ways[source].append(lambda out: convert_from_2ch(two, source, out / "p.json"))
    refused = 0
    for path, conversions in ways.items():
        content = json.loads(path.read_text())
        for number, data in enumerate(mutated_files(content, 120)):
            path.write_bytes(data)
            for way, convert in enumerate(conversions):
                try:
                    convert(tmp_path / f"out{number}{way}")
                except DataError as error:
                    refused += 1
                    assert "\n" not in str(error) and len(str(error)) < 600
    assert refused > 100
