"""COCO exports are read back by the reference program; what cannot be exported is refused, and leaves nothing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from predicted_scenes import CATEGORIES, full, panoptic, stored, stuff_map
from pycocotools.coco import COCO

from thingstuff.errors import DataError
from thingstuff.store import PredictedImage
from thingstuff.store.exports import EXPORTS, ExportOptions
from thingstuff.structures import Categories, PanopticMap

WITH_STUFF = ExportOptions(include_stuff=True)


def one_by_one(masks):
    return list(masks.to_bitmaps())


# COCO results


@pytest.mark.parametrize("with_ids", [True, False])
def test_coco_results_are_read_by_pycocotools(tmp_path, with_ids):
    images = [
        full(key, seed, image_id=seed * 10 + 7 if with_ids else None) for seed, key in enumerate(["b/2", "a", "b"])
    ]
    path = EXPORTS["coco"](stored(tmp_path, *images), tmp_path / "out", ExportOptions())
    assert path == tmp_path / "out/coco_results.json"
    number_of = {"a": 1, "b": 2, "b/2": 3}  # in the order of the keys, from 1
    ids = {image.key: image.image_id if with_ids else number_of[image.key] for image in images}
    assert (tmp_path / "out/coco_images.json").exists() != with_ids
    if not with_ids:
        truth = json.loads((tmp_path / "out/coco_images.json").read_text())
        assert [(i["id"], i["file_name"], i["height"], i["width"]) for i in truth["images"]] == [
            (1, "a", 24, 32),
            (2, "b", 24, 32),
            (3, "b/2", 24, 32),
        ]
        assert truth["categories"] == CATEGORIES.to_coco()
    results = _load_results(path, ids)
    for image in images:
        records = results.imgToAnns[ids[image.key]]
        found = image.detections
        assert [r["score"] for r in records] == found.scores.tolist()
        assert [r["category_id"] for r in records] == found.category_ids.tolist()
        x0, y0, x1, y1 = found.boxes_xyxy.T
        np.testing.assert_array_equal([r["bbox"] for r in records], np.stack([x0, y0, x1 - x0, y1 - y0], axis=1))
        for record, bitmap in zip(records, one_by_one(found.masks), strict=True):
            np.testing.assert_array_equal(results.annToMask(record), bitmap)


def _load_results(path, ids):
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i, "height": 24, "width": 32} for i in ids.values()],
        "categories": CATEGORIES.to_coco(),
        "annotations": [],
    }
    truth.createIndex()
    return truth.loadRes(str(path))


def test_a_threshold_keeps_equal_scores_and_an_empty_export_is_a_list(tmp_path):
    store = stored(tmp_path, full("a", 0))
    scores = np.sort(store["a"].detections.scores)
    options = ExportOptions(score_thresh=float(scores[1]))
    assert len(json.loads(EXPORTS["coco"](store, tmp_path / "some", options).read_text())) == 2
    assert json.loads(EXPORTS["coco"](store, tmp_path / "none", ExportOptions(score_thresh=2)).read_text()) == []


def test_image_ids_must_be_in_all_images_and_distinct(tmp_path):
    images = [full("a", 0, image_id=1), full("b", 1)]
    for folder, second, message in [
        ("mixed", None, "'b' has no image_id and 'a' has: expected it in all or in none"),
        ("same", 1, "'a' and 'b' share the image_id 1: each needs its own"),
    ]:
        store = stored(tmp_path / folder, images[0], full("b", 1, image_id=second))
        for name in ("coco", "coco_panoptic"):
            with pytest.raises(DataError, match=message):
                EXPORTS[name](store, tmp_path / "out", ExportOptions())


# COCO panoptic results


def test_panoptic_results_are_read_as_a_coco_data_set(tmp_path):
    images = [full(key, seed) for seed, key in enumerate(["b/x.jpg", "a.jpg", "a.png", "clip.mp4/000012"])]
    path = EXPORTS["coco_panoptic"](stored(tmp_path, *images), tmp_path / "out", ExportOptions())
    data = json.loads(path.read_text())
    assert [(i["id"], i["file_name"]) for i in data["images"]] == [
        (1, "a.jpg"),
        (2, "a.png"),
        (3, "b/x.jpg"),
        (4, "clip.mp4/000012"),
    ]
    names = {a["image_id"]: a["file_name"] for a in data["annotations"]}
    assert names == {1: "a.jpg.png", 2: "a.png.png", 3: "b/x.png", 4: "clip.mp4/000012.png"}
    categories = Categories.from_coco(data["categories"])
    by_key = {image.key: image for image in images}
    for record, annotation in zip(data["images"], data["annotations"], strict=True):
        png = path.with_suffix("") / annotation["file_name"]
        read = PanopticMap.read_coco(png, annotation["segments_info"], categories)
        written = by_key[record["file_name"]].panoptic
        np.testing.assert_array_equal(read.ids, written.ids)
        assert read.segments == written.segments


def test_a_threshold_turns_segments_to_void_but_not_those_without_score(tmp_path):
    image = full("a", 0)
    path = EXPORTS["coco_panoptic"](stored(tmp_path, image), tmp_path, ExportOptions(score_thresh=0.5))
    (annotation,) = json.loads(path.read_text())["annotations"]
    read = PanopticMap.read_coco(tmp_path / "panoptic/a.png", annotation["segments_info"], CATEGORIES)
    ids = image.panoptic.ids
    assert 70000 in ids
    np.testing.assert_array_equal(read.ids, np.where(ids == 70000, 0, ids))


# refusals


@pytest.mark.parametrize(
    ("name", "options", "image", "message"),
    [
        ("coco", ExportOptions(), PredictedImage("k", 24, 32, stuff_map=stuff_map(0)), "'k' has no detections"),
        ("coco_panoptic", ExportOptions(), full("k", 0, panoptic=None), "'k' has no panoptic map: merge first"),
        (
            "labelme",
            ExportOptions(),
            PredictedImage("k", 24, 32, panoptic=panoptic(0)),
            "'k' has no detections: ask for its stuff",
        ),
        ("cvat", WITH_STUFF, full("k", 0, panoptic=None, stuff_map=None), "'k' has neither a stuff map nor a panoptic"),
    ],
)
def test_what_a_store_lacks_is_refused_before_anything_is_written(tmp_path, name, options, image, message):
    store = stored(tmp_path, full("a", 0), image)
    with pytest.raises(DataError, match=f"predictions-00000.jsonl:2: {message}") as refusal:
        EXPORTS[name](store, tmp_path / "out", options)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["coco", "cvat"])
def test_a_failed_export_leaves_no_file(tmp_path, name):
    store = stored(tmp_path, full("a", 0), full("b", 1))
    shard = store.folder / "predictions-00000.jsonl"
    shard.write_bytes(shard.read_bytes().replace(b'"score":', b'"skore":'))
    with pytest.raises(DataError, match="detections are damaged"):
        EXPORTS[name](store, tmp_path / "out", ExportOptions())
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", EXPORTS)
def test_an_empty_store_gives_an_empty_export(tmp_path, name):
    path = EXPORTS[name](stored(tmp_path), tmp_path / "out", ExportOptions())
    if path.suffix == ".json":
        json.loads(path.read_text())
    if path.suffix == ".xml":
        assert ElementTree.parse(path).getroot().findall("image") == []
