"""Masks of files that nobody has checked: what claims to be larger than its image is refused before it is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.instance_records import shown
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops
from thingstuff.structures.spans import Box


def bounded_mask(segmentation: Any, height: int, width: int) -> tuple[NDArray[np.uint8], Box]:
    """A COCO `segmentation`, an RLE or polygons -> its tight crop of 0 and 1, and the half-open box of that."""
    if isinstance(segmentation, dict):
        _refuse_larger(segmentation, height, width)
    ((crop, box),) = MaskCrops.from_coco([segmentation], height, width)
    return crop, box


def _refuse_larger(rle: dict[str, Any], height: int, width: int) -> None:
    if rle.get("size") != [height, width]:
        raise DataError(f"expected an RLE of size {[height, width]}, got {shown(rle.get('size'))}")
    counts = rle.get("counts")
    # their sum could run over, and then be that of the image
    if isinstance(counts, list) and not all(type(count) is int and 0 <= count <= height * width for count in counts):
        raise DataError(f"expected run lengths of 0 to {height * width}, got {shown(counts)}")
