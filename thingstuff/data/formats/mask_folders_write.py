"""A split's instances -> one PNG an instance, in `masks/<name of the image>`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.nested_values import nested_refused
from thingstuff.data.formats.truth_instances import Instance, instances_by_image, with_masks
from thingstuff.data.formats.written_options import write_options
from thingstuff.data.panoptic.names import is_encodable
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.store.exports.names import file_names
from thingstuff.structures import write_png

_INSIDE = 255


def write_mask_folders(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `masks/<name of the image>/0001.png` and so on; `folder`. Copied images lie in `images` in it.

    Of several categories the names tell them, as in `cat_0001.png`, and the file `instances.json` says so. An image
    without instances gets an empty folder.
    """
    images = with_masks(instances_by_image(truth), "mask_folders")
    names = file_names([image.file_name for image in images], "")
    has_classes = len(truth.categories) > 1
    for image in watched(images, f"writing {folder.name}"):
        own = folder / "masks" / names[image.file_name]
        own.mkdir(parents=True, exist_ok=True)
        for number, instance in enumerate(image.instances, 1):
            _write_mask(own / f"{_prefix(instance) if has_classes else ''}{number:04d}.png", instance, image.size_hw)
    with nested_refused(truth.name):
        write_options(folder, truth.categories, class_from="prefix" if has_classes else "none")
    if options.copy_images:
        copy_images(truth, folder / "images")
    return folder


def _write_mask(path: Path, instance: Instance, size_hw: tuple[int, int]) -> None:
    crop, (x0, y0, x1, y1) = instance.mask(size_hw)
    bitmap = np.zeros(size_hw, np.uint8)
    bitmap[y0:y1, x0:x1] = crop * np.uint8(_INSIDE)
    write_png(path, bitmap)


def _prefix(instance: Instance) -> str:
    label = instance.label
    if "/" in label or label.startswith(".") or not is_encodable(f"{label}_0001.png"):
        raise DataError(f"{instance.place}: the category {label!r:.80} cannot be part of a file name: rename it")
    return f"{label}_"
