"""The things of a panoptic map as COCO results, and images whose ledger, map and detections do not belong together."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from merged_scenes import (
    CAT,
    CATEGORIES,
    DOG,
    FEW_DRAWS,
    IMAGES,
    SKY,
    TRUTH,
    detected,
    merged,
    numbers_of,
    random_images,
)
from pycocotools import mask as mask_utils

from thingstuff.errors import ConfigError, DataError
from thingstuff.evaluation import evaluate_coco
from thingstuff.evaluation.merge_cost import merge_cost
from thingstuff.evaluation.merged_instances import things_of
from thingstuff.structures import PanopticMap

# ---- the things of a map -----------------------------------------------------------------------------------------


def test_things_are_the_pixels_scores_and_tight_boxes_of_the_map():
    panoptic = IMAGES[0].panoptic
    things = things_of(panoptic, "one")
    segments = [segment for segment in panoptic.segments if segment.isthing]
    assert [t["image_id"] for t in things] == ["one", "one"]
    for thing, segment in zip(things, segments, strict=True):
        assert np.array_equal(mask_utils.decode(thing["segmentation"]), panoptic.ids == segment.id)
        assert thing["bbox"] == mask_utils.toBbox(thing["segmentation"]).tolist()
        assert (thing["category_id"], thing["score"]) == (segment.category_id, segment.score)


def test_crowds_and_stuff_are_no_things_and_no_score_is_1():
    ids = np.array([[1, 2, 3, 0]], np.uint32)
    panoptic = PanopticMap.from_labels(ids, {1: CAT, 2: DOG, 3: SKY}, CATEGORIES, crowd_ids={1})
    assert [(t["category_id"], t["score"]) for t in things_of(panoptic, 5)] == [(DOG, 1.0)]
    assert things_of(merged(1, detected("")).panoptic, 5) == []


@pytest.mark.parametrize("seed", range(3))
def test_exported_things_give_the_same_ap_in_pycocotools(tmp_path, seed):
    truth, images = random_images(seed)
    things = [record for image in images for record in things_of(image.panoptic, image.image_id)]
    (tmp_path / "things.json").write_text(json.dumps(things))
    expected = numbers_of(truth, json.loads((tmp_path / "things.json").read_text()))
    found = evaluate_coco(truth, tmp_path / "things.json", "segm")
    assert dict(found.numbers) == pytest.approx(expected, abs=1e-9, nan_ok=True)
    stage = merge_cost(images, truth, options=FEW_DRAWS).stages["panoptic"]
    assert dict(stage.ap.numbers) == pytest.approx(expected, abs=1e-9, nan_ok=True)


# ---- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"panoptic": None}, "image 1 has no panoptic map: predict with PANOPTIC.ENABLED True"),
        ({"ledger": None}, "image 1 has a panoptic map but no ledger: it was not merged from instances"),
        ({"detections": None}, "image 1 has a panoptic map but no instances"),
        ({"detections": []}, "image 1: the ledger tells of 4 instances, which are not the 0 that were detected"),
        ({"ledger": []}, "image 1: the ledger tells of 0 instances, which are not the 4 that were detected"),
        (
            {"ledger": [{"kind": "instance", "index": 0}]},
            r"image 1: ledger: expected the keys .* got \['index', 'kind'\]",
        ),
        ({"panoptic": IMAGES[1].panoptic}, "image 1: thing 1 is in the ledger only: the two are not of one merge"),
        ({"detections": detected("bbcd").to_coco(1)}, "image 1: the ledger tells of 4 instances, which are not the 4"),
    ],
)
def test_images_that_tell_no_cost_are_refused(changes, message):
    image = replace(IMAGES[0], **changes)
    with pytest.raises(DataError, match=message):
        merge_cost([image], TRUTH)


def test_a_map_with_more_things_than_its_ledger_is_refused():
    ledger = merged(1, detected("")).ledger
    image = replace(IMAGES[0], detections=[], ledger=ledger)
    with pytest.raises(DataError, match="image 1: thing 1 is in the panoptic map only"):
        merge_cost([image], TRUTH)


def test_no_image_twice_the_same_and_unknown_ones_are_refused():
    with pytest.raises(DataError, match="there is no image, so nothing was merged"):
        merge_cost([], TRUTH)
    with pytest.raises(DataError, match="image 1 is there twice"):
        merge_cost([IMAGES[0], IMAGES[0]], TRUTH)
    with pytest.raises(DataError, match="image_id 9 is not in the ground truth"):
        merge_cost([merged(9, detected("a"))], TRUTH)
    with pytest.raises(ConfigError, match="iou_type is 'keypoints', expected one of segm, bbox"):
        merge_cost(IMAGES, TRUTH, "keypoints")
