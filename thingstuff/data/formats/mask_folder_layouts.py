"""How folders of masks lie beside their images: a folder an image with both in it, or `images` beside `masks`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from thingstuff.data.formats.format import Source
from thingstuff.data.formats.image_files import (
    IMAGE_SUFFIXES,
    ImageFiles,
    files_below,
    folders_below,
    images_near,
    stem_of,
)
from thingstuff.errors import DataError

_EMPTY = "an empty folder says that nothing is in an image"


@dataclass(frozen=True)
class MasksByImage:
    """Image -> its masks; images are named relative to `image_root`, masks to `folder`."""

    folder: Path
    image_root: Path
    masks: dict[str, list[str]]
    notes: tuple[str, ...]


def masks_by_image(source: Source, has_classes: bool) -> MasksByImage:
    """`has_classes`: masks lie one folder deeper, in that of their class.

    An image with an empty folder has no masks; one without a folder is left out, with a note; masks without an image
    get the name that it should have.
    """
    folder = source.annotations
    inner = folders_below(folder)
    if "masks" in inner:
        beside = folder / "images"
        return _side_by_side(folder / "masks", source.images or (beside if beside.is_dir() else folder), has_classes)
    if folder.name == "masks":
        return _side_by_side(folder, source.images or images_near(folder), has_classes)
    if not any({"images", "masks"} & set(folders_below(folder / name)) for name in inner):
        raise DataError(f"{folder}: expected <name>/images and <name>/masks, or images and masks/<name>, found neither")
    if source.images not in (None, folder):
        raise DataError(f"{folder}: its images are in <name>/images: leave out `images`, {source.images}")
    return _folder_an_image(folder, inner, has_classes)


def _folder_an_image(folder: Path, names: Sequence[str], has_classes: bool) -> MasksByImage:
    """`<name>/images/<file>` and `<name>/masks/*.png`."""
    found: dict[str, list[str]] = {}
    alone = []
    for name in names:
        inner = folders_below(folder / name)
        if "masks" in inner:
            found[_image(folder, name, "images" in inner)] = _masks(folder, name, has_classes)
        elif "images" in inner:
            alone.append(name)
    notes = [f"left out: {len(alone)} images without a folder of masks, such as {alone[0]} ({_EMPTY})"] if alone else []
    return MasksByImage(folder, folder, found, tuple(notes))


def _image(folder: Path, name: str, is_there: bool) -> str:
    images = files_below(folder / name / "images", IMAGE_SUFFIXES) if is_there else []
    if len(images) > 1:
        raise DataError(f"{folder / name / 'images'}: expected one image, found {len(images)}, {images[1]} among them")
    return f"{name}/images/{images[0] if images else f'{name}.png'}"


def _masks(folder: Path, name: str, has_classes: bool) -> list[str]:
    masks = files_below(folder / name / "masks", [".png"])
    for mask in masks:
        if mask.count("/") != has_classes:
            way = "class_from is folder, so expected masks/<class>/*.png" if has_classes else "expected masks/*.png"
            raise DataError(f"{folder / name / 'masks' / mask}: {way} (masks/<class>/*.png with class_from: folder)")
    return [f"{name}/masks/{mask}" for mask in masks]


def _side_by_side(folder: Path, root: Path, has_classes: bool) -> MasksByImage:
    """`<name>.<ext>` below one folder and `<name>/*.png` below the other."""
    groups = _groups(folder, has_classes)
    own = (
        {(folder / mask).relative_to(root).as_posix() for masks in groups.values() for mask in masks}
        if (folder.is_relative_to(root))
        else set()
    )
    images = ImageFiles.below(root, without=own)
    found: dict[str, list[str]] = {}
    claimed: dict[str, str] = {}
    for image in images.names:
        key = next((key for key in (image, stem_of(image)) if key in groups or _is_folder(folder / key)), None)
        if key is None:
            continue
        if key in claimed:
            raise DataError(f"{folder / key}: masks of both {claimed[key]} and {image}: keep one, or rename it")
        claimed[key] = image
        found[image] = groups.get(key, [])
    if groups and not groups.keys() & claimed.keys():
        raise DataError(_how_to_pair(folder, root, next(iter(groups))))
    alone = len(images.names) - len(found)
    found |= {f"{key}{images.usual_ending}": masks for key, masks in groups.items() if key not in claimed}
    notes = [f"left out: {alone} of the images in {root}, which have no folder of masks ({_EMPTY})"] if alone else []
    return MasksByImage(folder, root, dict(sorted(found.items())), tuple(notes))


def _groups(folder: Path, has_classes: bool) -> dict[str, list[str]]:
    """Name of an image -> its masks."""
    groups: dict[str, list[str]] = {}
    for mask in files_below(folder, [".png"]):
        parents = list(PurePosixPath(mask).parents)[has_classes:]
        if len(parents) < 2:  # the last one is the folder itself
            below = "<name>/<class>" if has_classes else "<name>"
            raise DataError(f"{folder / mask}: expected it in {below}, where <name> is that of its image")
        groups.setdefault(parents[0].as_posix(), []).append(mask)
    return groups


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112  Path.is_dir raises for names that are too long


def _how_to_pair(folder: Path, root: Path, key: str) -> str:
    return (
        f"{folder}: none of its folders has the name of an image in {root} (the first is {key}): say where the images "
        "are by `images`, and `class_from: folder` if the folders are those of classes"
    )
