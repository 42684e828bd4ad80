"""A split's instances -> Pascal VOC's layout, with palette PNGs of objects and of classes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.image_files import stem_of
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.truth_instances import ImageInstances, instances_by_image, with_masks
from thingstuff.data.formats.voc_files import CLASSES, IMAGES, LISTS, OBJECTS
from thingstuff.data.formats.voc_labels import (
    LABELMAP,
    MOST_CLASSES,
    fits_labelmap,
    is_background,
    labelmap_text,
    voc_colors,
)
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.files import whole_file
from thingstuff.progress import watched
from thingstuff.store.exports.names import file_names
from thingstuff.structures import Categories
from thingstuff.structures.png import write_palette_png

_MOST_OBJECTS = 254  # 0 is the background, 255 void

logger = logging.getLogger(__name__)


def write_voc(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write the two PNGs of every image, `labelmap.txt` and the list `default`; the folder. Images: `JPEGImages`.

    Objects count from 1 in their order, and later ones lie on top: how many pixels that costs is logged, and how many
    objects are beyond the 254 that one image can have. Classes count from 1 in the order of the categories.
    """
    images = with_masks(instances_by_image(truth), "voc")
    classes = _classes(truth, images)
    names = file_names([image.file_name for image in images], ".png")
    colors, lost = voc_colors(), Counter[str]()
    for image in watched(images, f"writing {folder.name}"):
        painted = _paint(image, classes)
        write_palette_png(folder / OBJECTS / names[image.file_name], painted.objects, colors)
        write_palette_png(folder / CLASSES / names[image.file_name], painted.classes, colors)
        lost.update(pixels=painted.hidden_px, objects=painted.hidden, beyond=painted.beyond)
    _write_text(folder / LABELMAP, labelmap_text(list(classes)))
    _write_list(folder / LISTS / "default.txt", [stem_of(name) for name in names.values()])
    _log(lost)
    if options.copy_images:
        copy_images(truth, folder / IMAGES)
    return folder


def _classes(truth: SplitTruth, images: Sequence[ImageInstances]) -> dict[str, int]:
    """Name -> class index. The background, which others list among the categories, is none as long as it is unused."""
    try:
        categories = Categories.from_coco(truth.categories)
    except DataError as error:
        raise DataError(f"{truth.name}: {error}") from error
    used = {each.label for image in images for each in image.instances}
    names = [c.name for c in categories.all if c.name in used or (c.isthing and not is_background(c.name))]
    for name in names:
        if not fits_labelmap(name):
            raise DataError(f"{truth.name}: the category {shown(name)} cannot stand in a {LABELMAP}: rename it")
    if len(names) > MOST_CLASSES:
        raise DataError(f"{truth.name}: {len(names)} categories are more than the {MOST_CLASSES} that voc can hold")
    return {name: number for number, name in enumerate(names, 1)}


@dataclass(frozen=True)
class _Painted:
    """`hidden` objects have no pixel left; `beyond` are those that have no number."""

    objects: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    hidden_px: int
    hidden: int
    beyond: int


def _paint(image: ImageInstances, classes: Mapping[str, int]) -> _Painted:
    objects, of_classes = np.zeros(image.size_hw, np.uint8), np.zeros(image.size_hw, np.uint8)
    numbered = image.instances[:_MOST_OBJECTS]
    area_px = 0
    for number, instance in enumerate(numbered, 1):
        crop, (x0, y0, x1, y1) = instance.mask(image.size_hw)
        objects[y0:y1, x0:x1][crop != 0] = number
        of_classes[y0:y1, x0:x1][crop != 0] = classes[instance.label]
        area_px += int(np.count_nonzero(crop))
    hidden_px = area_px - int(np.count_nonzero(objects))
    hidden = len(numbered) - int(np.count_nonzero(np.unique(objects)))
    return _Painted(objects, of_classes, hidden_px, hidden, len(image.instances) - len(numbered))


def _write_list(path: Path, names: Sequence[str]) -> None:
    """Names with blanks at their ends or in quotes are read as others, so they are put into quotes."""
    lines = [name for name in names if len(name.splitlines()) == 1]
    if len(lines) < len(names):
        logger.warning("%s lacks %d names with line breaks in them", path.name, len(names) - len(lines))
    _write_text(path, "".join(f'"{name}"\n' if name != name.strip(' "') else f"{name}\n" for name in lines))


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def _log(lost: Counter[str]) -> None:
    if lost["pixels"] or lost["objects"]:
        logger.warning(
            "voc has one object a pixel: lost are %d pixels below other objects, and %d whole objects",
            lost["pixels"],
            lost["objects"],
        )
    if lost["beyond"]:
        logger.warning("left out: %d objects beyond %d in an image", lost["beyond"], _MOST_OBJECTS)
