"""A split's instances -> YOLO segmentation: a text file an image, and a data.yaml for all splits."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.truth_instances import ImageInstances, Instance, instances_by_image
from thingstuff.data.formats.yolo_names import NAMES_FILE
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.files import whole_file
from thingstuff.progress import watched
from thingstuff.store.exports.names import file_names
from thingstuff.store.exports.outlines import one_outline

_DECIMALS = 8
_FEWEST_NUMBERS = 6  # of a polygon

logger = logging.getLogger(__name__)


def write_yolo(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `labels/<name of the image>.txt` for every image; the folder `labels`. Copied images lie in `images`.

    An instance is one polygon: a mask of several parts or with holes becomes one outline, which has bridges of no width
    between them. What has no mask is a box. Crowds, which YOLO has not, are left out, and so are masks without a pixel.
    `names.yaml` beside the labels names the classes, and says that images without a label file are not of the split.
    """
    images = instances_by_image(truth)
    numbers = {name: number for number, name in enumerate(_names(truth))}
    names = file_names([image.file_name for image in images], ".txt")
    _refuse_shared(names, truth.name)
    left_out = Counter[str]()
    for image in watched(images, f"writing {folder.name}"):
        lines = "".join(_lines(image, numbers, options.tolerance_px, left_out))
        with whole_file(folder / "labels" / names[image.file_name]) as file:
            file.write(lines.encode())
    _write_yaml(folder / NAMES_FILE, {"names": dict(enumerate(numbers)), "every_image_has_labels": True})
    for what, count in sorted(left_out.items()):
        logger.warning("left out: %d %s, which yolo cannot hold", count, what)
    if options.copy_images:
        copy_images(truth, folder / "images")
    return folder / "labels"


def write_data_yaml(folder: Path, truths: Mapping[str, SplitTruth]) -> Path:
    """`data.yaml` of all splits, as Ultralytics trains on it; it looks for images in `images` beside the `labels`.

    It knows `train`, `val` and `test`: a split that is alone is `train` there, whatever its name is.
    """
    names = _names(next(iter(truths.values())))
    places = {"train" if len(truths) == 1 else split: f"{split}/images" for split in truths}
    path = folder / "data.yaml"
    _write_yaml(path, places | {"names": dict(enumerate(names))})
    return path


def _names(truth: SplitTruth) -> list[str]:
    """The names of the things in their order, which is that of the class numbers."""
    names = [category.get("name") for category in truth.categories if category.get("isthing", 1)]
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1:
            raise DataError(f"{truth.name}: each category needs a name of its own, got {shown(name)}")
    return [str(name) for name in names]


def _refuse_shared(names: Mapping[str, str], place: str) -> None:
    """YOLO finds the labels of an image by its name without suffix."""
    for image, label in names.items():
        if label != f"{image[: len(image) - len(Path(image).suffix)]}.txt":
            raise DataError(f"{place}: another image is called {shown(image)} but for its suffix: rename one of them")


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    with whole_file(path) as file:
        file.write(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True).encode())


def _lines(
    image: ImageInstances, numbers: Mapping[str, int], tolerance_px: float, left_out: Counter[str]
) -> Iterator[str]:
    for each in image.instances:
        if each.is_crowd or each.label not in numbers:
            left_out["crowd regions" if each.is_crowd else "regions of stuff"] += 1
            continue
        fractions = _fractions(each, image.size_hw, tolerance_px)
        if fractions is None:
            left_out["masks without a pixel"] += 1
        else:
            yield f"{numbers[each.label]} {' '.join(map(_number, fractions.tolist()))}\n"


def _fractions(each: Instance, size_hw: tuple[int, int], tolerance_px: float) -> NDArray[np.float64] | None:
    height, width = size_hw
    if each.segmentation is None:
        x0, y0, x1, y1 = each.box_xyxy()
        return np.array([(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height])
    points = _own_polygon(each.segmentation, size_hw)
    if points is None:
        crop, (left, top, _, _) = each.mask(size_hw)
        if not crop.any():
            return None
        points = one_outline(crop, left, top, tolerance_px)
    return (points / (width, height)).reshape(-1)


def _own_polygon(segmentation: Any, size_hw: tuple[int, int]) -> NDArray[np.float64] | None:
    """The corners of what is one polygon inside its image already."""
    if not isinstance(segmentation, list) or len(segmentation) != 1:
        return None
    try:
        numbers = np.asarray(segmentation[0], np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if numbers.ndim != 1 or numbers.size < _FEWEST_NUMBERS or numbers.size % 2:
        return None
    points = numbers.reshape(-1, 2)
    height, width = size_hw
    return points if ((points >= 0) & (points <= (width, height))).all() else None


def _number(value: float) -> str:
    return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
