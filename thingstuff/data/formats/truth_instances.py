"""What writers of instances share: a split image by image, each record checked as far as a file needs it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.bounded_masks import bounded_mask
from thingstuff.data.formats.image_files import image_size_hw
from thingstuff.data.formats.instance_records import Crop, checked_size_hw, shown
from thingstuff.data.panoptic.names import is_inside
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures.spans import Box

_FEWEST_NUMBERS = 6  # of a polygon

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instance:
    """An annotation with the name of its category; `place` is for messages."""

    record: Record
    label: str
    place: str

    @property
    def is_crowd(self) -> bool:
        return bool(self.record.get("iscrowd"))

    @property
    def segmentation(self) -> Any:
        """None where there is a box alone."""
        return self.record.get("segmentation") or None

    def mask(self, size_hw: tuple[int, int]) -> tuple[Crop, Box]:
        """The tight uint8 crop of 0 and 1, and its box."""
        try:
            return bounded_mask(self.segmentation, *size_hw)
        except DataError as error:
            raise DataError(f"{self.place}: {str(error).removeprefix('mask 0: ')}") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{self.place}: no segmentation: {shown(self.segmentation)}") from error

    def box_xyxy(self) -> list[float]:
        try:
            x, y, width, height = (float(value) for value in self.record["bbox"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DataError(f"{self.place}: has neither a mask nor a box of four numbers: leave it out") from None
        return [x, y, x + width, y + height]


@dataclass(frozen=True)
class ImageInstances:
    """An image with its instances in their order; `file_name` leads nowhere but below the image root."""

    file_name: str
    size_hw: tuple[int, int]
    instances: list[Instance]


def instances_by_image(truth: SplitTruth) -> list[ImageInstances]:
    """The images of a split that has instances, in their order; what no file could hold is refused by its place."""
    if truth.annotations is None:
        raise DataError(f"{truth.name} has no instances, and this format holds nothing else: choose another")
    by_id: dict[int | str, ImageInstances] = {}
    names: set[str] = set()
    for number, record in enumerate(truth.images):
        place = truth.image_place(number)
        image, image_id = _image(record, truth.image_root, place), _id(record, "id", place)
        if image.file_name in names or image_id in by_id:
            raise DataError(f"{place}: an image with this id or file_name is there already")
        names.add(image.file_name)
        by_id[image_id] = image
    labels = {_id(c, "id", f"{truth.name}: categories[{n}]"): c.get("name") for n, c in enumerate(truth.categories)}
    for number, record in enumerate(truth.annotations):
        place = truth.annotation_place(number)
        image_id, label = _id(record, "image_id", place), labels.get(_id(record, "category_id", place))
        if image_id not in by_id:
            raise DataError(f"{place}: there is no image {shown(image_id)}")
        if not isinstance(label, str):
            raise DataError(f"{place}: there is no category {shown(record['category_id'])}")
        by_id[image_id].instances.append(Instance(record, label, place))
    return list(by_id.values())


def polygon_numbers(polygon: Any, place: str) -> NDArray[np.float64]:
    """x, y, x, y ... of 3 corners or more."""
    try:
        numbers = np.asarray(polygon, np.float64)
        if numbers.ndim != 1 or numbers.size < _FEWEST_NUMBERS or numbers.size % 2 or not np.isfinite(numbers).all():
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{place}: expected polygons as x, y of 3 corners or more, got {shown(polygon)}") from None
    return numbers


def polygon_points(polygon: Any, place: str) -> list[list[float]]:
    """[x, y, x, y, ...] -> [[x, y], ...], as formats have it that hold polygons."""
    return polygon_numbers(polygon, place).reshape(-1, 2).tolist()


def with_masks(
    images: Sequence[ImageInstances], format_name: str, *, keep_crowds: bool = False
) -> list[ImageInstances]:
    """The images without what a mask file cannot say, crowds and boxes alone; how many there were is logged.

    `keep_crowds`: those with a mask stay, for files that can mark them.
    """
    kept = images if keep_crowds else without_crowds(images, format_name)
    return _left_out(kept, lambda each: each.segmentation is None, f"boxes without a mask, which {format_name}")


def without_crowds(images: Sequence[ImageInstances], format_name: str) -> list[ImageInstances]:
    """The images without crowds; how many there were is logged."""
    return _left_out(images, lambda each: each.is_crowd, f"crowd regions, which {format_name}")


def _left_out(
    images: Sequence[ImageInstances], is_out: Callable[[Instance], bool], what_of_whom: str
) -> list[ImageInstances]:
    kept = [replace(image, instances=[each for each in image.instances if not is_out(each)]) for image in images]
    count = sum(len(image.instances) for image in images) - sum(len(image.instances) for image in kept)
    if count:
        logger.warning("left out: %d %s cannot hold", count, what_of_whom)
    return kept


def _image(record: Record, root: Path, place: str) -> ImageInstances:
    name = record.get("file_name")
    if not isinstance(name, str) or not is_inside(name):
        raise DataError(f"{place}: expected a file_name below the folder of the images, got {shown(name)}")
    height, width = record.get("height"), record.get("width")
    if height is None or width is None:
        height, width = image_size_hw(root / name) or (height, width)
    return ImageInstances(name, checked_size_hw(height, width, place), [])


def _id(record: Record, key: str, place: str) -> int | str:
    value = record.get(key)
    if not isinstance(value, int | str):
        raise DataError(f"{place}: expected {key}, a number or a text, got {shown(value)}")
    return value
