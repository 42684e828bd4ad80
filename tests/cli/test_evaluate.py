"""`tools/evaluate.py`: stored predictions score what the model scores, and what is wrong with a file is named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import SHARED, assert_one_line

from thingstuff.store import PredictedImage, Store, StoreMeta, StoreWriter
from thingstuff.structures import Categories, Category, Detections, PanopticMap

MASK = "thingstuff://shapes/mask_rcnn.yaml"
GOLDEN = SHARED / "golden"


@pytest.fixture
def evaluate(run_tool, tmp_path):
    """A function: predictions, truth and options -> (exit code, printed, error, results by task)."""

    def run(predictions, truth, *options):
        out = tmp_path / "scores"
        answer = run_tool("evaluate", "--predictions", predictions, "--ground-truth", truth, "--output", out, *options)
        path = out / "results.json"
        return *answer, next(iter(json.loads(path.read_text())["results"].values())) if path.exists() else None

    return run


@pytest.mark.skipif(not GOLDEN.exists(), reason="../shared/data/golden is absent")
@pytest.mark.parametrize(("kind", "task"), [("segm", "segm"), ("bbox", "bbox")])
def test_the_golden_numbers_of_coco(evaluate, kind, task):
    folder = GOLDEN / "coco_ap"
    expected = json.loads((folder / "expected.json").read_text())
    predictions = folder / f"instances_val2014_fake{kind}100_results.json"
    code, _, error, results = evaluate(predictions, folder / "instances_val2014_100.json")
    assert code == 0, error
    numbers = next(value for key, value in expected.items() if kind in key)
    numbers = list(numbers.values()) if isinstance(numbers, dict) else numbers
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
    found = [results[task][name] / 100 for name in names]
    assert found == pytest.approx(numbers, abs=1e-12)


@pytest.mark.skipif(not GOLDEN.exists(), reason="../shared/data/golden is absent")
def test_the_golden_panoptic_quality(evaluate):
    folder = GOLDEN / "pq"
    code, _, error, results = evaluate(
        folder / "multi_pred.json",
        folder / "multi_gt.json",
        *("--truth-folder", folder / "multi_gt", "--predictions-folder", folder / "multi_pred"),
    )
    assert code == 0, error
    expected = json.loads((folder / "expected.json").read_text())["multi"]
    assert results["panoptic_seg"]["PQ"] / 100 == pytest.approx(expected["All"]["pq"], abs=1e-9)


def test_a_store_scores_what_train_net_prints(run_tool, evaluate, sharp_weights, small_shapes, tmp_path):
    folder = small_shapes / "stuff_val"
    true_stuff = ("PANOPTIC.ENABLED", "True", "PANOPTIC.STUFF", "files", "PANOPTIC.STUFF_DIR", folder)
    options = ("MODEL.DEVICE", "cpu", *true_stuff)
    weights = ("--weights", sharp_weights["mask"])
    command = ("predict", "--config-file", MASK, "--input", "shapes_val", "--output", tmp_path / "out", *weights)
    assert run_tool(*command, "--no-overlays", "--opts", *options)[0] == 0
    settings = (*options, "TEST.PICTURES", "0", "OUTPUT_DIR", tmp_path / "run", "MODEL.WEIGHTS", sharp_weights["mask"])
    assert run_tool("train_net", "--config-file", MASK, "--eval-only", *settings)[0] == 0
    printed = json.loads((tmp_path / "run/inference/results.json").read_text())["results"]["shapes_val"]
    code, out, error, results = evaluate(tmp_path / "out", "shapes_val")
    assert code == 0, error
    assert results == printed
    assert "panoptic, stuff" in out


CATEGORIES = Categories((Category(1, "cat"), Category(2, "sky", False)))


def write_store(folder, *keys):
    ids = np.ones((4, 4), np.uint32)
    panoptic = PanopticMap.from_labels(ids, {1: 1}, CATEGORIES)
    with StoreWriter.open(folder, StoreMeta("c", "w", CATEGORIES)) as writer:
        for key in keys:
            writer.append(PredictedImage(key, 4, 4, detections=panoptic.to_detections(), panoptic=panoptic))
    return folder


def write_truth(path, *names):
    box = {"category_id": 1, "bbox": [0, 0, 4, 4], "area": 16, "iscrowd": 0}
    box["segmentation"] = [[0, 0, 4, 0, 4, 4, 0, 4]]
    images = [{"id": n, "file_name": name, "height": 4, "width": 4} for n, name in enumerate(names, 1)]
    notes = [{"id": n, "image_id": n, **box} for n, _ in enumerate(names, 1)]
    categories = [{"id": 1, "name": "cat"}]
    path.write_text(json.dumps({"images": images, "annotations": notes, "categories": categories}))
    return path


def test_images_without_ids_go_by_their_names_and_missing_ones_are_said(evaluate, tmp_path):
    store = write_store(tmp_path / "store", "a.png")
    code, out, error, results = evaluate(store, write_truth(tmp_path / "truth.json", "a.png", "b.png"))
    assert code == 0, error
    assert results["segm"]["AP"] == pytest.approx(100 * 51 / 101)  # one of two: precision 1 up to recall 0.5
    assert "1 of the 2 images" in out


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        ("[{", ("predictions.json", "not JSON, or cut off")),
        ('[{"image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]', ("image", "9")),
        ('[{"image_id": 1, "category_id": 7, "bbox": [0, 0, 1, 1], "score": 1}]', ("7",)),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": NaN}]', ("score",)),
        ('{"annotations": []}', ("no panoptic truth",)),
    ],
)
def test_what_is_wrong_with_a_file_is_named(evaluate, tmp_path, predictions, words):
    (tmp_path / "predictions.json").write_text(predictions)
    code, _, error, results = evaluate(tmp_path / "predictions.json", write_truth(tmp_path / "truth.json", "a.png"))
    assert code == 2
    assert_one_line(error, *words)
    assert results is None


def test_what_cannot_be_compared_is_named(evaluate, tmp_path):
    store = write_store(tmp_path / "store", "c.png")
    code, _, error, _ = evaluate(store, write_truth(tmp_path / "truth.json", "a.png"))
    assert code == 2
    assert_one_line(error, "'c.png' is no image of")
    code, _, error, _ = evaluate(tmp_path / "absent", "shapes_val")
    assert code == 2
    assert_one_line(error, "no predictions at")
    code, _, error, _ = evaluate(store, "shapes_vall")
    assert code == 2
    assert_one_line(error, "did you mean shapes_val?")


def test_categories_of_a_store_are_matched_by_their_names(evaluate, tmp_path):
    truth = json.loads(write_truth(tmp_path / "truth.json", "a.png").read_text())
    truth["categories"] = [{"id": 1, "name": "dog"}, {"id": 5, "name": "cat"}]
    truth["annotations"][0]["category_id"] = 5
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    store = write_store(tmp_path / "out/predictions/photos", "a.png")
    for folder in (store, store.parent, tmp_path / "out"):
        code, out, error, results = evaluate(folder, tmp_path / "truth.json")
        assert code == 0, error
        assert results["segm"]["AP"] == pytest.approx(100)
        assert "matched by their names" in out


def test_no_detections_at_all_is_ap_zero(evaluate, tmp_path):
    empty = Detections.from_coco([], 4, 4)
    with StoreWriter.open(tmp_path / "store", StoreMeta("c", "w", CATEGORIES)) as writer:
        writer.append(PredictedImage("a.png", 4, 4, detections=empty))
    _, _, _, results = evaluate(tmp_path / "store", write_truth(tmp_path / "truth.json", "a.png"))
    assert results["bbox"]["AP"] == 0


class TestErrorBars:
    def predictions(self, folder, small_shapes, shift):
        """A store of the true panoptic maps of shapes_val, moved to the right by some pixels."""
        from thingstuff.data.shapes import CATEGORIES as SHAPES
        from thingstuff.evaluation import CocoPanoptic

        truth = CocoPanoptic.open(small_shapes / "annotations/panoptic_val.json", small_shapes / "panoptic_val")
        with StoreWriter.open(folder, StoreMeta("c", "w", SHAPES)) as writer:
            for image_id in truth.records:
                true = truth.read(image_id)
                moved = np.roll(true.ids, shift, axis=1)
                kinds = {s.id: s.category_id for s in true.segments}
                panoptic = PanopticMap.from_labels(moved, kinds, SHAPES)
                writer.append(PredictedImage(f"{image_id}.png", *moved.shape, image_id, panoptic=panoptic))
        return folder

    def test_intervals_hold_the_value_and_a_comparison_has_a_verdict(self, evaluate, small_shapes, tmp_path):
        near = self.predictions(tmp_path / "near", small_shapes, 2)
        far = self.predictions(tmp_path / "far", small_shapes, 12)
        code, out, error, results = evaluate(near, "shapes_val", "--compare", far)
        assert code == 0, error
        record = json.loads((tmp_path / "scores/results.json").read_text())
        interval = record["intervals"]["PQ"]
        assert interval["low"] < interval["value"] < interval["high"]
        assert interval["value"] == pytest.approx(results["panoptic_seg"]["PQ"], abs=1e-9)
        assert record["differences"]["PQ"]["verdict"] == "better"
        assert "better" in out
        evaluate(far, "shapes_val", "--compare", near)
        again = json.loads((tmp_path / "scores/results.json").read_text())["differences"]["PQ"]
        assert again["verdict"] == "worse"
        assert again["value"] == pytest.approx(-record["differences"]["PQ"]["value"])
        evaluate(near, "shapes_val", "--compare", near)
        same = json.loads((tmp_path / "scores/results.json").read_text())["differences"]["PQ"]
        assert (same["value"], same["verdict"]) == (0, "unchanged")

    def test_a_planted_cause_is_named_first_with_its_amount(self, evaluate, small_shapes, tmp_path):
        """A fifth of all segments of a perfect prediction get another class: mending that wins all that is lost."""
        store = Store.open(self.predictions(tmp_path / "perfect", small_shapes, 0))
        categories = store.meta.categories
        kinds = (categories.things, categories.stuff)
        swapped = {c.id: o.id for kind in kinds for c, o in zip(kind, (*kind[1:], kind[0]), strict=True)}
        number = 0
        with StoreWriter.open(tmp_path / "swapped", store.meta) as writer:
            for image in store:
                segments = []
                for segment in image.panoptic.segments:
                    number += 1
                    category_id = swapped[segment.category_id] if number % 5 == 0 else segment.category_id
                    segments.append(replace(segment, category_id=category_id))
                writer.append(replace(image, panoptic=PanopticMap(image.panoptic.ids, tuple(segments))))
        code, out, error, results = evaluate(tmp_path / "swapped", "shapes_val")
        assert code == 0, error
        causes = json.loads((tmp_path / "scores/results.json").read_text())["causes"]["panoptic_seg"]
        assert next(iter(causes)) == "class"
        assert causes["class"]["pq"] == pytest.approx(100 - results["panoptic_seg"]["PQ"], abs=1e-9)
        assert out.index("the wrong class") < out.index("found by nothing")

    def test_other_images_and_impossible_draws_are_refused(self, evaluate, small_shapes, tmp_path):
        whole = self.predictions(tmp_path / "whole", small_shapes, 2)
        part = tmp_path / "part"
        store = Store.open(whole)
        with StoreWriter.open(part, store.meta) as writer:
            writer.append(next(iter(store)))
        code, _, error, _ = evaluate(whole, "shapes_val", "--compare", part)
        assert code == 2
        assert_one_line(error, "of other images")
        code, _, error, _ = evaluate(whole, "shapes_val", "--draws", "1")
        assert code == 2
        assert_one_line(error, "--draws must be 20 or more")
