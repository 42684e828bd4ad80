"""The shared data folder, which stands beside the checkout and is not part of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import SHARED


@pytest.fixture(scope="session")
def panoptic_coco_dir() -> Path:
    """Two real COCO images with panoptic truth, from panopticapi's examples."""
    folder = SHARED / "golden/panoptic_coco"
    if not folder.is_dir():
        pytest.skip("../shared/data/golden/panoptic_coco is absent")
    return folder
