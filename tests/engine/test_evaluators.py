"""Our evaluators give what Detectron2's give, digit for digit, and leave the outputs as they were."""

import copy

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.evaluation import COCOEvaluator, SemSegEvaluator
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Boxes, Instances

import thingstuff.config  # noqa: F401
from thingstuff.data.catalog import require_datasets
from thingstuff.engine.evaluators import CocoEvaluator, SemanticEvaluator
from thingstuff.errors import DataError
from thingstuff.modeling.outputs import to_coco_results, to_detections
from thingstuff.structures import Categories, Category


def noisy_instances(record, rng, keypoints=False):
    """Predictions that resemble the truth: shifted boxes, shifted masks, some wrong classes, some false ones."""
    from thingstuff.data.shapes import CATEGORIES
    from thingstuff.report.pictures import true_detections

    truth = true_detections(record, CATEGORIES)
    bitmaps = [np.roll(m, rng.integers(-4, 5, 2), (0, 1)) for m in truth.masks.to_bitmaps()]
    bitmaps += [np.pad(np.ones((20, 30), bool), ((50, 90), (40, 90)))]
    count = len(bitmaps)
    found = Instances((160, 160))
    corners = rng.uniform(0, 80, (count, 2))
    found.pred_boxes = Boxes(torch.tensor(np.hstack([corners, corners + rng.uniform(5, 70, (count, 2))]).astype("f")))
    found.pred_boxes.tensor[:-1] = (
        torch.tensor(truth.boxes_xyxy) + torch.tensor(rng.normal(0, 2, (count - 1, 4))).float()
    )
    found.scores = torch.tensor(rng.random(count).astype("f"))
    classes = np.append(CATEGORIES.thing_indices(truth.category_ids), 0)
    classes[rng.random(count) < 0.2] = 1
    found.pred_classes = torch.tensor(classes)
    found.pred_masks = torch.tensor(np.stack(bitmaps))
    if keypoints:
        found.pred_keypoints = torch.tensor(rng.uniform(0, 160, (count, 17, 3)).astype("f"))
    return found


@pytest.fixture
def records(small_shapes):
    require_datasets(["shapes_val"])
    return DatasetCatalog.get("shapes_val")


def test_ap_equals_detectron2s_evaluator(records, tmp_path):
    rng = np.random.default_rng(3)
    outputs = [{"instances": noisy_instances(r, rng)} for r in records]
    ours = CocoEvaluator("shapes_val", tmp_path / "ours")
    theirs = COCOEvaluator("shapes_val", tasks=("bbox", "segm"), output_dir=str(tmp_path / "theirs"))
    results = []
    for evaluator in (ours, theirs):
        evaluator.reset()
        evaluator.process(records, copy.deepcopy(outputs))
        results.append(evaluator.evaluate())
    for task in ("bbox", "segm"):
        for name, value in results[1][task].items():
            assert results[0][task][name] == pytest.approx(value, abs=1e-10, nan_ok=True), (task, name)
        assert results[0][task]["AP50"] > 5
    assert {"AR1", "AR10", "AR100", "ARs", "ARm", "ARl"} <= set(results[0]["segm"])
    assert (tmp_path / "ours/coco_instances_results.json").is_file()


def test_records_equal_detectron2s(records):
    categories = Categories(tuple(Category(i, str(i)) for i in range(6)))
    found = noisy_instances(records[0], np.random.default_rng(1), keypoints=True)
    before = copy.deepcopy(found)
    ours = to_coco_results(found, 7, categories)
    assert ours == instances_to_coco_json(copy.deepcopy(found), 7)
    assert torch.equal(found.pred_keypoints, before.pred_keypoints)


def test_no_detection_at_all_scores_zero(records):
    evaluator = CocoEvaluator("shapes_val")
    evaluator.reset()
    empty = Instances((160, 160))
    empty.pred_boxes, empty.scores = Boxes(torch.zeros(0, 4)), torch.zeros(0)
    empty.pred_classes, empty.pred_masks = torch.zeros(0, dtype=torch.long), torch.zeros(0, 160, 160, dtype=torch.bool)
    evaluator.process(records, [{"instances": empty}] * len(records))
    results = evaluator.evaluate()
    assert results["bbox"]["AP"] == results["segm"]["AP"] == 0


def test_only_what_was_predicted_is_evaluated(records):
    found = noisy_instances(records[0], np.random.default_rng(1))
    found.remove("pred_masks")
    evaluator = CocoEvaluator("shapes_val")
    evaluator.reset()
    evaluator.process(records[:1], [{"instances": found}])
    assert set(evaluator.evaluate()) == {"bbox"}
    for silent in (CocoEvaluator("shapes_val"), SemanticEvaluator("shapes_val")):
        silent.reset()
        silent.process(records[:1], [{}])
        assert silent.evaluate() == {}


def test_miou_equals_detectron2s_evaluator(records):
    rng = np.random.default_rng(2)
    outputs = [{"sem_seg": torch.tensor(rng.random((5, 160, 160)).astype("f"))} for _ in records]
    ours, theirs = SemanticEvaluator("shapes_val"), SemSegEvaluator("shapes_val", distributed=False)
    for evaluator in (ours, theirs):
        evaluator.reset()
        evaluator.process(records, outputs)
    mine, reference = ours.evaluate()["sem_seg"], theirs.evaluate()["sem_seg"]
    for name, value in mine.items():
        assert value == pytest.approx(reference[name], abs=1e-10), name
    assert mine["mIoU"] > 5


def test_image_without_semantic_truth_is_named(records):
    evaluator = SemanticEvaluator("shapes_val")
    with pytest.raises(DataError, match="elsewhere.png"):
        evaluator.process([{"file_name": "elsewhere.png"}], [{"sem_seg": torch.zeros(5, 2, 2)}])


def test_class_outside_the_categories_is_refused(records):
    found = noisy_instances(records[0], np.random.default_rng(1))
    with pytest.raises(DataError, match="thing indices"):
        to_detections(found, Categories((Category(1, "only"),)))


def test_masks_may_come_as_crops_already(records):
    found = noisy_instances(records[0], np.random.default_rng(1))
    categories = Categories(tuple(Category(n + 1, f"class {n}") for n in range(6)))
    whole = to_detections(found, categories)
    found.pred_masks = whole.masks
    assert to_detections(found, categories).masks is whole.masks
