"""`tools/tune_merge.py`: thresholds from stored predictions, a fragment that configs take, and what cannot be tuned."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_one_line

from thingstuff.config import load_config
from thingstuff.engine.panoptic import rule_from_config
from thingstuff.evaluation import CocoPanoptic
from thingstuff.merge import Greedy, merge
from thingstuff.store import PredictedImage, StoreMeta, StoreWriter

RECIPE = "thingstuff://shapes/things_and_stuff.yaml"
MADE_WITH = Greedy(0.5, 0.01, 0.6)


@pytest.fixture(scope="module")
def truth(small_shapes):
    return CocoPanoptic.open(small_shapes / "annotations/panoptic_val.json", small_shapes / "panoptic_val")


@pytest.fixture(scope="module")
def predicted(truth):
    """The truth as predictions: of `shapes_val`, each thing with a score, and false copies of them that score 0.65."""
    rng, images = np.random.default_rng(0), []
    for image_id in truth.records:
        panoptic = truth.read(image_id)
        things = panoptic.to_detections()
        assert len(things)
        both = things[np.r_[np.arange(len(things)), 0]]
        scores = np.append(rng.uniform(0.7, 1, len(things)), 0.65).astype(np.float32)
        others = np.append(things.category_ids, 1 + things.category_ids[0] % 3)  # another of the things
        both = replace(both, scores=scores, category_ids=others)
        stuff = panoptic.stuff_map(truth.categories)
        _, ledger = merge(both, stuff, truth.categories, MADE_WITH)
        key = truth.png_path(image_id).name
        images.append(PredictedImage(key, *panoptic.ids.shape, image_id, both, stuff, ledger=tuple(ledger.records())))
    return images


@pytest.fixture
def write(tmp_path, truth):
    """A function: images -> a store of them."""

    def write(images, dataset="shapes_val"):
        folder = tmp_path / "store"
        with StoreWriter.open(folder, StoreMeta("c", "w", truth.categories, dataset=dataset)) as writer:
            for image in images:
                writer.append(image)
        return folder

    return write


@pytest.fixture
def tune(run_tool, tmp_path):
    """A function: store and options -> (exit code, printed, error, tune_merge.json)."""

    def run(store, *options):
        out = tmp_path / "tuned"
        answer = run_tool("tune_merge", store, "--output", out, "--workers", 1, "--draws", 20, *options)
        path = out / "tune_merge.json"
        return *answer, json.loads(path.read_text()) if path.exists() else None

    return run


def test_a_store_is_tuned_and_a_recipe_takes_the_thresholds(tune, write, predicted, tmp_path):
    grid = ("--confidence", 0, 0.68, 0.9, "--overlap", 1, 0.5, "--area", 0, 5000)
    code, out, error, found = tune(write(predicted), *grid)
    assert code == 0, error
    assert len(found["combinations"]) == 3 * 2 * 2 + 1
    assert len(found["tuning_images"]) == len(found["held_back_images"]) == len(predicted) // 2
    assert {p.name for p in (tmp_path / "tuned").iterdir()} == {
        "tune_merge.json",
        "best.yaml",
        "front.png",
        "front.svg",
    }
    best = max(found["combinations"], key=lambda one: one["PQ"])
    chosen = Greedy(**found["best"])
    assert best["PQ"] == pytest.approx(
        next(one["PQ"] for one in found["combinations"] if one.items() >= found["best"].items())
    )
    config = tmp_path / "tuned_recipe.yaml"
    config.write_text(f'_BASE_: ["{RECIPE}", "tuned/best.yaml"]\n')
    assert rule_from_config(load_config(config)) == chosen
    options = out[out.index("--opts") :].split()[1:]
    assert rule_from_config(load_config(RECIPE, options)) == chosen


def test_a_better_threshold_is_found_and_said(tune, write, predicted):
    """The present confidence of 0.99 drops nearly all things, which are true."""
    wrong = ("--config-file", RECIPE, "--opts", "PANOPTIC.INSTANCES_CONFIDENCE_THRESH", "0.99")
    code, out, error, found = tune(write(predicted), "--confidence", 0.68, "--overlap", 0.5, "--area", 0, *wrong)
    assert code == 0, error
    assert found["present"]["instances_confidence_thresh"] == 0.99
    assert found["best"] == {"overlap_thresh": 0.5, "stuff_area_limit": 0, "instances_confidence_thresh": 0.68}
    held = found["held_back"]["PQ"]
    assert held["best"] == pytest.approx(100)  # without a threshold in the way, the predictions are the truth
    assert held["difference"]["verdict"] == "better"
    assert f"on the {len(predicted) // 2} held-back images: +" in out
    assert "], better" in out


def test_the_ledgers_say_what_the_present_thresholds_are(tune, write, predicted):
    images = [
        replace(image, ledger=(*image.ledger, {"kind": "instance", "reason": "confidence", "threshold": 0.6}))
        for image in predicted
    ]
    code, out, error, found = tune(write(images), "--confidence", 0.6, "--overlap", 0.5, "--area", 0)
    assert code == 0, error
    assert found["present"]["instances_confidence_thresh"] == 0.6
    assert "by the ledgers of the store" in out


def test_a_panoptic_json_serves_without_ap(tune, write, predicted, truth):
    folder = ("--truth-folder", truth.folder)
    code, out, error, found = tune(write(predicted, None), "--ground-truth", truth.json_path, *folder)
    assert code == 0, error
    assert "has no instance truth, so AP is not measured" in out
    assert all(one["AP"] is None for one in found["combinations"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--overlap", "1.5"), ("--overlap 1.5", "0 to 1")),
        (("--confidence", "-0.1"), ("--confidence -0.1",)),
        (("--area", "nan"), ("--area nan",)),
        (("--area", "few"), ("--area", "few")),
        (("--metric", "AP"), ("--metric", "AP")),
        (("--workers", "0"), ("--workers 0", "1 or more")),
        (("--draws", "3"), ("--draws", "3")),
        (("--opts", "PANOPTIC.OVERLAP_THRESH", "0.1"), ("--config-file",)),
        (("--ground-truth", "shapes_vall"), ("did you mean shapes_val?",)),
        (("--config-file", RECIPE, "--opts", "PANOPTIC.RULE", "best"), ("no merge rule is named 'best'",)),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(tune, write, predicted, options, words):
    code, _, error, found = tune(write(predicted[:2]), *options)
    assert code == 2
    assert_one_line(error, *words)
    assert found is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"stuff_map": None}, ("stuff map", "PANOPTIC.ENABLED True")),
        ({"detections": None}, ("instances", "PANOPTIC.ENABLED True")),
        ({"image_id": 12345}, ("is no image of shapes_val",)),
    ],
)
def test_a_store_that_lacks_something_is_one_line(tune, write, predicted, changed, words):
    code, _, error, _ = tune(write([replace(predicted[0], **changed), *predicted[1:]]))
    assert code == 2
    assert_one_line(error, *words, predicted[0].key)


def test_stores_without_images_or_truth_are_one_line(tune, write, predicted, tmp_path):
    code, _, error, _ = tune(tmp_path / "absent")
    assert code == 2
    assert_one_line(error, "absent", "predict.py")
    code, _, error, _ = tune(write([], None))
    assert code == 2
    assert_one_line(error, "no image was predicted")
    code, _, error, _ = tune(write(predicted[:1], None))
    assert code == 2
    assert_one_line(error, "give --ground-truth")
    code, _, error, _ = tune(tmp_path / "store", "--ground-truth", "shapes_val")
    assert code == 2
    assert_one_line(error, "1 image cannot be halved")


def test_boxes_without_masks_are_one_line(tune, write, predicted):
    bare = [replace(p, detections=replace(p.detections, masks=None, height=p.height, width=p.width)) for p in predicted]
    code, _, error, _ = tune(write(bare))
    assert code == 2
    assert_one_line(error, "predictions of", "boxes without")
