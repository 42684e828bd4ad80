"""Where the images of LabelMe's files are, and what they are called below one folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from thingstuff.data.formats.labelme_file import LabelmeFile


def common_root(folder: Path, files: Sequence[LabelmeFile]) -> Path:
    """The folder of the files if all images are in it; else the one that they share, if that is near, beside it."""
    shared = os.path.commonpath([os.path.dirname(_stated(folder, file)) for file in files])  # noqa: PTH120
    if _is_below(shared, folder) or not _is_below(shared, folder.parent):
        return folder
    return Path(shared)


def file_names_in(root: Path, folder: Path, files: Sequence[LabelmeFile]) -> list[str]:
    """The name of each image relative to `root`: where its file says it is, if that is below, else where it is found.

    A name that leads out of `root` remains so where nothing better is there.
    """
    return [_file_name(root, folder, file) for file in files]


def _file_name(root: Path, folder: Path, file: LabelmeFile) -> str:
    stated = _stated(folder, file)
    mirrored = os.path.normpath(root / PurePosixPath(file.name).parent / file.image_path)
    flat = str(root / PurePosixPath(file.image_path).name)
    inside = [path for path in (stated, mirrored, flat) if _is_below(path, root)]
    # Path.is_file raises for names that are too long
    found = next((path for path in inside if os.path.isfile(path)), stated if root == folder else [*inside, stated][0])  # noqa: PTH113
    return Path(os.path.relpath(found, root)).as_posix()


def _stated(folder: Path, file: LabelmeFile) -> str:
    return os.path.normpath(folder / PurePosixPath(file.name).parent / file.image_path)


def _is_below(path: str, folder: Path) -> bool:
    return Path(path).is_relative_to(folder)
