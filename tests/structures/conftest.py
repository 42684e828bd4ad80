"""The shared data folder, which stands beside the checkout and is not part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[2].parent / "shared/data"


@pytest.fixture(scope="session")
def panoptic_coco_dir() -> Path:
    """Two real COCO images with panoptic truth, from panopticapi's examples."""
    folder = SHARED_DATA / "golden/panoptic_coco"
    if not folder.is_dir():
        pytest.skip("../shared/data/golden/panoptic_coco is absent")
    return folder
