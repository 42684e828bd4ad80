"""`tools/train_net.py` on panoptic recipes: the table of PQ, and what it refuses."""

import json

import pytest
from helpers import TINY, assert_one_line

PANOPTIC, MERGED, MASK = (
    f"thingstuff://shapes/{name}.yaml" for name in ("panoptic_fpn", "things_and_stuff", "mask_rcnn")
)
ROWS = (
    "AP @[ IoU=0.50:0.95 | all    ]",
    "mean IoU",
    "panoptic, all",
    "panoptic, things",
    "panoptic, stuff",
    "PQ of sky",
)


@pytest.fixture
def train(run_tool, small_shapes, tmp_path):
    def run(recipe, *overrides, flags=()):
        options = [*TINY, "OUTPUT_DIR", str(tmp_path / "run"), *overrides]
        return run_tool("train_net", "--config-file", recipe, *flags, *options)

    return run


def test_a_panoptic_fpn_trains_and_prints_all_tables(train, tmp_path):
    code, out, error = train(PANOPTIC)
    assert code == 0, error
    assert all(row in out for row in ROWS)
    assert out.count(" PQ ") >= 1
    results = json.loads((tmp_path / "run/results.json").read_text())["results"]["shapes_val"]
    assert set(results) == {"bbox", "segm", "sem_seg", "panoptic_seg"}
    assert {"PQ", "SQ", "RQ", "PQ_th", "PQ_st", "PQ-disc"} <= set(results["panoptic_seg"])
    assert (tmp_path / "run/pictures.png").exists()
    losses = json.loads((tmp_path / "run/metrics.json").read_text().splitlines()[0])
    assert {"loss_sem_seg", "loss_mask"} <= set(losses)
    assert "panoptic_seg/PQ" in (tmp_path / "run/metrics.json").read_text()


def test_two_trained_models_are_merged_without_training(train, sharp_weights, tmp_path):
    weights = ("MODEL.WEIGHTS", sharp_weights["mask"], "PANOPTIC.STUFF_WEIGHTS", sharp_weights["semantic"])
    code, out, error = train(MERGED, *map(str, weights), "SOLVER.MAX_ITER", "0")
    assert code == 0, error
    assert all(row in out for row in ROWS)
    assert not (tmp_path / "run/model_final.pth").exists()
    merged = json.loads((tmp_path / "run/inference/results.json").read_text())["results"]["shapes_val"]
    train(MASK, "MODEL.WEIGHTS", str(sharp_weights["mask"]), flags=("--eval-only",))
    alone = json.loads((tmp_path / "run/inference/results.json").read_text())["results"]["shapes_val"]
    assert {task: merged[task] for task in alone} == alone, "stuff changes nothing about instances"


def test_the_written_panoptic_predictions_give_the_same_numbers(train, sharp_weights, small_shapes, tmp_path):
    from thingstuff.evaluation import evaluate_panoptic

    train(PANOPTIC, "MODEL.WEIGHTS", str(sharp_weights["panoptic"]), flags=("--eval-only",))
    printed = json.loads((tmp_path / "run/inference/results.json").read_text())["results"]["shapes_val"]["panoptic_seg"]
    notes = small_shapes / "annotations/panoptic_val.json"
    again = evaluate_panoptic(notes, tmp_path / "run/inference/panoptic.json", small_shapes / "panoptic_val")
    assert again.percent()["PQ"] == printed["PQ"]


def test_missing_trained_models_are_named_before_anything_is_touched(train, tmp_path):
    code, _, error = train(MERGED, "SOLVER.MAX_ITER", "0")
    assert code == 2
    assert_one_line(error, "model_final.pth")
    assert not (tmp_path / "run").exists()


def test_a_head_without_stuff_truth_is_refused(train, small_shapes, tmp_path):
    module = tmp_path / "my_things.py"
    module.write_text(
        "from detectron2.data.datasets import register_coco_instances\n"
        f"truth = r'{small_shapes}/annotations/instances_val.json'\n"
        f"register_coco_instances('only_things', {{}}, truth, r'{small_shapes}/val')\n"
    )
    import sys

    sys.path.insert(0, str(tmp_path))
    try:
        sets = ("IMPORTS", "['my_things']", "DATASETS.TRAIN", "('only_things',)")
        code, _, error = train(MASK, "PANOPTIC.ENABLED", "True", *sets)
    finally:
        sys.path.remove(str(tmp_path))
    assert code == 2
    assert_one_line(error, "only_things", "no stuff truth", "PANOPTIC.STUFF model or files")


def test_a_wrong_number_of_stuff_classes_is_refused(train):
    code, _, error = train(PANOPTIC, "MODEL.SEM_SEG_HEAD.NUM_CLASSES", "4")
    assert code == 2
    assert_one_line(error, "5 stuff classes", "NUM_CLASSES is 4", "set it to 5")
