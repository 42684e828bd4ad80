"""Plain helpers of several test folders."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"  # real images and golden results, where somebody put them beside the checkout

# what makes a recipe small enough for two steps in seconds
TINY = (
    *("MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "2"),
    *("TEST.PICTURES", "2", "SEED", "1", "MODEL.RPN.POST_NMS_TOPK_TEST", "20", "TEST.DETECTIONS_PER_IMAGE", "10"),
)


def assert_one_line(error_text, *parts):
    """An error for a user: one line on stderr that holds these parts, and no traceback."""
    lines = [line for line in error_text.strip().splitlines() if "error:" in line]
    assert len(lines) == 1, error_text
    assert "Traceback" not in error_text
    for part in parts:
        assert part in lines[0], f"{part!r} is not in {lines[0]!r}"
