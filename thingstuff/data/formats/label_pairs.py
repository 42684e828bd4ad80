"""Which image a label file belongs to, by their names; what has no other half is named and counted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.image_files import IMAGE_SUFFIXES, ImageFiles, files_below
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.utf8_names import utf8_names
from thingstuff.errors import DataError


def images_of_labels(keys_of: Mapping[str, Sequence[str]], images: ImageFiles, faults: Faults) -> dict[str, str]:
    """Image -> its label file, in the order of the images; `keys_of` are the names that an image of the file may have.

    The first of these that an image has counts. Label files without an image, or with one that has another label file,
    are faults; if all of them are without, that is refused, since the folder is wrong then.
    """
    pairs: dict[str, str] = {}
    alone = 0
    for label, keys in keys_of.items():
        with faults.skipping("labels that may be of several images"):
            image = next((found for key in keys if (found := images.called(key)) is not None), None)
            if image is None:
                alone += 1
                faults.add("labels without an image", f"{shown(label, 200)}, of {shown(keys[0], 200)} in {images.root}")
            elif image in pairs:
                both = f"{shown(pairs[image], 200)} and {shown(label, 200)}"
                faults.add("images with several labels", f"{shown(image, 200)} has {both}")
            else:
                pairs[image] = label
    if keys_of and alone == len(keys_of):
        first = shown(next(iter(keys_of)), 200)
        raise DataError(
            f"none of the labels, as {first}, has an image in {images.root}: say where they are by `images`"
        )
    return dict(sorted(pairs.items()))


def label_images(root: Path, faults: Faults) -> ImageFiles:
    """The images below a folder, which need not be there."""
    is_there = os.path.isdir(root)  # noqa: PTH112  Path.is_dir raises for long names
    return ImageFiles(root, utf8_names(files_below(root, IMAGE_SUFFIXES), faults) if is_there else [])
