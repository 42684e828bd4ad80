"""`tools/compare.py`: tables, a record and a page; what cannot be compared is one clear line."""

import json

import numpy as np
import pytest
from helpers import assert_one_line

from thingstuff.merge import Greedy, merge
from thingstuff.store import PredictedImage, StoreMeta, StoreWriter
from thingstuff.structures import Categories, Category, Detections, MaskCrops

CATEGORIES = Categories((Category(1, "dog"), Category(2, "cat"), Category(3, "sky", isthing=False)))
SIDE = 40


def square(x, y, side):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + side, x : x + side] = True
    return mask


MASKS = (square(2, 2, 20), square(5, 4, 20), square(24, 26, 12))  # the second lies mostly below the first


def write_store(folder, key="a.png"):
    """Three instances of which the merge drops exactly the second: 72 % of it is covered by the first."""
    bitmaps = np.stack(MASKS)
    masks = MaskCrops.from_bitmaps(bitmaps)
    boxes = masks.boxes_xyxy.astype(np.float32)
    found = Detections(masks, boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([1, 2, 2]))
    stuff = np.ones((SIDE, SIDE), np.uint16)
    panoptic, ledger = merge(found, stuff, CATEGORIES, Greedy(0.5, 0, 0.5))
    with StoreWriter.open(folder, StoreMeta("c", "w", CATEGORIES)) as writer:
        writer.append(PredictedImage(key, SIDE, SIDE, 1, found, stuff, panoptic, tuple(ledger.records())))
    return folder


@pytest.fixture
def truth(tmp_path):
    """All three objects are there."""
    notes = [
        {"id": n, "image_id": 1, "iscrowd": 0, "category_id": c, **r}
        for n, (c, r) in enumerate(zip((1, 2, 2), _shapes(), strict=True), 1)
    ]
    path = tmp_path / "truth.json"
    content = {"images": [{"id": 1, "file_name": "a.png", "height": SIDE, "width": SIDE}], "annotations": notes}
    path.write_text(json.dumps(content | {"categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]}))
    return path


def _shapes():
    masks = MaskCrops.from_bitmaps(np.stack(MASKS))
    for rle, box, mask in zip(masks.to_rles(), masks.bboxes_xywh().tolist(), MASKS, strict=True):
        yield {"segmentation": rle, "bbox": box, "area": int(mask.sum())}


def test_the_one_dropped_instance_is_named_with_its_rule_and_numbers(run_tool, truth, tmp_path):
    store = write_store(tmp_path / "one")
    code, out, error = run_tool("compare", store, "--ground-truth", truth, "--output", tmp_path / "out")
    assert code == 0, error
    found = json.loads((tmp_path / "out/compare.json").read_text())["stores"]["one"]["merge"]
    assert found["instances"]["overlap"] == {"instances": 1, "true": 1, "lost": 1}
    lost = found["lost"]
    assert len(lost) == 1
    assert (lost[0]["image"], lost[0]["index"], lost[0]["category"]) == ("a.png", 1, "cat")
    assert (lost[0]["outcome"], lost[0]["rule"], lost[0]["limit"]) == ("dropped", "overlap", 0.5)
    shared = int(np.logical_and(MASKS[0], MASKS[1]).sum())
    assert lost[0]["value"] == pytest.approx(shared / 400)
    assert lost[0]["covered_by"] == [{"index": 0, "segment": 1, "pixels": shared}]
    assert lost[0]["text"] == f"dropped: {shared / 400:.0%} already covered by dog #1, limit 50%"
    # two cats, one of them gone: precision 1 up to recall 0.5, which are 51 of 101 points; the dog stays
    assert found["stages"]["instances"]["numbers"]["AP"] == pytest.approx(100)
    assert found["stages"]["panoptic"]["numbers"]["AP"] == pytest.approx((100 + 100 * 51 / 101) / 2)
    assert "1 of the 3 instances that had found an object no longer do" in out
    page = (tmp_path / "out/compare.html").read_text()
    covered = np.logical_and(MASKS[0], MASKS[1]).sum() / MASKS[1].sum()
    assert f"dropped: {covered:.0%} already covered by dog #1, limit 50%" in page


def test_results_of_another_program_are_compared_too(run_tool, truth, tmp_path):
    store = write_store(tmp_path / "one")
    results = [{"image_id": 1, "category_id": c, "score": 0.9, **r} for c, r in zip((1, 2, 2), _shapes(), strict=True)]
    (tmp_path / "theirs.json").write_text(json.dumps(results[:2]))
    paths = (store, tmp_path / "theirs.json")
    for _ in range(2):  # what was imported before is replaced
        code, out, error = run_tool("compare", *paths, "--ground-truth", truth, "--output", tmp_path / "out")
        assert code == 0, error
    found = json.loads((tmp_path / "out/compare.json").read_text())
    assert found["stores"]["theirs"]["results"]["segm"]["AP"] == pytest.approx((100 + 100 * 51 / 101) / 2)
    assert found["stores"]["theirs"]["merge"] is None
    assert "theirs against one is undecided in box AP -24.8 (too few images for bounds)" in out
    (tmp_path / "theirs.json").write_text(json.dumps([results[0] | {"category_id": 7}]))
    code, _, error = run_tool("compare", *paths, "--ground-truth", truth, "--output", tmp_path / "out")
    assert code == 2
    assert_one_line(error, "theirs.json[0]", "category_id 7")


def test_only_the_images_of_the_store_count_and_it_is_said(run_tool, truth, tmp_path):
    content = json.loads(truth.read_text())
    content["images"].append({"id": 2, "file_name": "b.png", "height": SIDE, "width": SIDE})
    content["annotations"] += [{**note, "id": note["id"] + 10, "image_id": 2} for note in content["annotations"]]
    truth.write_text(json.dumps(content))
    store = write_store(tmp_path / "one")
    code, out, error = run_tool("compare", store, "--ground-truth", truth, "--output", tmp_path / "out")
    assert code == 0, error
    found = json.loads((tmp_path / "out/compare.json").read_text())["stores"]["one"]
    assert found["merge"]["stages"]["instances"]["numbers"]["AP"] == pytest.approx(100)
    assert found["results"]["segm"]["AP"] == pytest.approx(100)
    for words in (
        "1 of the 2 images",
        "they are left out",
        "no PQ, since",
        "no mean IoU, since",
        "no longer where they",
    ):
        assert words in out + (tmp_path / "out/compare.html").read_text()


def test_names_that_are_html_stay_text(run_tool, truth, tmp_path):
    store = write_store(tmp_path / "<b>store", "<img src=x onerror=alert(1)>.png")
    code, _, error = run_tool("compare", store, "--ground-truth", truth, "--output", tmp_path / "out")
    assert code == 0, error
    page = (tmp_path / "out/compare.html").read_text()
    assert "<img src=x" not in page
    assert "<b>store" not in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["absent"], "there is no store at"),
        (["one", "other"], "of other images"),
        (["one", "--names", "a", "b"], "--names: expected 1"),
        (["one", "--draws", "3"], "--draws must be 20 or more"),
        (["one", "--ground-truth", "shapes_vall"], "shapes_vall"),
    ],
)
def test_what_cannot_be_compared_is_one_line(run_tool, truth, tmp_path, options, words):
    write_store(tmp_path / "one")
    write_store(tmp_path / "other", "b.png")
    paths = [tmp_path / o if o in ("absent", "one", "other") else o for o in options]
    given = [] if "--ground-truth" in options else ["--ground-truth", truth]
    code, _, error = run_tool("compare", *paths, *given, "--output", tmp_path / "out")
    assert code == 2
    assert_one_line(error, words)
    assert not (tmp_path / "out/compare.html").exists()


def test_a_store_without_a_data_set_asks_for_the_truth(run_tool, tmp_path):
    code, _, error = run_tool("compare", write_store(tmp_path / "one"), "--output", tmp_path / "out")
    assert code == 2
    assert_one_line(error, "--ground-truth")


def test_a_foreign_folder_in_the_way_is_said_before_any_work(run_tool, truth, tmp_path):
    store = write_store(tmp_path / "one")
    (tmp_path / "out/compare_files").mkdir(parents=True)
    code, out, error = run_tool("compare", store, "--ground-truth", truth, "--output", tmp_path / "out")
    assert code == 2
    assert_one_line(error, "compare_files: is in the way")
    assert not out
