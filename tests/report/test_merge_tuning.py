"""Tuning the greedy rule: what is shared between rules changes nothing, and the best is the best."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from thingstuff.errors import DataError, SetupError
from thingstuff.evaluation import CocoPanoptic, CocoTruth, PanopticCounts, evaluate_coco
from thingstuff.evaluation.bootstrap import Difference, compare, panoptic_pq
from thingstuff.evaluation.merged_instances import things_of
from thingstuff.merge import Greedy, merge
from thingstuff.report.merge_grid import MergeGrid
from thingstuff.report.merge_images import Crew, StoredImages
from thingstuff.report.merge_sweep import count_rules, layouts
from thingstuff.report.merge_tuning import (
    MOST_AP,
    Held,
    TuningData,
    TuningOptions,
    tune_merge,
)
from thingstuff.report.merge_tuning_report import MergeTuningReport
from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.structures import VOID, Categories, Category, Detections, MaskCrops, PanopticMap

CATEGORIES = Categories(
    (Category(3, "cat"), Category(1, "sky", False), Category(7, "dog"), Category(5, "grass", False))
)
HEIGHT, WIDTH = 24, 32
GRID = MergeGrid((0.0, 0.3, 0.5, 0.7, 0.9, 1.0), (0.0, 0.25, 0.5, 0.75, 1.0), (0, 0.05, 0.3, 1, 40, 400))


def random_scene(rng, instances=6):
    """Overlapping rectangles with tied scores, stuff in blocks with void, and a truth made of shifted rectangles."""
    bitmaps = np.zeros((instances, HEIGHT, WIDTH), np.uint8)
    true_ids = np.kron(rng.integers(0, 3, (3, 4)), np.ones((8, 8), int)).astype(np.uint32)
    category_of = {1: 1, 2: 5}
    for number in range(instances):
        y, x = rng.integers(0, HEIGHT - 8), rng.integers(0, WIDTH - 8)
        h, w = rng.integers(3, 9, 2)
        bitmaps[number, y : y + h, x : x + w] = 1
        if rng.random() < 0.7:
            true_ids[y + rng.integers(0, 2) : y + h, x : x + w] = 10 + number
            category_of[10 + number] = int(rng.choice([3, 7]))
    present = set(np.unique(true_ids).tolist())
    known = {i: c for i, c in category_of.items() if i in present}
    crowds = {i for i in known if i >= 10 and rng.random() < 0.15}
    truth = PanopticMap.from_labels(true_ids, known, CATEGORIES, crowd_ids=crowds)
    scores = rng.choice([0.2, 0.3, 0.5, 0.7, 0.71, 0.95], instances).astype(np.float32)
    category_ids = np.array([category_of.get(10 + n, 3) for n in range(instances)], np.int64)
    masks = MaskCrops.from_bitmaps(bitmaps)
    detections = Detections(masks, masks.boxes_xyxy.astype(np.float32), scores, category_ids)
    stuff = np.kron(rng.choice([0, 1, 2, 2, VOID], (6, 8)), np.ones((4, 4), int)).astype(np.uint16)
    return detections, stuff, truth


def plain_counts(detections, stuff, truth, rule):
    """C x 4 by one merge and one count."""
    one = PanopticCounts.empty(CATEGORIES).add(merge(detections, stuff, CATEGORIES, rule)[0], truth)
    return np.stack([one.tp, one.fp, one.fn, one.iou_sum], axis=1)


@pytest.mark.parametrize("seed", range(6))
def test_each_rule_counts_what_its_own_merge_counts(seed):
    detections, stuff, truth = random_scene(np.random.default_rng(seed), instances=(6, 12, 1)[seed % 3])
    rules = GRID.rules(Greedy())
    found, places = layouts(detections, stuff, CATEGORIES, rules)
    shared = count_rules(found, places, rules, truth, CATEGORIES)
    assert len(found) < len(rules) / 6  # no merge for each area limit
    for rule, counts, place in zip(rules, shared.each(), places, strict=True):
        assert np.array_equal(counts, plain_counts(detections, stuff, truth, rule)), rule
        assert things_of(found[place].panoptic, 1) == things_of(merge(detections, stuff, CATEGORIES, rule)[0], 1)


def test_values_that_equal_a_threshold():
    """Half of the second instance is taken, a third is taken wholly, and the sky has exactly the limit."""
    bitmaps = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    bitmaps[0, :8, :8] = bitmaps[1, :8, 4:12] = bitmaps[2, 2:4, 2:4] = 1
    masks = MaskCrops.from_bitmaps(bitmaps)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    detections = Detections(masks, masks.boxes_xyxy.astype(np.float32), scores, np.array([3, 3, 7]))
    stuff = np.ones((HEIGHT, WIDTH), np.uint16)
    truth = PanopticMap.from_labels(stuff.astype(np.uint32), {1: 1}, CATEGORIES)
    free_px = HEIGHT * WIDTH - 64 - 32
    for overlaps in ((0.4, 0.5, 0.6, 1.0), (1.0, 0.6, 0.5, 0.4)):
        rules = [Greedy(o, a, 0.0) for o in overlaps for a in (free_px, free_px + 1, free_px / (HEIGHT * WIDTH))]
        found, places = layouts(detections, stuff, CATEGORIES, rules)
        assert len(found) == 2
        shared = count_rules(found, places, rules, truth, CATEGORIES)
        for rule, counts in zip(rules, shared.each(), strict=True):
            assert np.array_equal(counts, plain_counts(detections, stuff, truth, rule)), rule


def test_an_image_without_instances_and_a_map_of_void():
    _, _, truth = random_scene(np.random.default_rng(0))
    detections, stuff = Detections.from_coco([], HEIGHT, WIDTH), np.full((HEIGHT, WIDTH), VOID, np.uint16)
    rules = GRID.rules(Greedy())
    found, places = layouts(detections, stuff, CATEGORIES, rules)
    assert len(found) == 1
    missed = plain_counts(detections, stuff, truth, Greedy())
    assert np.array_equal(count_rules(found, places, rules, truth, CATEGORIES).each(), [missed] * len(rules))
    assert missed[:, :2].sum() == 0


# ---- stores ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A store of 9 images and their truth, of panoptic maps and of instances."""
    folder, rng = tmp_path_factory.mktemp("tuning"), np.random.default_rng(5)
    (folder / "truth").mkdir()
    panoptic, notes, images = [], [], []
    with StoreWriter.open(folder / "store", StoreMeta("c", "w", CATEGORIES)) as writer:
        for image_id in range(100, 109):
            detections, stuff, truth = random_scene(rng)
            key = f"{image_id}.png"
            writer.append(PredictedImage(key, HEIGHT, WIDTH, image_id, detections, stuff))
            info = truth.write_coco(folder / "truth" / key)
            panoptic.append({"image_id": image_id, "file_name": key, "segments_info": info})
            images.append({"id": image_id, "file_name": key, "height": HEIGHT, "width": WIDTH})
            notes += [
                {**r, "id": 1 + len(notes) + n, "iscrowd": 0, "area": s.area}
                for n, (r, s) in enumerate(
                    zip(
                        things_of(truth, image_id),
                        [s for s in truth.segments if s.isthing and not s.iscrowd],
                        strict=True,
                    )
                )
            ]
    common = {"images": images, "categories": CATEGORIES.to_coco()}
    (folder / "truth.json").write_text(json.dumps({**common, "annotations": panoptic}))
    things = [{"id": c.id, "name": c.name} for c in CATEGORIES.things]
    instances = CocoTruth.read({"images": images, "categories": things, "annotations": notes}, "segm")
    store, truth = Store.open(folder / "store"), CocoPanoptic.open(folder / "truth.json")
    return TuningData(StoredImages(store, truth, {e.image_id: e.key for e in store.entries}), instances)


def direct_quality(data, image_ids, rule):
    """PQ in percent by a merge and a count of each image, and the things for AP."""
    counts, things = PanopticCounts.empty(CATEGORIES), []
    for image_id in image_ids:
        image = data.images.store.read(data.images.keys[image_id])
        panoptic, _ = merge(image.detections, image.stuff_map, CATEGORIES, rule)
        counts = counts.add(panoptic, data.images.truth.read(image_id))
        things += things_of(panoptic, image_id)
    return counts.scores().percent(), things


@pytest.mark.parametrize("metric", ["PQ", "PQ_th", "PQ_st"])
def test_the_best_is_the_best(data, metric):
    found = tune_merge(data, Greedy(), GRID, TuningOptions(metric))
    assert [one.rule for one in found.tried] == list(GRID.rules(Greedy()))
    direct = [direct_quality(data, found.tuning_ids, one.rule)[0] for one in found.tried]
    for one, quality in zip(found.tried, direct, strict=True):
        assert one.quality == pytest.approx({name: quality[name] for name in one.quality})
    highest = max(quality[metric] for quality in direct)
    assert direct[found.best][metric] == pytest.approx(highest)
    equals = [quality["PQ"] for quality in direct if quality[metric] == pytest.approx(highest)]
    assert direct[found.best]["PQ"] == pytest.approx(max(equals))


def test_ap_is_that_of_the_things_that_are_left(data):
    found = tune_merge(data, Greedy(), GRID, TuningOptions())
    measured = [n for n, one in enumerate(found.tried) if one.ap is not None]
    assert {0, found.best} <= set(measured)
    assert len(measured) == MOST_AP
    assert set(found.front) <= set(measured)
    truth = data.instances
    kept = {truth.ids.images[i] for i in found.tuning_ids}
    half = replace(truth, truths=[t for t in truth.truths if t["image_id"] in kept])
    for n in measured[:5]:
        _, things = direct_quality(data, found.tuning_ids, found.tried[n].rule)
        assert found.tried[n].ap == pytest.approx(100 * evaluate_coco(half, things, "segm").numbers["AP"])


def test_the_other_half_judges(data):
    found = tune_merge(data, Greedy(), GRID, TuningOptions(seed=3, draws=50))
    assert found.best
    pair = [direct_quality(data, found.held_ids, rule)[0] for rule in (found.present_rule, found.best_rule)]
    for name in ("PQ", "PQ_th", "PQ_st"):
        assert (found.held[name].present, found.held[name].best) == pytest.approx([q[name] for q in pair])
        assert found.held[name].difference.value == pytest.approx(pair[1][name] - pair[0][name])
    counts = [
        [
            plain_counts(image.detections, image.stuff_map, data.images.truth.read(image.image_id), rule)
            for image in map(data.images.store.read, (data.images.keys[i] for i in found.held_ids))
        ]
        for rule in (found.best_rule, found.present_rule)
    ]
    expected = compare(*map(panoptic_pq, counts), len(found.held_ids), draws=50, seed=3)
    difference = found.held["PQ"].difference
    assert (difference.low, difference.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert difference.verdict == expected.verdict


def test_two_processes_find_what_one_finds(data):
    grid = MergeGrid((0.3, 0.7), (0.5,), (0, 40))
    one, two = (tune_merge(data, Greedy(), grid, TuningOptions(workers=n, draws=20)) for n in (1, 2))
    reports = [MergeTuningReport("store", "truth", found, "said").record() for found in (one, two)]
    for report in reports:
        report["settings"].pop("workers")
    assert reports[0] == reports[1]


def test_what_is_wrong_in_another_process_is_said_here(data):
    lacking = replace(data, images=replace(data.images, keys=dict.fromkeys(data.images.keys, "absent.png")))
    with pytest.raises(DataError, match=r"absent\.png"):
        tune_merge(lacking, Greedy(), MergeGrid((0.5,), (0.5,), (0,)), TuningOptions(workers=2))


def die(images, image_id):
    os._exit(image_id)


def test_a_process_that_dies_is_said_here(data):
    with Crew(data.images, 2) as crew, pytest.raises(SetupError, match="fewer --workers"):
        list(crew.map(die, [1, 2], "dying"))


def test_equals_leave_the_present_thresholds(data):
    found = tune_merge(data, Greedy(), MergeGrid((0.5,), (0.5,), (4096, 5000)), TuningOptions())
    assert found.best == 0
    assert not found.held
    report = MergeTuningReport("store", "truth", found, "said")
    assert "keep them" in report.text()
    assert "STUFF_AREA_LIMIT: 4096\n" in report.fragment()


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (Difference(1.25, 0.5, 2, "better"), "PQ 70.00 -> 71.25 on the 5 held-back images: +1.25 [0.50, 2.00], better"),
        (Difference(-1, -2, -0.5, "worse"), ": -1.00 [-2.00, -0.50], worse: keep the present thresholds"),
        (Difference(0.5, -1, 2, "undecided"), ": +0.50 [-1.00, 2.00], undecided: these images do not show that it"),
        (Difference(0, 0, 0, "unchanged"), "on the 5 held-back images: unchanged"),
        (Difference(1, float("nan"), float("nan"), "undecided"), ": +1.00 (too few images for an interval), undecided"),
        (
            Difference(float("nan"), float("nan"), float("nan"), "undecided"),
            "PQ is undefined on the 5 held-back images",
        ),
    ],
)
def test_the_verdict_in_words(data, difference, words):
    found = tune_merge(data, Greedy(), MergeGrid((0.5,), (0.5,), (0,)), TuningOptions(draws=20))
    said = replace(found, held={"PQ": Held(70.0, 71.25, difference)})
    assert words in MergeTuningReport("store", "truth", said, "said").sentences()[0]


def test_without_instance_truth_there_is_no_ap(data):
    found = tune_merge(replace(data, instances=None), Greedy(), GRID, TuningOptions())
    assert all(one.ap is None for one in found.tried)
    assert found.front == ()
    assert "AP" not in found.held
