"""What is read from a store is what was written; what is damaged is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from predicted_scenes import META, assert_same, detections, full, panoptic, stuff_map, write_store

from thingstuff.errors import DataError
from thingstuff.store import PredictedImage, Store, StoreMeta
from thingstuff.structures import Categories, Category, Detections, MaskCrops, Segment, write_png
from thingstuff.structures.panoptic_map import PanopticMap

NO_BOXES = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
VARIANTS = {
    "everything": full("x", 1, image_id=139),
    "no output": PredictedImage("x", 24, 32, "a text id"),
    "boxes": PredictedImage("x", 24, 32, detections=detections(2, masks=False)),
    "masks": PredictedImage("x", 24, 32, detections=detections(3, 20)),
    "no box found": PredictedImage("x", 24, 32, detections=Detections(None, *NO_BOXES, 24, 32)),
    "no mask found": PredictedImage(
        "x", 24, 32, detections=Detections(MaskCrops.from_rles([], 24, 32), *NO_BOXES, 24, 32)
    ),
    "stuff only": PredictedImage("x", 24, 32, stuff_map=stuff_map(4)),
    "panoptic only": PredictedImage("x", 24, 32, panoptic=panoptic(5), ledger=()),
    "all void": PredictedImage("x", 24, 32, panoptic=PanopticMap(np.zeros((24, 32), np.uint32), ())),
}
STRANGE_KEYS = [
    *("a", "a/b", "a.png/b", "a.png", "a.png~/b", "A", "a.jpg", "a/b/c.JPG"),
    *("with space.png", "50%.jpg", "a#b?c=d&e.jpg", "日本/été.png", 'quote".jpg', "line\nbreak", "clip.mp4/000012"),
    *(".hidden", "dots...", "-dash", "a\\b", "null", "\udcff bytes"),
]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_output_comes_back_bit_for_bit(tmp_path, name):
    write_store(tmp_path, [VARIANTS[name]])
    store = Store.open(tmp_path)
    assert_same(store["x"], VARIANTS[name])


@pytest.mark.parametrize("name", VARIANTS)
def test_coco_records_are_those_of_the_detections(tmp_path, name):
    write_store(tmp_path, [VARIANTS[name]])
    found = VARIANTS[name].detections
    assert Store.open(tmp_path).coco_records("x", 7) == ([] if found is None else found.to_coco(7))


def test_extreme_numbers_come_back(tmp_path):
    smallest, largest = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    boxes = np.array([[-largest, -0.0, smallest, largest]], np.float32)
    found = Detections(None, boxes, np.array([np.float32(1) / 3]), np.array([2]), 24, 32)
    write_store(tmp_path, [image := PredictedImage("x", 24, 32, detections=found)])
    assert_same(Store.open(tmp_path)["x"], image)


def test_strange_keys_each_keep_their_own(tmp_path):
    images = [full(key, seed) for seed, key in enumerate(STRANGE_KEYS)]
    write_store(tmp_path, images, lines_per_shard=4)
    store = Store.open(tmp_path)
    assert store.keys() == tuple(STRANGE_KEYS)
    assert len(store) == len(STRANGE_KEYS)
    for read, written in zip(store, images, strict=True):
        assert_same(read, written)
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == [
        f"predictions-{n:05d}.jsonl" for n in range(len(STRANGE_KEYS) // 4 + 1)
    ]


@pytest.mark.parametrize("key", ["", "/a.jpg", "../a.jpg", "a/../b", "a//b", "./a", "a/", "a/.", "a\0b", None, 7])
def test_keys_that_are_no_relative_path_are_refused(key):
    with pytest.raises(DataError, match="key: expected a path relative to the image root"):
        PredictedImage(key, 24, 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 0}, "'k': height: expected 1 pixel or more, got 0"),
        ({"width": 32.0}, "'k': width: expected 1 pixel or more, got 32.0"),
        ({"image_id": 1.5}, "'k': image_id: expected an integer, a text or None, got 1.5"),
        ({"image_id": True}, "'k': image_id: expected"),
        ({"detections": detections(0, height=20)}, r"'k': detections: expected height and width \(24, 32\), got \(20,"),
        ({"stuff_map": stuff_map(0, width=31)}, r"'k': stuff map: expected height and width \(24, 32\), got \(24, 31"),
        ({"stuff_map": np.zeros((24, 32), np.uint8)}, "'k': stuff map: expected uint16, got uint8"),
        ({"panoptic": panoptic(0, height=30)}, "'k': panoptic map: expected height and width"),
        ({"ledger": ("kept",)}, "'k': ledger: expected plain records"),
    ],
)
def test_images_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        PredictedImage(**({"key": "k", "height": 24, "width": 32} | changes))


def test_predictions_outside_the_categories_are_refused_and_leave_no_line(tmp_path):
    ids = np.ones((24, 32), np.uint32)
    as_stuff = PanopticMap(ids, (Segment(1, 7, False, 24 * 32, (0, 0, 32, 24)),))
    too_large = PanopticMap(ids << 24, (Segment(1 << 24, 7, True, 24 * 32, (0, 0, 32, 24)),))
    unknown = Detections(None, np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.array([5]), 24, 32)
    for changes, message in [
        ({"detections": unknown}, "'k': no category has the id 5"),
        ({"stuff_map": np.full((24, 32), 3, np.uint16)}, r"'k': stuff map: expected 0 to 2 .*got 3"),
        ({"panoptic": as_stuff}, "'k': segment 1: expected isthing as for 'cat & <dog>', which is thing"),
        ({"panoptic": too_large}, "'k': panoptic map: expected ids up to 16777215"),
        ({"ledger": ({"share": float("nan")},)}, "'k': cannot be written as JSON"),
        ({"ledger": ({"share": np.float32(1)},)}, "'k': cannot be written as JSON"),
    ]:
        with pytest.raises(DataError, match=message):
            write_store(tmp_path, [PredictedImage("k", 24, 32, **changes)])
    assert Store.open(tmp_path).keys() == ()


def test_meta_comes_back_readable(tmp_path):
    write_store(tmp_path, [])
    assert Store.open(tmp_path).meta == META
    record = json.loads((tmp_path / "meta.json").read_text())
    assert record["format"] == 1
    assert record["dataset"] == "some_val"
    assert record["categories"][1] == {"id": 300, "name": 'sky "blue"', "isthing": 0, "color": [1, 2, 255]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"holds no predictions \(there is no meta.json\): give a store's folder"),
        ("{", "meta.json: is no JSON"),
        ("[]", "meta.json: is damaged"),
        ('{"format": 1}', "meta.json: is damaged .*config_hash"),
        ('{"format": 3}', "meta.json: expected a format up to 2, got 3: use the thingstuff that wrote it, or a newer"),
    ],
)
def test_a_missing_or_strange_meta_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "meta.json").write_text(text)
    with pytest.raises(DataError, match=message):
        Store.open(tmp_path)


def test_only_the_maps_that_are_wanted_are_read(tmp_path):
    write_store(tmp_path, [image := full("a.jpg", 0)])
    store = Store.open(tmp_path)
    (tmp_path / "stuff/a.jpg.png").unlink()
    read = store.read("a.jpg", stuff=False)
    assert read.stuff_map is None
    np.testing.assert_array_equal(read.panoptic.ids, image.panoptic.ids)
    (tmp_path / "panoptic/a.jpg.png").unlink()
    assert store.read("a.jpg", stuff=False, panoptic=False).panoptic is None
    entry = store.entries[0]
    assert (entry.has_detections, entry.has_stuff_map, entry.has_panoptic) == (True, True, True)


def test_maps_that_are_missing_or_do_not_fit_are_named_with_line_and_key(tmp_path):
    write_store(tmp_path, [full("a.jpg", 0), full("b.jpg", 1)])
    store = Store.open(tmp_path)
    place = r"predictions-00000.jsonl:2 \('b.jpg'\): "
    stuff_png, panoptic_png = tmp_path / "stuff/b.jpg.png", tmp_path / "panoptic/b.jpg.png"
    write_png(stuff_png, stuff_map(0, height=9))
    with pytest.raises(DataError, match=f"{place}.*stuff map: expected height and width"):
        store["b.jpg"]
    write_png(stuff_png, np.full((24, 32), 9, np.uint16))
    with pytest.raises(DataError, match=f"{place}stuff map: expected 0 to 2"):
        store["b.jpg"]
    stuff_png.unlink()
    with pytest.raises(DataError, match=f"{place}.*b.jpg.png: cannot be read: No such file"):
        store["b.jpg"]
    write_png(stuff_png, stuff_map(1))
    panoptic_png.write_bytes((tmp_path / "panoptic/a.jpg.png").read_bytes())
    with pytest.raises(DataError, match=f"{place}.*b.jpg.png does not fit its line: "):
        store["b.jpg"]
    with pytest.raises(DataError, match=r"has no predictions of 'c.jpg' \(2 images\)"):
        store["c.jpg"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"category_id":', b'"category_id":9', "no category has the id 9"),
        (b'"counts":"', b'"counts":"\\u007f', "mask 0: RLE string: expected characters"),
        (b'"box_xyxy":[', b'"box_xyxy":[1,', "detections are damaged"),
        (b'"score":', b'"skore":', r"detections are damaged \(KeyError: 'score'\)"),
        (b'"area":', b'"area":1', "does not fit its line: segment"),
    ],
)
def test_damage_inside_a_line_is_named_when_the_image_is_read(tmp_path, old, new, message):
    write_store(tmp_path, [full("a.jpg", 0)])
    shard = tmp_path / "predictions-00000.jsonl"
    shard.write_bytes(shard.read_bytes().replace(old, new, 1))
    with pytest.raises(DataError, match=rf"predictions-00000.jsonl:1 \('a.jpg'\): .*{message}"):
        Store.open(tmp_path)["a.jpg"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [lines[0], b"{" + lines[1][5:], lines[2]], r"00000.jsonl:2: the line is damaged \(no JSON"),
        (lambda lines: [b"7\n", *lines[1:]], r"00000.jsonl:1: the line is damaged \(expected a record, got int"),
        (lambda lines: [*lines[:2], b'{"key": "c"}\n'], r"00000.jsonl:3: the line is damaged \(expected the field he"),
        (lambda lines: [lines[0].replace(b'"height":24', b'"height":"24"'), *lines[1:]], "jsonl:1: .*field height"),
        (lambda lines: [lines[0].replace(b'"a"', b'"../a"'), *lines[1:]], "jsonl:1: the line is damaged .*key"),
        (lambda lines: [*lines, lines[1]], "00000.jsonl:2 and predictions-00000.jsonl:4 are both 'b'"),
        (lambda lines: [b"\n", *lines], "00000.jsonl:1: the line is damaged"),
    ],
)
def test_damaged_lines_are_named_by_shard_and_number(tmp_path, damage, message):
    write_store(tmp_path, [PredictedImage(key, 24, 32) for key in "abc"])
    shard = tmp_path / "predictions-00000.jsonl"
    shard.write_bytes(b"".join(damage(shard.read_bytes().splitlines(keepends=True))))
    with pytest.raises(DataError, match=message):
        Store.open(tmp_path)
    with pytest.raises(DataError, match=message):
        write_store(tmp_path, [])


def test_missing_and_cut_shards_are_named(tmp_path):
    write_store(tmp_path, [PredictedImage(key, 24, 32) for key in "abc"], lines_per_shard=1)
    middle = tmp_path / "predictions-00001.jsonl"
    whole = middle.read_bytes()
    middle.write_bytes(whole[:-3])
    with pytest.raises(DataError, match=r"predictions-00001.jsonl:1: the line is damaged \(it is cut off"):
        Store.open(tmp_path)
    middle.unlink()
    with pytest.raises(DataError, match=r"predictions-00001.jsonl: is missing among the shards"):
        Store.open(tmp_path)


def test_a_store_that_is_replaced_while_open_is_noticed(tmp_path):
    write_store(tmp_path, [PredictedImage("a", 24, 32), PredictedImage("b", 24, 32)])
    store = Store.open(tmp_path)
    shard = tmp_path / "predictions-00000.jsonl"
    first, second = shard.read_bytes().splitlines(keepends=True)
    shard.write_bytes(second + first)
    with pytest.raises(DataError, match="has changed since the store was opened"):
        store["a"]
    shard.unlink()
    with pytest.raises(DataError, match=r"predictions-00000.jsonl:1 \('a'\): cannot be read"):
        store["a"]


def test_a_store_without_stuff_categories_works(tmp_path):
    meta = StoreMeta("c", "w", Categories((Category(7, "cat"), Category(2, "tree"))))
    write_store(tmp_path, [image := PredictedImage("a", 24, 32, detections=detections(0))], meta)
    assert_same(Store.open(tmp_path)["a"], image)
