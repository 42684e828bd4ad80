"""The files of Cityscapes: labels by the names of their images, and the folder where these are."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import Source
from thingstuff.data.formats.image_files import ImageFiles, files_below, stem_of
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.label_pairs import images_of_labels, label_images
from thingstuff.data.formats.utf8_names import utf8_names
from thingstuff.errors import DataError

IMAGES, IMAGE_END = "leftImg8bit", "_leftImg8bit"
LABELS, LABEL_END = "gtFine", "_gtFine_instanceIds.png"
_ENDING = "_instanceids.png"
_LABEL = re.compile(r"(.+?)(?:_gt[a-z]+)?_instanceids\.png", re.IGNORECASE | re.DOTALL)
_NAMED = re.compile(r".+_gt[a-z]+_instanceids\.png", re.IGNORECASE | re.DOTALL)


def is_cityscapes_name(name: str) -> bool:
    """Whether it says gtFine, gtCoarse or the like; of `_instanceIds.png` alone nobody knows the coding."""
    return _NAMED.fullmatch(name) is not None


def cityscapes_pairs(source: Source, faults: Faults) -> tuple[Path, dict[str, str], tuple[str, ...]]:
    """The folder of the images, image -> label file, both relative and with "/", and notes."""
    folder = source.annotations
    if not os.path.isdir(folder):  # noqa: PTH112  Path.is_dir raises for long names
        raise DataError(f"{folder}: expected a folder of Cityscapes' labels, such as gtFine/train")
    keys = _keys(folder, source, faults)
    root = source.images or _image_root(folder)
    # label files may lie among the images
    found = label_images(root, faults)
    images = ImageFiles(root, [name for name in found.names if not _LABEL.fullmatch(name)])
    try:
        pairs = images_of_labels(keys, images, faults)
    except DataError as error:
        raise DataError(f"{folder}: {error}") from error
    alone = len(images.names) - len(pairs)
    return root, pairs, (f"left out: {alone} of the images in {root}, which have no labels",) if alone else ()


def image_bases(file_names: Collection[str]) -> dict[str, str]:
    """Image -> the name of its label file without ending: its own without `_leftImg8bit`, or whole if two shared it."""
    short = {name: stem_of(name).removesuffix(IMAGE_END) for name in file_names}
    uses = Counter(short.values())
    mixed = {name: base if uses[base] == 1 else name for name, base in short.items()}
    return mixed if len(set(mixed.values())) == len(mixed) else {name: name for name in file_names}


def _keys(folder: Path, source: Source, faults: Faults) -> dict[str, list[str]]:
    """Label file -> the names that its image may have."""
    end = source.options.get("image_suffix")
    if end is not None and not isinstance(end, str):
        raise DataError(f"image_suffix: expected the end of names as text, such as {IMAGE_END}, got {shown(end)}")
    keys = {}
    for name in utf8_names(files_below(folder, [_ENDING]), faults):
        match = _LABEL.fullmatch(name)
        if match is not None:
            keys[name] = [match[1] + each for each in ([IMAGE_END, ""] if end is None else [end])]
    if not keys:
        raise DataError(f"{folder}: there are no labels in it: expected *{LABEL_END}, or others with _instanceIds.png")
    return keys


def _image_root(folder: Path) -> Path:
    """`gtFine/train` -> `leftImg8bit/train`, or `images/train`, as far as that is there; else the folder itself."""
    for place in range(len(folder.parts) - 1, 0, -1):
        if not folder.parts[place].startswith("gt"):
            continue
        for other in (IMAGES, "images"):
            found = Path(*folder.parts[:place], other, *folder.parts[place + 1 :])
            if found.is_dir():
                return found
    return folder
