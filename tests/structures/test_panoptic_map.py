"""Panoptic maps: validation, COCO files, and the way back to things and stuff."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from thingstuff.errors import DataError
from thingstuff.structures import NOT_STUFF, VOID, Categories, Category, PanopticMap, Segment, ids_to_rgb, rgb_to_ids

PETS = Categories((Category(40, "sky", isthing=False), Category(7, "cat"), Category(3, "grass", isthing=False)))
BIG = 256**2 * 9 + 256 * 5 + 1
IDS = np.array([[0, 0, 5, 5], [BIG, BIG, 5, 5], [BIG, 7, 7, 8]], np.uint32)
CATEGORY_IDS = {BIG: 7, 7: 7, 5: 40, 8: 3}


def pets():
    return PanopticMap.from_labels(IDS, CATEGORY_IDS, PETS, scores={BIG: 0.25}, crowd_ids=[7])


def changed(number, **fields):
    segments = list(pets().segments)
    segments[number] = replace(segments[number], **fields)
    return tuple(segments)


def test_from_labels_measures_every_segment():
    assert pets().segments == (
        Segment(BIG, 7, True, 3, (0, 1, 2, 2), 0.25, False),
        Segment(7, 7, True, 2, (1, 2, 2, 1), None, True),
        Segment(5, 40, False, 4, (2, 0, 2, 2)),
        Segment(8, 3, False, 1, (3, 2, 1, 1)),
    )


def test_a_map_of_void_alone_and_one_without_pixels():
    for shape in [(3, 4), (0, 4)]:
        empty = PanopticMap.from_labels(np.zeros(shape, np.uint32), {}, PETS)
        assert empty.segments == () and len(empty.to_detections()) == 0
        np.testing.assert_array_equal(empty.stuff_map(PETS), np.full(shape, VOID))


def test_a_trusted_map_is_the_same_map_unchecked():
    trusted = PanopticMap.trusted(IDS, pets().segments)
    assert trusted.ids is IDS and trusted.segments == pets().segments
    assert len(trusted.to_detections()) == len(pets().to_detections())
    assert PanopticMap.trusted(IDS, ()).segments == ()  # which the constructor refuses


@pytest.mark.parametrize(
    ("ids", "segments", "message"),
    [
        (IDS.astype(np.int64), pets().segments, "expected uint32 .* got int64"),
        (IDS.reshape(-1), pets().segments, r"got uint32 of shape \(12,\)"),
        (IDS, pets().segments[:3], "pixels of segment 8, which no segment describes"),
        (np.where(IDS == 8, 0, IDS).astype(np.uint32), pets().segments, "segment 8: expected one pixel or more"),
        (IDS, (*pets().segments, pets().segments[0]), f"two segments share the id {BIG}"),
        (IDS, (*pets().segments, Segment(0, 7, True, 2, (0, 0, 2, 1))), "segment 0: expected no segment"),
        (IDS, changed(2, area=5), r"segment 5: expected area and bbox \(4, \(2, 0, 2, 2\)\) .* got \(5,"),
        (IDS, changed(2, bbox=(2, 0, 2, 3)), r"segment 5: expected area and bbox"),
    ],
)
def test_maps_that_contradict_themselves_are_refused(ids, segments, message):
    with pytest.raises(DataError, match=message):
        PanopticMap(ids, segments)


def test_from_labels_refuses_unknown_ids():
    with pytest.raises(DataError, match="no category has the id 1"):
        PanopticMap.from_labels(IDS, CATEGORY_IDS | {5: 1}, PETS)
    with pytest.raises(DataError, match="pixels of segment 8"):
        PanopticMap.from_labels(IDS, {k: v for k, v in CATEGORY_IDS.items() if k != 8}, PETS)


def test_ids_and_rgb_follow_the_formula_of_coco():
    ids = np.random.default_rng(0).integers(0, 256**3, (20, 30)).astype(np.uint32)
    for order in (ids, np.asfortranarray(ids), ids[::2, ::-1]):
        rgb = ids_to_rgb(order)
        red, green, blue = (rgb[..., c].astype(int) for c in range(3))
        np.testing.assert_array_equal(red + 256 * green + 256**2 * blue, order)
        np.testing.assert_array_equal(rgb_to_ids(rgb), order)
        assert rgb.dtype == np.uint8 and rgb_to_ids(rgb).dtype == np.uint32
    with pytest.raises(DataError, match=r"up to 16777215 .* got 16777216"):
        ids_to_rgb(np.array([[256**3]], np.uint32))


def test_coco_round_trip(tmp_path):
    path = tmp_path / "a.png"
    info = json.loads(json.dumps(pets().write_coco(path)))
    assert info[0] == {"id": BIG, "category_id": 7, "area": 3, "bbox": [0, 1, 2, 2], "iscrowd": 0, "score": 0.25}
    assert info[1] == {"id": 7, "category_id": 7, "area": 2, "bbox": [1, 2, 2, 1], "iscrowd": 1}
    read = PanopticMap.read_coco(path, info, PETS)
    assert read.segments == pets().segments
    np.testing.assert_array_equal(read.ids, IDS)


def test_predictions_without_area_and_box_are_read(tmp_path):
    pets().write_coco(tmp_path / "a.png")
    info = [{"id": number, "category_id": category_id} for number, category_id in CATEGORY_IDS.items()]
    read = PanopticMap.read_coco(tmp_path / "a.png", info, PETS)
    assert read.segments == PanopticMap.from_labels(IDS, CATEGORY_IDS, PETS).segments


def test_files_that_contradict_their_json_are_refused_by_name(tmp_path):
    path = tmp_path / "a.png"
    info = pets().write_coco(path)
    for changed_info, message in [
        (info[:3], "pixels of segment 8, which no segment describes"),
        ([*info, {"id": 99, "category_id": 7}], "segment 99: expected one pixel or more"),
        ([*info, info[0]], f"two segments share the id {BIG}"),
        ([*info[:3], {"id": 8, "category_id": 1}], "no category has the id 1"),
        ([*info[:3], {"id": "8", "category_id": 3}], r"segments_info\[3\]: expected an integer id, got '8'"),
        ([*info[:3], {"id": 8}], r"segments_info\[3\]: expected the keys id and category_id"),
    ]:
        with pytest.raises(DataError, match=rf"a\.png: .*{message}"):
            PanopticMap.read_coco(path, changed_info, PETS)
    with pytest.raises(DataError, match=r"b\.png: cannot be read"):
        PanopticMap.read_coco(tmp_path / "b.png", info, PETS)
    Image.fromarray(IDS.astype(np.uint8)).save(path)
    with pytest.raises(DataError, match=r"a\.png: expected an 8-bit RGB PNG, got 8-bit grey"):
        PanopticMap.read_coco(path, info, PETS)


def test_segment_mask():
    np.testing.assert_array_equal(pets().segment_mask(5), IDS == 5)
    for absent in (0, 99):
        with pytest.raises(DataError, match=f"no segment {absent}"):
            pets().segment_mask(absent)


def test_stuff_map_has_things_crowds_and_void_apart():
    sky, grass, thing = 1, 2, NOT_STUFF
    expected = [[VOID, VOID, sky, sky], [thing, thing, sky, sky], [thing, thing, thing, grass]]
    assert pets().stuff_map(PETS).tolist() == expected


def test_detections_are_the_things_without_crowds():
    detections = pets().to_detections()
    assert detections.category_ids.tolist() == [7] and detections.scores.tolist() == [0.25]
    assert detections.boxes_xyxy.tolist() == [[0, 1, 2, 3]]
    np.testing.assert_array_equal(detections.masks.to_bitmaps(), [IDS == BIG])
    assert PanopticMap.from_labels(IDS, CATEGORY_IDS, PETS).to_detections().scores.tolist() == [1, 1]


def real_maps(folder):
    truth = json.loads((folder / "panoptic_examples.json").read_text())
    categories = Categories.from_coco(truth["categories"])
    for annotation in truth["annotations"]:
        path = folder / "panoptic_examples" / annotation["file_name"]
        yield annotation, path, categories, PanopticMap.read_coco(path, annotation["segments_info"], categories)


def test_real_coco_maps_round_trip(panoptic_coco_dir, tmp_path):
    for annotation, path, _, panoptic in real_maps(panoptic_coco_dir):
        assert panoptic.write_coco(tmp_path / path.name) == annotation["segments_info"]
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / path.name)), np.asarray(Image.open(path)))


def test_real_coco_maps_as_detections(panoptic_coco_dir):
    """panopticapi's own conversion of the same maps to one RLE a segment."""
    expected = json.loads((panoptic_coco_dir / "panoptic_coco_detection_format.json").read_text())["annotations"]
    for annotation, _, categories, panoptic in real_maps(panoptic_coco_dir):
        converted = [r for r in expected if r["image_id"] == annotation["image_id"]]
        things = [r for r in converted if categories.by_id(r["category_id"]).isthing and not r["iscrowd"]]
        records = panoptic.to_detections().to_coco(annotation["image_id"])
        keys = ("segmentation", "bbox", "category_id", "image_id")
        assert things and [[r[k] for k in keys] for r in records] == [[r[k] for k in keys] for r in things]


def test_real_coco_maps_as_stuff(panoptic_coco_dir):
    for annotation, _, categories, panoptic in real_maps(panoptic_coco_dir):
        expected = np.full(panoptic.ids.shape, VOID)
        for info in annotation["segments_info"]:
            category = categories.by_id(info["category_id"])
            label = NOT_STUFF if category.isthing else categories.stuff.index(category) + 1
            expected[panoptic.ids == info["id"]] = label
        np.testing.assert_array_equal(panoptic.stuff_map(categories), expected)
