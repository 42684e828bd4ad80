"""AP by stages of a merge: a scene in which each step takes one known instance, and pycocotools on every stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from coco_scenes import SIDE, run_pycocotools, text_rle
from merged_scenes import (
    CAT,
    CATEGORIES,
    DOG,
    FEW_DRAWS,
    IMAGES,
    LETTERS,
    TRUTH,
    bitmap,
    detected,
    fields_of,
    merged,
    numbers_of,
    random_images,
    truth_of,
)
from pycocotools import mask as mask_utils

from thingstuff.errors import ConfigError
from thingstuff.evaluation import CocoTruth
from thingstuff.evaluation.merge_cost import OUTCOMES, STAGES, MergeCostOptions, OutcomeCount, merge_cost
from thingstuff.evaluation.merged_instances import MergedImage, things_of
from thingstuff.merge import merge


def assert_numbers(stage, expected):
    assert dict(stage.ap.numbers) == pytest.approx(expected, abs=1e-9, nan_ok=True)


# ---- the made scene --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cost():
    return merge_cost(IMAGES, TRUTH, options=FEW_DRAWS)


def left_of_c():
    return mask_utils.encode(np.asfortranarray(bitmap(LETTERS["c"][1]) & ~bitmap(LETTERS["a"][1]), np.uint8))


def test_each_stage_is_pycocotools_on_what_is_left(cost):
    everything = {letter: detected(letter).to_coco(1)[0] for letter in "abcd"}
    eroded = {**everything["c"], "segmentation": left_of_c(), "bbox": mask_utils.toBbox(left_of_c()).tolist()}
    left = {"instances": "abcd", "confidence": "abc", "overlap": "ac"}
    expected = {stage: [everything[one] for one in letters] for stage, letters in left.items()}
    expected["panoptic"] = [everything["a"], eroded]
    assert tuple(cost.stages) == tuple(expected) == STAGES
    for stage, records in expected.items():
        assert cost.stages[stage].detections == len(records)
        assert_numbers(cost.stages[stage], numbers_of(TRUTH, records))


def test_costs_are_written_out(cost):
    """Cats: a and d of three are found, then a. Dogs: b and c of two, then c, then c with IoU 2/3 (4 of 10 IoUs).

    One of n objects reaches the recalls 0, 0.01, ... 1/n: 34 of the 101 for a third, 51 for a half, 67 for two thirds.
    """
    third, half, two_thirds = 34 / 101, 51 / 101, 67 / 101
    assert cost.stages["instances"].ap.per_category == pytest.approx(
        {"cat": two_thirds, "dog": 1, "sky": np.nan}, nan_ok=True
    )
    assert cost.cost("instances") == 0
    assert cost.cost("confidence") == pytest.approx((third - two_thirds) / 2)
    assert cost.cost("overlap") == pytest.approx((half - 1) / 2)
    assert cost.cost("panoptic") == pytest.approx((0.4 * half - half) / 2)
    assert cost.cost("panoptic", "AP50") == 0
    for number in ("AP", "AP50", "APm"):
        assert sum(cost.cost(stage, number) for stage in STAGES) == pytest.approx(cost.whole_cost(number), abs=1e-15)


def test_what_became_of_the_instances(cost):
    assert cost.outcomes == {
        "kept": OutcomeCount(1, 1, 0),
        "eroded": OutcomeCount(1, 1, 0),
        "confidence": OutcomeCount(1, 1, 1),
        "overlap": OutcomeCount(1, 1, 1),
        "covered": OutcomeCount(0, 0, 0),
    }


def test_an_eroded_instance_may_be_lost():
    """The object is 43 columns wide: c with its 30 has IoU 30/43, which is above 0.5; the 20 left of it have 20/43."""
    wide = mask_utils.encode(np.asfortranarray(bitmap((30, 0, 73, 40)), np.uint8))
    annotations = [{**a, "segmentation": text_rle(wide)} if a["id"] == 3 else a for a in TRUTH["annotations"]]
    outcomes = merge_cost(IMAGES, {**TRUTH, "annotations": annotations}, options=FEW_DRAWS).outcomes
    assert outcomes["eroded"] == OutcomeCount(1, 1, 1)


def test_intervals_are_of_the_costs(cost):
    assert tuple(cost.intervals) == (*STAGES[1:], "whole")
    for stage in STAGES[1:]:
        found = cost.intervals[stage]
        assert found.value == pytest.approx(cost.cost(stage))
        assert not found.low > found.value and not found.high < found.value  # NaN where the draws allow none
    assert cost.intervals["whole"].value == pytest.approx(cost.whole_cost())
    assert cost.compare("panoptic", "instances", "dog").value == pytest.approx((0.4 * 51 - 101) / 101)
    with pytest.raises(ConfigError, match="no category 'horse', expected one of dog, cat, sky"):
        cost.compare("panoptic", "instances", "horse")


def test_a_truth_that_is_read_already_and_other_category_ids(cost):
    read = merge_cost(IMAGES, CocoTruth.read(TRUTH, "segm"), options=FEW_DRAWS)
    assert [read.cost(stage) for stage in STAGES] == [cost.cost(stage) for stage in STAGES]
    swapped = {CAT: DOG, DOG: CAT}
    other = {**TRUTH, "annotations": [{**a, "category_id": swapped[a["category_id"]]} for a in TRUTH["annotations"]]}
    moved = merge_cost(IMAGES, other, options=replace(FEW_DRAWS, category_ids=swapped))
    assert moved.outcomes == cost.outcomes
    assert [moved.cost(stage) for stage in STAGES] == [cost.cost(stage) for stage in STAGES]
    assert MergeCostOptions().category_ids == {}


def test_equal_scores_go_by_input_order():
    """Two equal cats: the merge keeps the first one, in AP it finds the object, and the second one is false."""
    twins = merged(1, detected("aa"))
    truth = truth_of({1: "a"})
    cost = merge_cost([twins], truth)
    assert cost.outcomes["overlap"] == OutcomeCount(1, 0, 0)
    assert cost.outcomes["kept"] == OutcomeCount(1, 1, 0)
    assert_numbers(cost.stages["instances"], numbers_of(truth, twins.detections))
    assert cost.whole_cost() == 0


def test_without_detections_or_truth_there_is_no_cost():
    empty = merged(1, detected(""))
    nothing_found = merge_cost([empty], truth_of({1: "ab"}))
    assert (nothing_found.stages["panoptic"].ap.numbers["AP"], nothing_found.whole_cost()) == (0, 0)
    undefined = merge_cost([empty], truth_of({1: ""}))
    assert np.isnan(undefined.whole_cost()) and np.isnan(undefined.intervals["whole"].value)


# ---- random scenes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_stages_of_random_scenes_equal_pycocotools(seed, iou_type):
    truth, images = random_images(seed)
    cost = merge_cost(images, truth, iou_type, FEW_DRAWS)
    left = {"instances": [], "confidence": [], "overlap": []}
    for image in images:
        for entry in image.ledger:
            if entry["kind"] != "instance":
                continue
            record = image.detections[entry["index"]]
            left["instances"].append(record)
            left["confidence"] += [record] if entry["reason"] != "confidence" else []
            left["overlap"] += [record] if entry["outcome"] != "dropped" else []
    left["panoptic"] = [record for image in images for record in things_of(image.panoptic, image.image_id)]
    for stage, records in left.items():
        assert cost.stages[stage].detections == len(records)
        if records:
            assert_numbers(cost.stages[stage], numbers_of(truth, records, iou_type))


@pytest.mark.parametrize("seed", range(8))
def test_true_and_lost_ones_are_those_that_pycocotools_matches(seed):
    truth, images = random_images(seed)
    things = [(image.image_id, s.id) for image in images for s in image.panoptic.segments if s.isthing]
    left = [record for image in images for record in things_of(image.panoptic, image.image_id)]
    true = matched_places(truth, [record for image in images for record in image.detections])
    true_after = {things[place] for place in matched_places(truth, left)}
    expected = {name: [0, 0, 0] for name in OUTCOMES}
    place = 0
    for image in images:
        for entry in sorted((e for e in image.ledger if e["kind"] == "instance"), key=lambda e: e["index"]):
            count = expected[entry["reason"] or entry["outcome"]]
            is_lost = (image.image_id, entry["segment_id"]) not in true_after
            count[:] = count[0] + 1, count[1] + (place in true), count[2] + (place in true and is_lost)
            place += 1
    outcomes = merge_cost(images, truth, options=FEW_DRAWS).outcomes
    assert outcomes == {name: OutcomeCount(*count) for name, count in expected.items()}


def matched_places(truth, records):
    """Places of the records that pycocotools, which counts them from 1, matches at IoU 0.5."""
    evaluation = run_pycocotools(truth, fields_of(records, "segm"), "segm")[0]
    found = set()
    for one in evaluation.evalImgs:
        if one is not None and one["aRng"] == evaluation.params.areaRng[0]:
            is_true = (one["dtMatches"][0] > 0) & ~one["dtIgnore"][0]
            found |= {number - 1 for number, true in zip(one["dtIds"], is_true, strict=True) if true}
    return found


def test_the_101st_of_an_image_and_category_is_not_true():
    """COCO looks at 100, so the last of 101 finds nothing, though its mask is the object's."""
    letters = ["b"] * 100 + ["c"]
    image = MergedImage(1, detected(letters, {"b": 0.9, "c": 0.2}).to_coco(1), *ledger_of(letters))
    outcomes = merge_cost([image], truth_of({1: "c"}), options=FEW_DRAWS).outcomes
    assert outcomes["confidence"] == OutcomeCount(1, 0, 0)
    closer = MergedImage(1, detected(letters[1:], {"b": 0.9, "c": 0.2}).to_coco(1), *ledger_of(letters[1:]))
    outcomes = merge_cost([closer], truth_of({1: "c"}), options=FEW_DRAWS).outcomes
    assert outcomes["confidence"] == OutcomeCount(1, 1, 1)


def ledger_of(letters):
    panoptic, ledger = merge(detected(letters, {"b": 0.9, "c": 0.2}), np.ones((SIDE, SIDE), np.uint16), CATEGORIES)
    return panoptic, list(ledger.records())
