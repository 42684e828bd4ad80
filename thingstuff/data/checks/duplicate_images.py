"""The same picture twice: in one split it counts double, in two splits it is evaluated what was learnt by heart."""

from __future__ import annotations

import posixpath
from collections.abc import Hashable, Iterator
from typing import Any

from thingstuff.data.checks.check import Check, Checked, Code, Finding, as_text

IMAGE_DUPLICATE = Code("image-duplicate", "warning", "keep one of the images")
IMAGE_LEAK = Code("image-leak", "error", "keep the image in one split")

_Picture = tuple[str, int]  # split and number of the image


def _run(data: Checked) -> Iterator[Finding]:
    """Files are compared by where they really lie and, unless it is to be quick, by their pixels, as they are read."""
    files: dict[Hashable, list[_Picture]] = {}
    pixels: dict[Hashable, list[_Picture]] = {}
    for split, images in data.image_files.items():
        for number, found in enumerate(images.located):
            if found.state == "there":
                files.setdefault(found.path, []).append((split, number))
        for number, facts in enumerate([] if data.is_quick else images.facts):
            if facts is not None and facts.digest is not None:
                pixels.setdefault(facts.digest, []).append((split, number))
    leaked: set[_Picture] = set()
    for pictures in files.values():
        yield from _leaks(data, pictures, "is the same file as", leaked)
    for pictures in pixels.values():
        yield from _leaks(data, pictures, "has the same pixels as", leaked)
        yield from _duplicates(data, pictures)


def _leaks(data: Checked, pictures: list[_Picture], what: str, leaked: set[_Picture]) -> Iterator[Finding]:
    """The pictures of later splits that the first split has, each once."""
    first = pictures[0]
    for picture in pictures[1:]:
        if picture[0] != first[0] and picture not in leaked:
            leaked.add(picture)
            message = f"{_name(data, picture)} {what} {_name(data, first)} of {first[0]}"
            yield Finding(IMAGE_LEAK, picture[0], _place(data, picture), message)


def _duplicates(data: Checked, pictures: list[_Picture]) -> Iterator[Finding]:
    """Later pictures of a split; the same file named twice is the matter of another check."""
    first_of: dict[str, _Picture] = {}
    for picture in pictures:
        first = first_of.setdefault(picture[0], picture)
        if picture != first and _key(data, picture) != _key(data, first):
            message = f"{_name(data, picture)} has the same pixels as {_name(data, first)} ({_place(data, first)})"
            yield Finding(IMAGE_DUPLICATE, picture[0], _place(data, picture), message)


def _stated(data: Checked, picture: _Picture) -> Any:
    split, number = picture
    return data.splits[split].images[number].get("file_name")


def _name(data: Checked, picture: _Picture) -> str:
    return as_text(_stated(data, picture))


def _key(data: Checked, picture: _Picture) -> str:
    return posixpath.normpath(_stated(data, picture))


def _place(data: Checked, picture: _Picture) -> str:
    return data.splits[picture[0]].image_place(picture[1])


DUPLICATE_IMAGES = Check((IMAGE_DUPLICATE, IMAGE_LEAK), _run, is_quick=True)
