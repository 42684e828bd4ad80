"""`tools/evaluate.py` on instances: what is printed and written beside the numbers, and how odd records are met."""

import copy
import csv
import json
import sys

import cv2
import numpy as np
import pytest
from helpers import assert_one_line

SIDE = 64
NAMES = ("cat", "dog", "bird")


def rle(box):
    from pycocotools import mask as mask_utils

    x, y, w, h = box
    found = mask_utils.frPyObjects([[x, y, x + w, y, x + w, y + h, x, y + h]], SIDE, SIDE)[0]
    return {"size": [SIDE, SIDE], "counts": found["counts"].decode()}


def square(image_id, category_id, box):
    return {"image_id": image_id, "category_id": category_id, "bbox": box, "segmentation": rle(box)}


def scene(images=30, seed=0):
    """Small squares of three classes; the detections are the squares, moved by up to two pixels."""
    rng = np.random.default_rng(seed)
    truth = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": SIDE, "width": SIDE} for n in range(1, images + 1)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(NAMES, 1)],
        "annotations": [],
    }
    results = []
    for image in truth["images"]:
        for _ in range(rng.integers(1, 4)):
            x, y = rng.integers(4, 44, 2).tolist()
            category_id, area = int(rng.integers(1, 4)), {"area": 144, "iscrowd": 0}
            note = {"id": len(truth["annotations"]) + 1, **square(image["id"], category_id, [x, y, 12, 12]), **area}
            truth["annotations"].append(note)
            moved = [x + int(rng.integers(-2, 3)), y + int(rng.integers(-2, 3)), 12, 12]
            results.append({**square(image["id"], category_id, moved), "score": float(rng.uniform(0.3, 1))})
    return truth, results


@pytest.fixture
def evaluate(run_tool, tmp_path):
    """A function: truth, results and options -> (exit code, printed, error, results.json)."""

    def run(truth, results, *options):
        for name, content in (("truth", truth), ("results", results)):
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        command = ("--predictions", tmp_path / "results.json", "--ground-truth", tmp_path / "truth.json")
        answer = run_tool("evaluate", *command, "--output", tmp_path / "scores", *options)
        path = tmp_path / "scores/results.json"
        return *answer, json.loads(path.read_text()) if path.exists() else None

    return run


def numbers(record):
    """Task -> metric -> percent."""
    return next(iter(record["results"].values()))


def test_both_backends_give_the_same(evaluate):
    truth, results = scene()
    found = [numbers(evaluate(truth, results, "--backend", name)[3]) for name in ("hotcoco", "pycocotools")]
    assert found[0]["segm"]["AP"] > 20
    for task in ("bbox", "segm"):
        assert found[0][task] == pytest.approx(found[1][task], abs=1e-10, nan_ok=True)


def test_ap_has_an_interval_and_a_comparison_a_verdict(evaluate, tmp_path):
    truth, results = scene(60)
    poor = [{**r, "score": 1.3 - r["score"]} if n % 3 else square(r["image_id"], 1, [0, 0, 9, 9]) | {"score": 0.99}
            for n, r in enumerate(results)]  # fmt: skip
    (tmp_path / "poor.json").write_text(json.dumps(poor))
    code, out, error, record = evaluate(truth, results, "--compare", tmp_path / "poor.json")
    assert code == 0, error
    interval = record["intervals"]["mask AP"]
    assert interval["low"] < interval["value"] < interval["high"]
    assert interval["value"] == pytest.approx(numbers(record)["segm"]["AP"], abs=1e-9)
    assert record["differences"]["mask AP"]["verdict"] == "better"
    assert "better" in out
    (tmp_path / "same.json").write_text(json.dumps(results))
    same = evaluate(truth, results, "--compare", tmp_path / "same.json")[3]["differences"]["box AP"]
    assert (same["value"], same["verdict"]) == (0, "unchanged")


def test_classes_have_intervals_of_their_own(evaluate):
    truth, results = scene(20)
    code, _, error, record = evaluate(truth, results, "--class-intervals")
    assert code == 0, error
    for name in NAMES:
        found = record["class_intervals"]["segm"][name]
        assert found["low"] <= found["value"] <= found["high"]
        assert found["value"] == pytest.approx(numbers(record)["segm"][f"AP-{name}"], abs=1e-9)


def test_causes_confusions_and_reasons_are_said(evaluate):
    truth, results = scene()
    wrong = [r | {"category_id": 2} if r["category_id"] == 1 and n % 2 else r for n, r in enumerate(results)]
    code, out, error, record = evaluate(truth, wrong)
    assert code == 0, error
    causes = record["causes"]["segm"]["causes"]
    assert next(iter(causes)) == "class"
    assert "cat      dog" in out
    assert record["undefined"]["segm"]["APl"] == "no large object in the ground truth"
    assert "no large object in the ground truth (AP @[ IoU=0.50:0.95 | large ]" in out
    assert numbers(record)["segm"]["APl"] is None


def test_files_for_people_and_programs(evaluate, tmp_path):
    truth, results = scene()
    code, out, error, record = evaluate(truth, results, "--csv", "--markdown", "--curves", "--iou", "0.3", "0.9")
    assert code == 0, error
    rows = list(csv.DictReader((tmp_path / "scores/results.csv").open()))
    mask_ap = next(row for row in rows if (row["task"], row["metric"]) == ("segm", "AP"))
    assert float(mask_ap["percent"]) == numbers(record)["segm"]["AP"]
    assert float(mask_ap["low"]) == record["intervals"]["mask AP"]["low"]
    assert {"AP@0.30", "AP@0.90"} <= {row["metric"] for row in rows}
    assert numbers(record)["segm"]["AP@0.30"] >= numbers(record)["segm"]["AP50"] >= numbers(record)["segm"]["AP@0.90"]
    page = (tmp_path / "scores/results.md").read_text()
    assert "| AP of cat" in page and "| mask AP" in page
    points = list(csv.DictReader((tmp_path / "scores/curves.csv").open()))
    one = [p for p in points if (p["task"], p["iou"], p["category"]) == ("segm", "0.50", "cat")]
    assert len(one) == 101
    mean = np.mean([float(p["precision"]) for p in one])
    at_50 = np.mean([float(p["precision"]) for p in points if (p["task"], p["iou"]) == ("segm", "0.50")])
    assert 0 < mean <= 1
    assert 100 * at_50 == pytest.approx(numbers(record)["segm"]["AP50"])
    assert cv2.imread(str(tmp_path / "scores/curves.png")) is not None
    assert "best threshold of" in out


def test_more_detections_than_coco_counts_get_a_second_row(evaluate):
    truth, results = scene(2)
    clutter = [{**square(1, 1, [n % 50, n % 40, 5, 5]), "score": 0.95} for n in range(150)]
    code, out, error, record = evaluate(truth, clutter + results)
    assert code == 0, error
    cap = sum(r["image_id"] == 1 for r in clutter + results)
    assert f"AP@{cap}dets" in numbers(record)["segm"]
    assert f"{cap} detections" in out
    assert numbers(record)["segm"][f"AP@{cap}dets"] >= numbers(record)["segm"]["AP"]


def test_lenient_counts_what_it_leaves_out(evaluate):
    truth, results = scene()
    odd = copy.deepcopy(results[:3])
    odd[0]["image_id"], odd[1]["category_id"], odd[2]["score"] = 999, 77, float("nan")
    code, _, error, record = evaluate(truth, results + odd)
    assert code == 2
    assert_one_line(error, f"[{len(results)}]", "999", "results.json")
    assert record is None
    code, out, error, record = evaluate(truth, results + odd, "--lenient")
    assert code == 0, error
    assert numbers(record) == numbers(evaluate(truth, results)[3])
    for words in (
        "detections of unknown images",
        "detections of unknown categories",
        "detections without a usable score",
    ):
        assert f"1 x {words}" in out


def test_results_in_a_dictionary_are_recognised(evaluate):
    truth, results = scene(2)
    code, _, error, _ = evaluate(truth, {"annotations": results})
    assert code == 2
    assert_one_line(error, "results.json", "the bare list")


def test_classes_shifted_by_one_are_recognised(evaluate):
    truth, results = scene()
    shifted = [r | {"category_id": r["category_id"] % 3 + 1} for r in results]
    code, out, error, record = evaluate(truth, shifted)
    assert code == 0, error
    right = numbers(evaluate(truth, results)[3])["segm"]["AP"]
    assert f"AP would be {right:.1f}" in " ".join(record["notes"])
    assert f"AP would be {right:.1f}" in out


def test_boundary_ap_is_an_extra(evaluate, monkeypatch):
    truth, results = scene(5)
    code, out, error, record = evaluate(truth, results, "--boundary")
    assert code == 0, error
    assert 0 < numbers(record)["boundary"]["AP"] <= numbers(record)["segm"]["AP"]
    assert "boundary" in out
    monkeypatch.setitem(sys.modules, "vernier", None)
    code, _, error, _ = evaluate(truth, results, "--boundary")
    assert code == 2
    assert_one_line(error, "pip install 'thingstuff[boundary]'")


def test_a_truth_in_lvis_format_gives_lvis_ap(evaluate):
    truth, results = scene()
    for category, frequency in zip(truth["categories"], "rcf", strict=True):
        category["frequency"] = frequency
    for image in truth["images"]:
        image |= {"neg_category_ids": [1, 2, 3], "not_exhaustive_category_ids": []}
    code, out, error, record = evaluate(truth, results)
    assert code == 0, error
    assert numbers(record)["segm"]["APr"] == pytest.approx(numbers(evaluate(*scene())[3])["segm"]["AP-cat"])
    assert "LVIS" in out


def test_cityscapes_is_left_to_its_own_tool(run_tool, evaluate, tmp_path):
    from detectron2.data import DatasetCatalog, MetadataCatalog

    evaluate(*scene(1))
    DatasetCatalog.register("tiny_cityscapes", list)
    MetadataCatalog.get("tiny_cityscapes").set(evaluator_type="cityscapes_instance", thing_classes=["car"])
    try:
        command = ("--predictions", tmp_path / "results.json", "--ground-truth", "tiny_cityscapes")
        code, _, error = run_tool("evaluate", *command, "--output", tmp_path / "scores")
    finally:
        DatasetCatalog.remove("tiny_cityscapes")
        MetadataCatalog.remove("tiny_cityscapes")
    assert code == 2
    assert_one_line(error, "cityscapesscripts")


def test_what_cannot_be_compared_is_said(evaluate, tmp_path):
    truth, results = scene(4)
    (tmp_path / "points.json").write_text(json.dumps([{k: v for k, v in r.items() if k != "bbox"} for r in results]))
    boxes = [{k: v for k, v in r.items() if k != "segmentation"} for r in results]
    code, _, error, _ = evaluate(truth, boxes, "--compare", tmp_path / "points.json")
    assert code == 2
    assert_one_line(error, "nothing to compare", "box AP", "mask AP")


def test_half_of_the_images_and_half_of_the_masks_are_pointed_out(evaluate):
    truth, results = scene(10)
    code, out, error, record = evaluate(truth, [r for r in results if r["image_id"] <= 5])
    assert code == 0, error
    assert "5 of the 10 images with objects have no detection" in out
    mixed = [{k: v for k, v in r.items() if n or k != "segmentation"} for n, r in enumerate(results)]
    code, out, error, record = evaluate(truth, mixed)
    assert code == 0, error
    assert set(numbers(record)) == {"bbox"}
    assert f"1 of {len(results)} predictions have no 'segmentation'" in out


def test_an_output_that_cannot_be_written_is_found_before_the_work(evaluate, tmp_path):
    (tmp_path / "scores").write_text("a file")
    code, out, error, _ = evaluate(*scene(2))
    assert code == 2
    assert_one_line(error, "--output")
    assert out == ""


def test_a_class_name_with_a_bar_stays_in_its_cell(evaluate, tmp_path):
    truth, results = scene(3)
    truth["categories"][0]["name"] = "cat|tiger"
    code, _, error, _ = evaluate(truth, results, "--markdown")
    assert code == 0, error
    rows = [line for line in (tmp_path / "scores/results.md").read_text().splitlines() if line.startswith("|")]
    table = rows[: next(n for n, row in enumerate(rows) if "AP of bird" in row) + 1]
    assert {row.replace("\\|", "").count("|") for row in table} == {4}
