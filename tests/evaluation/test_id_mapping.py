"""Which mistake made AP 0: each is planted, named and undone; models that are merely bad are not accused."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from thingstuff.evaluation import evaluate_coco
from thingstuff.evaluation.coco_input import read_coco_input
from thingstuff.evaluation.id_mapping import find_id_mistake
from thingstuff.evaluation.skips import Skips
from thingstuff.structures.rle import encode_crop

SIDE = 200
NAMES = ("cat", "dog", "bird", "car", "tree", "ship")
FIRST_ID = 1


def scene(seed, images=20, categories=6, noise=0.05):
    """Truth, and detections that find nearly every object, with boxes and masks of the boxes."""
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    for image_id in range(1, images + 1):
        for _ in range(rng.integers(2, 6)):
            label = {"image_id": image_id, "category_id": int(rng.integers(FIRST_ID, FIRST_ID + categories))}
            box = np.r_[rng.integers(0, SIDE - 80, 2), rng.integers(20, 80, 2)].astype(float)
            moved = np.clip((box + noise * rng.normal(0, 1, 4) * box[[2, 3, 2, 3]]).round(), 1, SIDE)
            moved[2:] = np.minimum(moved[2:], SIDE - moved[:2])
            annotations.append(
                {"id": len(annotations) + 1, **label, **shape(box), "area": box[2] * box[3], "iscrowd": 0}
            )
            results.append({**label, **shape(moved), "score": float(rng.uniform(0.3, 1))})
    truth = {
        "images": [{"id": i, "height": SIDE, "width": SIDE} for i in range(1, images + 1)],
        "categories": [{"id": FIRST_ID + k, "name": NAMES[k]} for k in range(categories)],
        "annotations": annotations,
    }
    return truth, results


def shape(box):
    x, y, width, height = (int(v) for v in box)
    rle = encode_crop(np.ones((height, width), np.uint8), x, y, SIDE, SIDE)
    return {"bbox": [float(v) for v in (x, y, width, height)], "segmentation": rle}


def mistake(truth, results, iou_type="bbox", skips=None):
    data = read_coco_input(truth, results, iou_type, skips=skips)
    return find_id_mistake(data, ap(truth, data_results(results, truth, skips), iou_type))


def data_results(results, truth, skips):
    known = {c["id"] for c in truth["categories"]}
    return [r for r in results if r["category_id"] in known] if skips else results


def ap(truth, results, iou_type="bbox"):
    return evaluate_coco(truth, results, iou_type).numbers["AP"]


def changed(results, change):
    return [{**r, **change(r)} for r in results]


def stated_ap(line):
    return float(re.search(r"AP would be ([\d.]+) with", line)[1])


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize(("step", "words"), [(-1, "before their own"), (1, "after their own")])
def test_ids_one_off(iou_type, step, words):
    """At the end of the list the shifted id is unknown, which a lenient reading leaves out."""
    truth, results = scene(1)
    skips = Skips()
    line = mistake(truth, changed(results, lambda r: {"category_id": r["category_id"] + step}), iou_type, skips)
    assert words in line and "shifted by one" in line and "\n" not in line
    assert ("counted from 0" in line) == (step == -1) and ("background" in line) == (step == 1)
    lost = FIRST_ID if step == -1 else FIRST_ID + len(NAMES) - 1
    whole = [r for r in results if r["category_id"] != lost]
    assert stated_ap(line) == pytest.approx(100 * ap(truth, whole, iou_type), abs=0.05)
    assert skips.counts == {"detections of unknown categories": len(results) - len(whole)}


def test_the_line_reads_as_a_sentence():
    truth, results = scene(1)
    everything = changed(results, lambda r: {"category_id": r["category_id"] - 1})
    line = mistake(truth, everything, skips=Skips())
    assert re.fullmatch(
        r"AP is 0\.\d, but \d+ % of the detections that lie on an object carry the category before their own "
        r"\('\w+' for '\w+', '\w+' for '\w+', \.\.\.\): were the ids counted from 0\? "
        r"AP would be [\d.]+ with the category ids shifted by one",
        line,
    )
    found, true = re.search(r"\('(\w+)' for '(\w+)'", line).groups()
    assert NAMES.index(found) == NAMES.index(true) - 1


@pytest.mark.parametrize("seed", range(3))
def test_names_in_another_order(seed):
    truth, results = scene(seed)
    order = {1: 4, 2: 6, 3: 5, 4: 2, 5: 1, 6: 3}
    line = mistake(truth, changed(results, lambda r: {"category_id": order[r["category_id"]]}))
    assert "are the names in another order than the ids?" in line
    assert stated_ap(line) == pytest.approx(100 * ap(truth, results), abs=0.05)


def test_all_one_category():
    truth, results = scene(2, categories=6)
    truth["annotations"] = [a for a in truth["annotations"] if a["category_id"] != 3] + truth["annotations"][:1]
    truth["annotations"] = [{**a, "id": n} for n, a in enumerate(truth["annotations"])]
    line = mistake(truth, changed(results, lambda r: {"category_id": 3}))
    assert f"all {len(results)} detections are 'bird' and the truth has " in line
    assert "the categories ignored" in line


@pytest.mark.parametrize(("step", "which"), [(-1, "before"), (1, "after")])
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_image_ids_one_off(step, which, iou_type):
    truth, results = scene(3)
    known = [r for r in results if 1 <= r["image_id"] + step <= 20]
    line = mistake(truth, changed(known, lambda r: {"image_id": r["image_id"] + step}), iou_type)
    assert f"under the image {which} theirs" in line
    assert stated_ap(line) == pytest.approx(100 * ap(truth, known, iou_type), abs=0.05)


def corners(r):
    x, y, width, height = r["bbox"]
    return [x, y, x + width, y + height]


def centres(r):
    x, y, width, height = r["bbox"]
    return [x + width / 2, y + height / 2, width, height]


def swapped(r):
    x0, y0, x1, y1 = corners(r)
    return [y0, x0, y1, x1]


@pytest.mark.parametrize("fractions", [False, True])
@pytest.mark.parametrize(
    ("write", "words"),
    [(corners, "x0, y0, x1, y1"), (centres, "centre x, centre y, width, height"), (swapped, "y0, x0, y1, x1")],
)
def test_boxes_in_another_format(write, words, fractions):
    truth, results = scene(4, noise=0.02)
    unit = SIDE if fractions else 1
    wrong = changed(results, lambda r: {"bbox": [v / unit for v in write(r)]})
    if not fractions and write is centres:
        wrong_ap = ap(truth, wrong)
        assert wrong_ap < 0.1
    line = mistake(truth, wrong)
    assert f"the boxes seem to be {words}" in line and ("in fractions of the image" in line) == fractions
    assert stated_ap(line) == pytest.approx(100 * ap(truth, results), abs=0.05)


def test_fractions_of_images_without_a_size():
    truth, results = scene(4)
    truth["images"] = [{"id": i["id"]} for i in truth["images"]]
    line = mistake(truth, changed(results, lambda r: {"bbox": [v / SIDE for v in r["bbox"]]}))
    assert "no box reaches beyond 1.5: are these fractions?" in line


# ---- never an accusation without a mistake -----------------------------------------------------------------------


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("categories", [1, 2, 6])
@pytest.mark.parametrize("seed", range(4))
def test_random_predictions(seed, categories, iou_type):
    truth, _ = scene(seed, categories=categories)
    _, other = scene(seed + 100, categories=categories, images=20)
    assert mistake(truth, other, iou_type) is None


@pytest.mark.parametrize("categories", [2, 3, 6])
@pytest.mark.parametrize("seed", range(4))
def test_random_categories(seed, categories):
    """Every object is found, and what it is is guessed."""
    truth, results = scene(seed, categories=categories, noise=0.15)
    rng = np.random.default_rng(seed)
    guessed = changed(results, lambda _: {"category_id": int(rng.integers(1, categories + 1))})
    assert find_id_mistake(read_coco_input(truth, guessed, "bbox"), min(ap(truth, guessed), 0.05)) is None


@pytest.mark.parametrize("noise", [0.2, 0.3, 0.5])
def test_weak_localisation(noise):
    truth, results = scene(5, noise=noise)
    assert mistake(truth, results) is None


def test_a_good_model_and_an_undefined_ap():
    truth, results = scene(6)
    data = read_coco_input(truth, results, "bbox")
    assert find_id_mistake(data, ap(truth, results)) is None
    assert find_id_mistake(data, math.nan) is None


def test_nothing_to_compare():
    truth, results = scene(7)
    assert find_id_mistake(read_coco_input(truth, [], "bbox"), 0) is None
    assert find_id_mistake(read_coco_input({**truth, "annotations": []}, results, "bbox"), 0) is None


def test_few_detections_prove_nothing():
    truth, results = scene(8, images=2)
    few = changed(results[:4], lambda r: {"category_id": r["category_id"] % 6 + 1})
    assert mistake(truth, few) is None
