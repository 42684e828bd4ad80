"""Plain helpers of several test folders."""

import importlib.util
import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"  # real images and golden results, where somebody put them beside the checkout

# what makes a recipe small enough for two steps in seconds
TINY = (
    *("MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "2"),
    *("TEST.PICTURES", "2", "SEED", "1", "MODEL.RPN.POST_NMS_TOPK_TEST", "20", "TEST.DETECTIONS_PER_IMAGE", "10"),
)


def load_script(path):
    """The module of a command that is no part of a package."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_one_line(error_text, *parts):
    """An error for a user: one line on stderr that holds these parts, and no traceback."""
    lines = [line for line in error_text.strip().splitlines() if "error:" in line]
    assert len(lines) == 1, error_text
    assert "Traceback" not in error_text
    for part in parts:
        assert part in lines[0], f"{part!r} is not in {lines[0]!r}"


def assert_training_is_refused(run_tool, config, folder, overrides, *said):
    """In one line that holds what is `said`, before anything is written into the output folder."""
    code, _, error = run_tool("train_net", "--config-file", config, *TINY, "OUTPUT_DIR", folder, *overrides)
    assert code == 2
    assert_one_line(error, *said)
    assert not folder.exists()


def assert_evaluates_again(run_tool, config, trained, folder):
    """What --eval-only says of the weights of a training in `trained` is what the training has said."""
    weights = ("MODEL.WEIGHTS", trained / "model_final.pth", "OUTPUT_DIR", folder)
    code, _, error = run_tool("train_net", "--config-file", config, "--eval-only", *TINY, *weights)
    assert code == 0, error
    told = (json.loads(path.read_text()) for path in (trained / "results.json", folder / "inference/results.json"))
    before, again = (one["results"]["shapes_val"]["segm"] for one in told)
    assert again == before


def assert_read_as_whole(found, whole, first_id):
    """Detections of a reader are the Instances of a model whose classes have ids from `first_id` on."""
    assert len(found) == len(whole)
    np.testing.assert_array_equal(found.masks.to_bitmaps(), whole.pred_masks.numpy())
    np.testing.assert_array_equal(found.boxes_xyxy, whole.pred_boxes.tensor.numpy())
    np.testing.assert_array_equal(found.category_ids, whole.pred_classes.numpy() + first_id)
