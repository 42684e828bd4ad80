"""Images that are not where their records say, that lie elsewhere, that come twice, and files that no record names."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from thingstuff.data.checks.check import Check, Checked, Code, Finding, as_text
from thingstuff.data.checks.image_facts import ImageFiles
from thingstuff.data.checks.listed_files import Located
from thingstuff.data.formats.image_files import IMAGE_SUFFIXES
from thingstuff.data.truth import SplitTruth

IMAGE_MISSING = Code("image-missing", "error", "put the file there, or leave its record out")
IMAGE_OUTSIDE_ROOT = Code("image-outside-root", "error", "copy the file into the image folder, and name it there")
IMAGE_LISTED_TWICE = Code("image-listed-twice", "error", "keep one record, with the annotations of both")
IMAGE_UNLISTED = Code("image-unlisted", "info", "nothing, if the file is not meant to be used")
IMAGE_CASE = Code("image-case", "warning", "give the record the name that the file has, and each file one of its own")


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        yield from _places(name, split, data.image_files[name])
        yield from _repeated(name, split)
    yield from _unlisted(data)


def _places(name: str, split: SplitTruth, files: ImageFiles) -> Iterator[Finding]:
    for number, found in enumerate(files.located):
        stated, place = as_text(split.images[number].get("file_name")), split.image_place(number)
        if found.state == "outside":
            message = f"{stated} leads out of {split.image_root}, and is not opened"
            yield Finding(IMAGE_OUTSIDE_ROOT, name, place, message)
        elif found.state == "missing":
            message = f"there is no file {stated} in {split.image_root}{_hint(split, found)}"
            yield Finding(IMAGE_MISSING, name, place, message)
        elif found.other_case is not None:
            message = f"the file is called {found.other_case!r}, not {stated}, which other machines tell apart"
            yield Finding(IMAGE_CASE, name, place, message)


def _hint(split: SplitTruth, found: Located) -> str:
    if found.other_case is not None:
        return f": there is {found.other_case!r}, which differs in upper and lower case alone"
    return "" if split.image_root.is_dir() else ", which is no folder"


def _repeated(name: str, split: SplitTruth) -> Iterator[Finding]:
    first: dict[str, int] = {}
    first_in_lower_case: dict[str, int] = {}
    for number, image in enumerate(split.images):
        if not isinstance(image.get("file_name"), str):
            continue
        key, place = posixpath.normpath(image["file_name"]), split.image_place(number)
        if first.setdefault(key, number) != number:
            other = split.image_place(first[key])
            yield Finding(IMAGE_LISTED_TWICE, name, place, f"{as_text(key)} is the image of {other} already")
        elif first_in_lower_case.setdefault(key.casefold(), number) != number:
            other = split.images[first_in_lower_case[key.casefold()]]["file_name"]
            message = f"{as_text(key)} and {as_text(other)} differ in case alone: on other machines they are one file"
            yield Finding(IMAGE_CASE, name, place, message)


def _unlisted(data: Checked) -> Iterator[Finding]:
    """Images beside those that are named. Splits may share a folder: what one of them names is named."""
    named = {found.path for files in data.image_files.values() for found in files.located}
    for files in data.image_files.values():
        others = [str(files.files.root / found.other_case) for found in files.located if found.other_case is not None]
        named |= set(map(os.path.realpath, others))
    for name, files in data.image_files.items():
        for file_name, path in files.files.beside():
            if path not in named and file_name.lower().endswith(IMAGE_SUFFIXES) and not file_name.startswith("."):
                named.add(path)
                yield Finding(IMAGE_UNLISTED, name, path, "no record names this image")


IMAGE_NAMES = Check(
    (IMAGE_MISSING, IMAGE_OUTSIDE_ROOT, IMAGE_LISTED_TWICE, IMAGE_UNLISTED, IMAGE_CASE), _run, is_quick=True
)
