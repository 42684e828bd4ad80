"""A split's instances -> masks of ids, one 16-bit PNG an image."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.nested_values import nested_refused
from thingstuff.data.formats.truth_instances import ImageInstances, instances_by_image, with_masks
from thingstuff.data.formats.written_options import write_options
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.store.exports.names import file_names
from thingstuff.structures import write_png

_DIVISOR = 1000
_HIGHEST = 65535

logger = logging.getLogger(__name__)


def write_id_masks(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `masks/<name of the image>.png`; the folder `masks`. Copied images lie in `images` beside it.

    Instances count from 1 in their order, and later ones lie on top: how many pixels that costs is logged. Of several
    categories each value is category id * 1000 + instance, if 16 bits can hold that; else the categories are lost, with
    a line in the log. The file `instances.json` among the masks says how to read them.
    """
    images = with_masks(instances_by_image(truth), "id_masks")
    masks = folder / "masks"
    names = file_names([image.file_name for image in images], ".png")
    divisor = _DIVISOR if _fits_divisor(truth, images) else 0
    hidden = Counter[str]()
    for image in watched(images, f"writing {folder.name}"):
        painted = _paint(image, divisor)
        write_png(masks / names[image.file_name], painted.ids)
        hidden.update(pixels=painted.hidden_px, instances=painted.lost)
    _log(hidden, divisor, truth)
    if divisor or len(truth.categories) == 1:
        with nested_refused(truth.name):
            write_options(masks, truth.categories, **({"divisor": divisor} if divisor else {}))
    if options.copy_images:
        copy_images(truth, folder / "images")
    return masks


def _fits_divisor(truth: SplitTruth, images: Sequence[ImageInstances]) -> bool:
    if len(truth.categories) < 2:
        return False
    used = {instance.record["category_id"] for image in images for instance in image.instances}
    most = max((n for i in images for n in Counter(each.label for each in i.instances).values()), default=0)
    numbered = all(type(own) is int and 0 < own <= (_HIGHEST - _DIVISOR + 1) // _DIVISOR for own in used)
    return numbered and most < _DIVISOR


@dataclass(frozen=True)
class _Painted:
    ids: NDArray[np.uint16]
    hidden_px: int
    lost: int  # instances of which no pixel is left


def _paint(image: ImageInstances, divisor: int) -> _Painted:
    ids = np.zeros(image.size_hw, np.uint16)
    counts = Counter[Any]()
    area_px = 0
    for instance in image.instances:
        crop, (x0, y0, x1, y1) = instance.mask(image.size_hw)
        own = instance.record["category_id"] if divisor else 0
        counts[own] += 1
        if counts[own] > _HIGHEST:
            raise DataError(f"{instance.place}: more than {_HIGHEST} instances in an image, which 16 bits cannot hold")
        ids[y0:y1, x0:x1][crop != 0] = own * divisor + counts[own]
        area_px += int(np.count_nonzero(crop))
    shown_px, left = int(np.count_nonzero(ids)), int(np.count_nonzero(np.unique(ids)))
    return _Painted(ids, area_px - shown_px, len(image.instances) - left)


def _log(hidden: Counter[str], divisor: int, truth: SplitTruth) -> None:
    if hidden["pixels"] or hidden["instances"]:
        logger.warning(
            "id_masks has one value a pixel: lost are %d pixels below other instances, and %d whole instances",
            hidden["pixels"],
            hidden["instances"],
        )
    if len(truth.categories) > 1 and not divisor:
        logger.warning("the values of id_masks cannot hold these category ids: the categories are lost")
