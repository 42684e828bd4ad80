"""A training that is killed again and again ends with the weights of one that was not."""

import pytest
from helpers import TINY

pytestmark = pytest.mark.slow

MORE = ("SOLVER.EMA_DECAY", "0.9", "SOLVER.MICRO_BATCHES", "2", "DATALOADER.NUM_WORKERS", "2", "TEST.EVAL_PERIOD", "5")


@pytest.mark.parametrize(
    ("recipe", "options"),
    [("mask_rcnn", ()), ("mask_rcnn", (*MORE, "TEST.BEST_METRIC", "segm/AP")), ("panoptic_fpn", ())],
    ids=["plain", "everything", "panoptic"],
)
def test_killed_trainings_end_the_same(run_tool, small_shapes, tmp_path, recipe, options):
    job = ("--config-file", f"thingstuff://shapes/{recipe}.yaml", "--kills", 3, "--steps", 12, "--checkpoint-every", 3)
    code, out, error = run_tool(
        "verify_resume", *job, "--output", tmp_path / "out", *TINY, "SOLVER.IMS_PER_BATCH", "4", *options
    )
    assert code == 0, out + error
    assert "identical: all" in out


def test_a_training_that_differs_is_found(run_tool, small_shapes, tmp_path):
    """Without a seed the two trainings have different random numbers."""
    job = ("--kills", 1, "--steps", 4, "--checkpoint-every", 1, "--output", tmp_path / "out")
    code, out, error = run_tool("verify_resume", *job, *TINY, "SEED", "-1")
    assert code == 1, out + error
    assert "different: " in out
