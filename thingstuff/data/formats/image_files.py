"""The files of a folder tree, found once; images by their names, and their sizes from their headers."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from PIL import ExifTags, Image

from thingstuff.data.truth import Record
from thingstuff.errors import DataError

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pnm", ".jp2", ".avif"),
)
_FOREIGN_FOLDERS = ("__MACOSX",)
UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, SyntaxError, LookupError, ArithmeticError, AttributeError),
    *(RuntimeError, MemoryError, struct.error, Image.DecompressionBombError),
)


def files_below(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Paths relative to `folder`, with "/", sorted; nothing hidden. Links are followed, but never in a circle."""
    try:
        return sorted(_walk(folder, tuple(suffixes)))
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be read: {error.strerror}") from error


def first_files(folder: Path, suffixes: Sequence[str], most: int) -> list[str]:
    """Some of `files_below`, for a first look; none where the folder cannot be read."""
    try:
        return list(islice(_walk(folder, tuple(suffixes)), most))
    except OSError:
        return []


def folders_below(folder: Path) -> list[str]:
    """The names of the folders in it, sorted; nothing that is hidden."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if _is_ours(entry.name) and entry.is_dir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error


def images_near(folder: Path) -> Path:
    """`masks/train` -> `images/train`, if that is there; else the folder itself."""
    for place in range(len(folder.parts) - 1, 0, -1):
        found = Path(*folder.parts[:place], "images", *folder.parts[place + 1 :])
        if found.is_dir():
            return found
    return folder


def stem_of(name: str) -> str:
    """`a/b.jpg` -> `a/b`."""
    return name[: len(name) - len(PurePosixPath(name).suffix)]


@dataclass(frozen=True)
class ImageFiles:
    """The images below a folder, by name; `names` are relative paths."""

    root: Path
    names: Sequence[str]

    @classmethod
    def below(cls, root: Path, without: Iterable[str] = ()) -> ImageFiles:
        left_out = set(without)
        return cls(root, [name for name in files_below(root, IMAGE_SUFFIXES) if name not in left_out])

    def called(self, key: str) -> str | None:
        """The image whose name, with suffix or without, is `key`."""
        if key in self._whole:
            return key
        found = self._by_stem.get(key, [])
        if len(found) > 1:
            raise DataError(f"{self.root}: both {found[0]} and {found[1]} are called {key!r}: keep one, or rename it")
        return found[0] if found else None

    @property
    def usual_ending(self) -> str:
        """That of most images, such as ".jpg"."""
        endings = Counter(name[len(stem_of(name)) :] for name in self.names)
        return endings.most_common(1)[0][0] if endings else ".png"

    @cached_property
    def _whole(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        by_stem: dict[str, list[str]] = {}
        for name in self.names:
            by_stem.setdefault(stem_of(name), []).append(name)
        return by_stem


def image_record(image_id: int, file_name: str, root: Path, size_hw: tuple[int, int] | None = None) -> Record:
    """COCO's record of an image, with the size of its file, or with `size_hw` where that cannot be read."""
    height, width = image_size_hw(root / file_name) or size_hw or (None, None)
    size = {} if height is None else {"width": width, "height": height}
    return {"id": image_id, "file_name": file_name, **size}


def image_size_hw(path: Path) -> tuple[int, int] | None:
    """The size as the image is read, turned as its EXIF tag says, from its header alone; None if that is unreadable."""
    if not os.path.isfile(path):  # noqa: PTH113  Path.is_file raises for long names
        return None
    try:
        with Image.open(path) as image:
            width, height = image.size
            # Pillow looks for the tag of a PNG behind its pixels; a TIFF's size is turned already
            is_known = "exif" in image.info or image.format not in ("PNG", "TIFF")
            turn = image.getexif().get(ExifTags.Base.Orientation) if is_known else None
    except UNREADABLE:
        return None
    return (width, height) if turn in (5, 6, 7, 8) and image.format != "TIFF" else (height, width)


def _walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    pending, seen = [""], set()
    while pending:
        inner = pending.pop()
        place = os.path.realpath(folder / inner)
        if place in seen:
            continue
        seen.add(place)
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                name = f"{inner}/{entry.name}" if inner else entry.name
                if not _is_ours(entry.name):
                    continue
                if entry.is_dir():
                    pending.append(name)
                elif entry.name.lower().endswith(suffixes) and entry.is_file():
                    yield name


def _is_ours(name: str) -> bool:
    return not name.startswith(".") and name not in _FOREIGN_FOLDERS
