"""The tables of what a merge costs: order, units, what is undefined, and what is said below them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from thingstuff.evaluation.merge_cost import MergeCostOptions, merge_cost
from thingstuff.evaluation.merged_instances import MergedImage
from thingstuff.evaluation.stuff_cost import StuffImage, stuff_cost
from thingstuff.files import write_json
from thingstuff.merge import Greedy, merge
from thingstuff.report.merge_cost_tables import merge_cost_record, merge_cost_tables
from thingstuff.structures import Categories, Category, Detections, MaskCrops

CATEGORIES = Categories((Category(7, "cat"), Category(3, "dog"), Category(40, "sky", isthing=False)))
SIDE = 40
COLUMNS = {"a": (7, 0, 20), "b": (7, 5, 20), "c": (7, 15, 30), "d": (3, 30, 40)}  # category id, first and last column
SCORES = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.3}


def detections():
    masks = np.zeros((len(COLUMNS), SIDE, SIDE), bool)
    for mask, (_, first, last) in zip(masks, COLUMNS.values(), strict=True):
        mask[:, first:last] = True
    crops = MaskCrops.from_bitmaps(masks)
    category_ids = np.array([category_id for category_id, _, _ in COLUMNS.values()], np.int64)
    scores = np.array(list(SCORES.values()), np.float32)
    return Detections(crops, crops.boxes_xyxy.astype(np.float32), scores, category_ids)


def scene():
    """Two images. Truth is a, c and d; b lies in a and goes, a third of c goes to a, d scores too little."""
    found, stuff_map = detections(), np.ones((SIDE, SIDE), np.uint16)
    panoptic, ledger = merge(found, stuff_map, CATEGORIES, Greedy(stuff_area_limit=0))
    records = list(ledger.records())
    images = [MergedImage(i, found.to_coco(i), panoptic, records) for i in (1, 2)]
    shapes = [r for i in (1, 2) for n, r in enumerate(found.to_coco(i)) if n != 1]
    annotations = [{**r, "id": n, "area": 600.0, "iscrowd": 0} for n, r in enumerate(shapes, 1)]
    truth = {
        "images": [{"id": i, "height": SIDE, "width": SIDE} for i in (1, 2)],
        "categories": [c for c in CATEGORIES.to_coco() if c["isthing"]],
        "annotations": [{k: v for k, v in a.items() if k != "score"} for a in annotations],
    }
    labels = np.where(np.arange(SIDE) < 20, 0, 1) * np.ones((SIDE, 1), np.int64)
    return images, truth, [StuffImage(i, stuff_map, panoptic, labels) for i in (1, 2)]


@pytest.fixture(scope="module")
def costs():
    images, truth, stuff = scene()
    cost = merge_cost(images, truth, options=MergeCostOptions(draws=20))
    return cost, stuff_cost(stuff, CATEGORIES, draws=20)


# Cats by score in two images: a a (true), b b (false), c c (true). Recall 1/2 (51 of 101) has precision 1, more 4/6.
# Without b all precision is 1. Then c has IoU 10/15, which is above 4 of the 10 thresholds.
CATS = 100 * (51 + 50 * 4 / 6) / 101
ERODED_CATS = 100 * (0.4 * 101 + 0.6 * 51) / 101


def test_stages_are_percent_and_costs_are_below_zero(costs):
    table = merge_cost_tables(*costs)[0]
    names, aps, changes, *_ = zip(*table.rows, strict=True)
    assert table.headers == ["stage", "mask AP", "cost", "95 % from", "to"]
    assert names[0] == "all instances" and names[-1] == "the whole merge"
    expected = [(CATS + 100) / 2, CATS / 2, 50, ERODED_CATS / 2]
    assert aps[:-1] == pytest.approx(expected, abs=0.005) and aps[-1] is None
    assert changes[0] is None
    assert changes[1:-1] == pytest.approx(np.diff(expected).tolist(), abs=0.005)
    assert changes[-1] == pytest.approx(expected[-1] - expected[0], abs=0.005)
    assert all(low <= change <= high for _, _, change, low, high in table.rows[1:])  # two equal images: no spread
    assert table.footnotes[0].startswith("cost: AP minus that of the stage before")


def test_sizes_and_categories_before_and_after(costs):
    table = merge_cost_tables(*costs)[1]
    rows = {name: row for name, *row in table.rows}
    assert list(rows) == ["small objects", "medium objects", "large objects", "dog", "cat"]
    assert rows["dog"] == pytest.approx([100, 0, -100, -100, -100])  # two equal images: no spread
    assert rows["cat"][:3] == pytest.approx([CATS, ERODED_CATS, ERODED_CATS - CATS], abs=0.005)
    assert rows["cat"][3] <= rows["cat"][2] <= rows["cat"][4]
    assert rows["small objects"][2:] == merge_cost_tables(*costs)[0].rows[-1][2:]  # the truth's areas are 600 px
    assert table.text().splitlines()[4].split() == ["large", "objects", *("-" * 5)]


def test_outcomes_are_counted(costs):
    table = merge_cost_tables(*costs)[2]
    assert table.rows == [
        ["kept whole", 2, 2, 0],
        ["eroded", 2, 2, 0],
        ["dropped: score below the threshold", 2, 2, 2],
        ["dropped: too much of it covered", 2, 0, 0],
        ["dropped: nothing of it left", 0, 0, 0],
    ]


def test_stuff_has_a_table_if_it_is_known(costs):
    """The raw map says sky everywhere; in the panoptic map cats have columns 0 to 30, of which 20 are things."""
    cost, stuff = costs
    assert len(merge_cost_tables(cost)) == 3
    table = merge_cost_tables(cost, stuff)[3]
    rows = {name: row for name, *row in table.rows}
    assert rows["things"] == pytest.approx([0, *[100 * 20 / 30] * 4], abs=0.005)  # two equal images: no spread
    assert rows["sky"] == pytest.approx([100 * 20 / 40, 100 * 10 / 20, 0, 0, 0])
    assert rows["mIoU"] == pytest.approx([25, 175 / 3, 100 / 3, 100 / 3, 100 / 3], abs=0.005)


def test_without_objects_all_is_undefined():
    images, truth, _ = scene()
    cost = merge_cost(images, {**truth, "annotations": []})
    table = merge_cost_tables(cost)[0]
    assert all(line.split()[-4:] == ["-"] * 4 for line in table.text().splitlines()[2:-2])


def test_another_rules_reason_has_a_row():
    images, truth, _ = scene()
    changed = [
        MergedImage(
            i.image_id, i.detections, i.panoptic, [e | {"reason": "tiny"} if e["reason"] else e for e in i.ledger]
        )
        for i in images
    ]
    table = merge_cost_tables(merge_cost(changed, truth, "bbox", MergeCostOptions(draws=2)))
    assert table[2].rows[-1] == ["dropped: tiny", 4, 2, 2]
    assert table[0].headers[1] == table[1].headers[0] == "box AP"


def test_records_are_percent_and_survive_json(costs, tmp_path):
    cost, stuff = costs
    record = merge_cost_record(cost, stuff)
    stages = record["stages"]
    assert {name: stage["detections"] for name, stage in stages.items()} == {
        "instances": 8,
        "confidence": 6,
        "overlap": 4,
        "panoptic": 4,
    }
    assert stages["instances"]["numbers"]["AP"] == pytest.approx((CATS + 100) / 2)
    assert stages["overlap"]["per_category"] == pytest.approx({"cat": 100, "dog": 0})
    assert stages["confidence"]["cost"]["value"] == pytest.approx(-50)
    assert stages["confidence"]["cost"]["verdict"] == "worse"
    assert "cost" not in stages["instances"]
    assert record["whole"]["value"] == pytest.approx(100 * cost.whole_cost())
    assert record["instances"]["overlap"] == {"instances": 2, "true": 0, "lost": 0}
    assert record["stuff"]["panoptic"]["per_class"]["things"] == pytest.approx(100 * 20 / 30)
    assert record["stuff"]["cost"]["value"] == pytest.approx(100 / 3)
    assert "stuff" not in merge_cost_record(cost)
    assert math.isnan(stages["instances"]["numbers"]["APl"])
    write_json(tmp_path / "cost.json", record)
    assert json.loads((tmp_path / "cost.json").read_text())["stages"]["instances"]["numbers"]["APl"] is None
