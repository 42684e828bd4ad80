"""What goes into panoptic truth and out of it again decides alike: file names, sizes, and folders that are whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.store.exports.names import file_names

_LONGEST_NAME = 2000  # bytes, so that a folder may stand before it: a path has at most 4096
MOST_PX = 2**28  # of an image whose size a file merely states


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write, which becomes `folder`, new or empty, if the block ends well; else it leaves no trace."""
    target = folder.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{folder} holds something already: name a new or an empty folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        yield fresh
        fresh.replace(target)


def png_names(truth: SplitTruth) -> list[str]:
    """One PNG name an image, nested as the images are: `a/b.jpg` -> `a/b.png`, or `a/b.jpg.png` beside an `a/b.tif`.

    No name leaves the folder, and no folder has the name of a file.
    """
    keys = [_key(image, truth.image_place(n)) for n, image in enumerate(truth.images)]
    first: dict[str, int] = {}
    for n, key in enumerate(keys):
        if first.setdefault(key, n) != n:
            raise DataError(f"{truth.image_place(n)} and {truth.image_place(first[key])} are one file, {key}: keep one")
    names = file_names(keys, ".png")
    return [names[key] for key in keys]


def _key(image: Record, place: str) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not is_inside(name):
        raise DataError(f"{place}: expected a file_name below the image folder, got {name!r:.80}")
    *folders, last = PurePosixPath(name).parts
    # the image `a` has the file a.png, so the folder of the image `a.png/b` needs another name
    return "/".join([*(f"{f}~" if f.rstrip("~").lower().endswith(".png") else f for f in folders), last])


def is_inside(name: str) -> bool:
    """Whether a path with "/" or "\\" between its parts stays below the folder that it is relative to."""
    parts = name.replace("\\", "/").split("/")
    return bool(name.strip("./\\ ")) and parts[0] != "" and ".." not in parts and is_encodable(name)


def is_encodable(name: str) -> bool:
    """Whether a file can have this name at all: JSON can hold texts that no file system takes."""
    try:
        encoded = os.fsencode(name)
        return (
            len(encoded) <= _LONGEST_NAME and b"\0" not in encoded and all(len(p) <= 255 for p in encoded.split(b"/"))
        )
    except UnicodeEncodeError:
        return False


def image_size(image: Record, place: str) -> tuple[int, int]:
    """Height and width as the record states them."""
    height, width = image.get("height"), image.get("width")
    if not _is_count(height) or not _is_count(width):
        raise DataError(f"{place}: expected a height and a width of 1 or more, got {height!r:.40} and {width!r:.40}")
    if height * width > MOST_PX:
        raise DataError(f"{place}: expected at most {MOST_PX} pixels, got {height} x {width}")
    return height, width


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
