"""A split's instances -> CVAT's XML 1.1 "for images", with exact masks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.cvat_file import CROWD
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.truth_instances import ImageInstances, Instance, instances_by_image
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.files import whole_file
from thingstuff.progress import watched
from thingstuff.store.exports.cvat_xml import (
    CvatAttribute,
    box_shape,
    closing,
    common_attributes,
    image_element,
    mask_shape,
    opening,
    shape_element,
)
from thingstuff.structures import Categories

_CROWD = CvatAttribute(CROWD, "checkbox", "false")

logger = logging.getLogger(__name__)


def write_cvat(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `annotations.xml`, its path; copied images lie in `images` beside it.

    Every mask stays pixel for pixel, polygons become masks, and what has no mask becomes a box. Masks without a pixel,
    which CVAT cannot hold, are left out, and logged. A crowd has the attribute `is_crowd`, which we read again.
    """
    images = sorted(instances_by_image(truth), key=lambda image: image.file_name)  # as CVAT numbers them
    try:
        beginning = list(_opening(len(images), Categories.from_coco(truth.categories)))
    except DataError as error:
        raise DataError(f"{truth.name}: {error}") from error
    target = folder / "annotations.xml"
    with whole_file(target) as file:
        for line in chain(beginning, _lines(images, folder.name)):
            file.write(f"{line}\n".encode())
    if options.copy_images:
        copy_images(truth, folder / "images")
    return target


def _opening(count: int, categories: Categories) -> Iterator[str]:
    colored = zip(categories.all, categories.colors(), strict=True)
    return opening(count, ((category.name, color, _CROWD) for category, color in colored))


def _lines(images: Sequence[ImageInstances], title: str) -> Iterator[str]:
    empty = 0
    for number, image in enumerate(watched(images, f"writing {title}")):
        shapes = [_shape(instance, image.size_hw) for instance in image.instances]
        empty += shapes.count(None)
        yield from image_element(number, image.file_name, image.size_hw, (shape for shape in shapes if shape))
    yield closing()
    if empty:
        logger.warning("left out: %d masks without a pixel, which cvat cannot hold", empty)


def _shape(instance: Instance, size_hw: tuple[int, int]) -> str | None:
    common = common_attributes(instance.label, 0, "manual")
    crowd = (CROWD, "true") if instance.is_crowd else None
    if instance.segmentation is None:
        return shape_element(box_shape(*instance.box_xyxy()), common, crowd)
    crop, box = instance.mask(size_hw)
    return shape_element(mask_shape(crop, box), common, crowd) if crop.size else None
