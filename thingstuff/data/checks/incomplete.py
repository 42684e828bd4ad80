"""Records that lack a key, or have something of another type in it than the rest relies on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from thingstuff.data.checks.check import as_text
from thingstuff.data.checks.numbers import is_whole_number
from thingstuff.data.truth import Record

_Fits = Callable[[Any], bool]


def image_faults(images: Sequence[Record]) -> Iterator[tuple[int, str]]:
    """(number of the image, what is wrong). An id that is missing has a code of its own."""
    for key, fits, expected in _OF_IMAGES:
        yield from _faults(images, key, fits, expected, is_needed=key != "id")


def annotation_faults(annotations: Sequence[Record]) -> Iterator[tuple[int, str]]:
    """(number of the annotation, what is wrong). Wrong values of the right type are the other checks' matter."""
    for key, fits, expected in _OF_ANNOTATIONS:
        yield from _faults(annotations, key, fits, expected, is_needed=key.endswith("id"))


def _faults(
    records: Sequence[Record], key: str, fits: _Fits, expected: str, is_needed: bool
) -> Iterator[tuple[int, str]]:
    for number, record in enumerate(records):
        value = record.get(key)
        if value is None:
            if is_needed:
                yield number, f"it has no {key}, expected {expected}"
        elif not fits(value):
            yield number, f"{key} is {as_text(value)}, expected {expected}{_hint(key, value)}"


def _is_id(value: Any) -> bool:
    return is_whole_number(value) or isinstance(value, str)


def _is_side(value: Any) -> bool:
    return is_whole_number(value) and value > 0


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_flag(value: Any) -> bool:
    return isinstance(value, int) and value in (0, 1)


def _is_segmentation(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(piece, list | tuple) for piece in value)
    return isinstance(value, dict)


def _hint(key: str, value: Any) -> str:
    if key == "segmentation" and isinstance(value, list | tuple):
        return ": a polygon must be in a list, also if it is the only one"
    return ""


# key, what fits, what is expected
_OF_IMAGES: tuple[tuple[str, _Fits, str], ...] = (
    ("id", _is_id, "an integer or a text"),
    ("file_name", _is_name, "a path below the image folder"),
    ("width", _is_side, "a whole number above 0"),
    ("height", _is_side, "a whole number above 0"),
)
_OF_ANNOTATIONS: tuple[tuple[str, _Fits, str], ...] = (
    ("id", _is_id, "an integer"),
    ("image_id", _is_id, "the id of an image"),
    ("category_id", _is_id, "the id of a category"),
    ("iscrowd", _is_flag, "0 or 1"),
    ("segmentation", _is_segmentation, "a list of polygons or an RLE"),
)
