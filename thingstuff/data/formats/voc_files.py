"""The files of a VOC data set: its root, the images of a list, and the PNG of objects that each has."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import Source
from thingstuff.data.formats.image_files import files_below, folders_below, stem_of
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.label_pairs import images_of_labels, label_images
from thingstuff.data.formats.utf8_names import utf8_names
from thingstuff.errors import DataError

IMAGES, OBJECTS, CLASSES, LISTS = "JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Segmentation"
_MOST_YEARS = 50
_OF_CLASSES = "maps of classes alone are of the format semantic"


@dataclass(frozen=True)
class VocFiles:
    """`pngs`: image -> its PNGs of objects and of classes, relative to `root`; the image is so to `image_root`."""

    root: Path
    image_root: Path
    pngs: dict[str, tuple[str, str]]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, source: Source, faults: Faults) -> VocFiles:
        root = _root(source.annotations)
        listed = _listed(source, root)
        pngs = _pngs(root, listed, faults)
        image_root = source.images or root / IMAGES
        images = label_images(image_root, faults)
        try:
            pairs = images_of_labels({objects: [stem] for stem, (objects, _) in pngs.items()}, images, faults)
        except DataError as error:
            raise DataError(f"{root}: {error}") from error
        of_objects = {objects: pair for pair in pngs.values() for objects in pair[:1]}
        alone = len(images.names) - len(pairs) if listed is None else 0  # of a list the others are another split's
        notes = (f"left out: {alone} of the images in {image_root}, which have no PNG of objects",) if alone else ()
        return cls(root, image_root, {image: of_objects[objects] for image, objects in pairs.items()}, notes)


def voc_roots(path: Path) -> list[Path]:
    """The folder itself, or those in it, as `VOC2012` in `VOCdevkit`, that hold PNGs of objects and of classes."""
    inner = folders_below(path)
    if {OBJECTS, CLASSES} <= set(inner):
        return [path]
    return [path / name for name in inner[:_MOST_YEARS] if {OBJECTS, CLASSES} <= set(folders_below(path / name))]


def _root(annotations: Path) -> Path:
    roots = voc_roots(annotations)
    if not roots:
        raise DataError(f"{annotations}: expected {OBJECTS} and {CLASSES} in it, found neither ({_OF_CLASSES})")
    if len(roots) > 1:
        names = " and ".join(root.name for root in roots[:5])
        raise DataError(f"{annotations}: holds several data sets, {names}: name one of them")
    return roots[0]


def _pngs(root: Path, listed: list[str] | None, faults: Faults) -> dict[str, tuple[str, str]]:
    """Name -> both of its PNGs."""
    objects, classes = _by_name(root, OBJECTS, faults), _by_name(root, CLASSES, faults)
    if not objects:
        raise DataError(f"{root / OBJECTS}: there are no PNGs of objects in it")
    found = {}
    for name in objects if listed is None else _known(listed, objects, root, faults):
        if name in classes:
            found[name] = objects[name], classes[name]
        else:
            faults.add("PNGs of objects without one of classes", shown(objects[name], 200))
    return found


def _by_name(root: Path, folder: str, faults: Faults) -> dict[str, str]:
    names = utf8_names(files_below(root / folder, [".png"]), faults)
    return {stem_of(name): f"{folder}/{name}" for name in names}


def _known(listed: Iterable[str], objects: Collection[str], root: Path, faults: Faults) -> list[str]:
    found = []
    for name in dict.fromkeys(listed):
        if name in objects:
            found.append(name)
        else:
            faults.add("listed names without a PNG of objects", f"{shown(name, 200)} is not in {root / OBJECTS}")
    return found


# ---- lists -------------------------------------------------------------------------------------------------------


def _listed(source: Source, root: Path) -> list[str] | None:
    """The names in the list that the option names, one a line; None without it."""
    text = source.options.get("list")
    if text is None:
        return None
    if not isinstance(text, str) or not text:
        raise DataError(f"list: expected the name of a list, as train, or its path, got {shown(text)}")
    path = _list_path(text, root)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return [name for name in map(_name, lines) if name]


def _list_path(text: str, root: Path) -> Path:
    """A path, or the name of a list, with suffix or without, in the folder that VOC has for them."""
    name = Path(text).name
    places = [Path(text), root / text, root / LISTS / name, root / LISTS / f"{name}.txt"]
    found = next((place for place in places if os.path.isfile(place)), None)  # noqa: PTH113  raises for long names
    if found is None:
        raise DataError(f"list: there is neither {shown(text, 200)} nor such a list in {root / LISTS}")
    return found


def _name(line: str) -> str:
    """Names with blanks in them stand in quotes."""
    name = line.strip()
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name
