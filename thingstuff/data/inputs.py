"""The images and videos that somebody names: files, folders, globs, or a data set that is registered."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from thingstuff.data.catalog import register_shapes, require_datasets
from thingstuff.data.formats.image_files import IMAGE_SUFFIXES
from thingstuff.data.records import load_records
from thingstuff.errors import DataError

OUTPUT_MARK = "drawing.json"  # lies in every folder that predictions were written to; such a folder is no input
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


@dataclass(frozen=True, slots=True)
class ImageInput:
    """One image. `key` is its path relative to `Inputs.root`, with "/", and no other image has it."""

    key: str
    path: Path
    image_id: int | str | None = None  # of a data set


@dataclass(frozen=True, slots=True)
class VideoInput:
    """One video, under a key as an image has it."""

    key: str
    path: Path


@dataclass(frozen=True)
class Inputs:
    """Images and videos below one folder, `root` (absolute); `ignored` are the files in folders that are neither."""

    root: Path
    images: tuple[ImageInput, ...]
    videos: tuple[VideoInput, ...] = ()
    ignored: tuple[Path, ...] = ()


def find_inputs(arguments: Sequence[str | Path]) -> Inputs:
    """Files, folders (with all that is below them) and globs (`**` too) -> what they hold, in natural order.

    `root` is the deepest folder that all arguments share: of one folder itself, of one file its folder, of a glob the
    part before its first wildcard. A file that is reached twice, by any name, counts once, under the first.
    Hidden files and folders are passed over unless they are named.
    """
    if not arguments:
        raise DataError("no image is named: give files, folders or globs")
    named = [_Argument.parse(argument) for argument in arguments]
    root = _common_folder(argument.root for argument in named)
    found = list(_once(path for argument in named for path in argument.files()))
    keys = {path: _key(path, root) for path in sorted(found, key=lambda path: natural(_key(path, root)))}
    return Inputs(
        root,
        tuple(ImageInput(key, path) for path, key in keys.items() if _is_image(path)),
        tuple(VideoInput(key, path) for path, key in keys.items() if _is_video(path)),
        tuple(path for path in keys if not _is_input(path)),
    )


def is_dataset(name: str) -> bool:
    """Whether `name` means a registered data set: a path of that name that exists goes first."""
    register_shapes()
    return name in DatasetCatalog and not Path(name).exists()


def dataset_inputs(name: str) -> Inputs:
    """The images of a registered data set, in its order and with its image ids.

    `root` is the `image_root` of its metadata where all images are below it, else the deepest folder they share.
    """
    require_datasets([name])
    records = load_records(name)
    if not records:
        raise DataError(f"data set {name} has no images")
    paths = [Path(_field(record, "file_name", name, number)) for number, record in enumerate(records)]
    root = _dataset_root(name, paths)
    keys = [_key(path, root) for path in paths]
    _refuse_shared_files(name, keys, records)
    triples = zip(keys, paths, records, strict=True)
    return Inputs(root, tuple(ImageInput(key, path, record.get("image_id")) for key, path, record in triples))


@dataclass(frozen=True, slots=True)
class _Argument:
    """A file, a folder or a glob, as it was typed."""

    text: str
    matches: tuple[Path, ...]
    is_glob: bool

    @classmethod
    def parse(cls, argument: str | Path) -> _Argument:
        text = os.path.expanduser(argument)  # noqa: PTH111  a Path would drop what a glob needs, such as a last "/"
        # a name that exists is no glob, even if it has brackets in it
        if os.path.lexists(text) or not glob.has_magic(text):
            return cls(text, (Path(text),), is_glob=False)
        matches = sorted(glob.glob(text, recursive=True), key=natural)  # noqa: PTH207  Path.glob takes no absolute one
        return cls(text, tuple(Path(match) for match in matches), is_glob=True)

    @property
    def root(self) -> Path:
        if self.is_glob:
            return _absolute(_before_wildcard(self.text))
        path = _absolute(self.matches[0])
        return path if path.is_dir() else path.parent

    def files(self) -> list[Path]:
        """The files that the argument leads to; those of other kinds as well where a folder or a glob found them."""
        if not self.is_glob and not self.matches[0].is_dir():
            return [_named_file(self.matches[0])]
        found = [file for match in self.matches for file in (_walk(match) if match.is_dir() else (match,))]
        if not any(_is_input(path) for path in found):
            what = f"no file matches {self.text}" if self.is_glob and not found else f"no image or video in {self.text}"
            raise DataError(f"{what}: images end in {', '.join(IMAGE_SUFFIXES)}, videos in {', '.join(VIDEO_SUFFIXES)}")
        return found


def _before_wildcard(pattern: str) -> Path:
    folders = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        folders.append(part)
    return Path(*folders)


def _named_file(path: Path) -> Path:
    if not path.exists():
        raise DataError(f"there is no file or folder {path}{_hint(str(path))}")
    if not path.is_file() or not _has_suffix(path, (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)):
        known = ", ".join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
        raise DataError(f"{path} is no image and no video: these end in {known}")
    return path


def _hint(text: str) -> str:
    if text.startswith(("http:", "https:")):
        return ": fetch it first, addresses are not read"
    register_shapes()
    close = difflib.get_close_matches(text, list(DatasetCatalog), n=1, cutoff=0.75)
    if close:
        return f": did you mean the data set {close[0]}?"
    return ": tools/dataset.py shapes writes the embedded data set" if "shapes" in text else ""


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder but hidden ones and those of an earlier run, through links too.

    No folder comes twice, as a link may lead to its parent.
    """
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted((f for f in folders if not f.startswith(".")), key=natural)
        if OUTPUT_MARK in files:
            folders[:] = []
        elif real not in seen:
            yield from (Path(place) / file for file in sorted(files, key=natural) if not file.startswith("."))
        seen.add(real)


def _once(paths: Iterable[Path]) -> Iterator[Path]:
    seen = set()
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path


def natural(text: str) -> tuple[Any, ...]:
    """A sort key by which frame 2 comes before frame 10, folder by folder; the text itself settles what is left."""
    return ([_letters_and_numbers(part) for part in text.casefold().split("/")], text)


def _letters_and_numbers(text: str) -> list[str | int]:
    """Letters at even places, numbers at odd ones, so that two such lists can always be compared."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", text))]


def _key(path: Path, root: Path) -> str:
    return _absolute(path).relative_to(root).as_posix()


def _absolute(path: Path) -> Path:
    """Absolute and without "..", but through links: a file keeps the name under which it was found."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _common_folder(folders: Iterable[Path]) -> Path:
    try:
        return Path(os.path.commonpath(list(folders)))
    except ValueError as error:  # two drives
        raise DataError(f"the inputs share no folder ({error}): give them one after the other") from error


def _is_image(path: Path) -> bool:
    return _has_suffix(path, IMAGE_SUFFIXES) and path.is_file()


def _is_video(path: Path) -> bool:
    return _has_suffix(path, VIDEO_SUFFIXES) and path.is_file()


def _is_input(path: Path) -> bool:
    return _is_image(path) or _is_video(path)


def _has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes


def _field(record: Mapping[str, Any], field: str, name: str, number: int) -> Any:
    if field not in record:
        raise DataError(f"data set {name}, record {number}: it has no {field}")
    return record[field]


def _dataset_root(name: str, paths: Sequence[Path]) -> Path:
    stated = MetadataCatalog.get(name).get("image_root")
    if stated and all(_absolute(path).is_relative_to(_absolute(Path(stated))) for path in paths):
        return _absolute(Path(stated))
    return _common_folder(_absolute(path).parent for path in paths)


def _refuse_shared_files(name: str, keys: Sequence[str], records: Sequence[Mapping[str, Any]]) -> None:
    id_of: dict[str, Any] = {}
    for key, record in zip(keys, records, strict=True):
        if key in id_of:
            ids = f"{id_of[key]!r} and {record.get('image_id')!r}"
            raise DataError(f"data set {name}: the images {ids} are one file, {key}: keep one of them")
        id_of[key] = record.get("image_id")
