"""Images of a split, copied under the names that their records have."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from thingstuff.data.formats.instance_records import shown
from thingstuff.data.panoptic.names import is_inside
from thingstuff.data.truth import SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched


def copy_images(truth: SplitTruth, folder: Path) -> None:
    """Every image to `folder`, in the folders that its name has; a name that leads out of it is refused."""
    for number, image in enumerate(watched(truth.images, "copies of images")):
        copy_below(image.get("file_name"), truth.image_root, folder, truth.image_place(number))


def copy_below(name: Any, root: Path, folder: Path, place: str) -> None:
    """`root/name` to `folder/name`; `place` is the record that names it."""
    if not isinstance(name, str) or not is_inside(name):
        raise DataError(f"{place}: expected a file_name below its folder, got {shown(name)}")
    copy_as(name, root, folder / name, place)


def copy_as(name: str, root: Path, target: Path, place: str) -> None:
    """`root/name` to `target`."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{place}: {shown(name, 120)} cannot be copied from {root}: {reason}") from error
