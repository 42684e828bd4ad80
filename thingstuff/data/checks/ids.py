"""Ids: each of its own, an integer, and of something that is there; and the records that the rest relies on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from thingstuff.data.checks.annotation_twins import twins
from thingstuff.data.checks.category_ids import (
    CATEGORY_ID_DUPLICATE,
    CATEGORY_ID_INVALID,
    CATEGORY_NAME_DUPLICATE,
    CATEGORY_UNUSED_ROOT,
    category_faults,
    unused_roots,
    without_categories,
)
from thingstuff.data.checks.check import Check, Checked, Code, Finding, as_text
from thingstuff.data.checks.incomplete import annotation_faults, image_faults
from thingstuff.data.checks.mending import with_changes
from thingstuff.data.checks.numbers import is_key, positions, rows_by_key
from thingstuff.data.truth import Record, SplitTruth

IMAGE_ID_DUPLICATE = Code("image-id-duplicate", "error", "give each image an id of its own")
IMAGE_ID_MISSING = Code("image-id-missing", "error", "give the image an id")
ANNOTATION_ID_DUPLICATE = Code("annotation-id-duplicate", "error", "number it anew", is_fixable=True)
UNKNOWN_IMAGE = Code("annotation-unknown-image", "error", "leave the annotation out", is_fixable=True)
UNKNOWN_CATEGORY = Code("annotation-unknown-category", "error", "use the ids of the categories")
DUPLICATE = Code("annotation-duplicate", "warning", "leave the second one out", is_fixable=True)
INCOMPLETE = Code("record-incomplete", "error", "state what is missing")


def _run(data: Checked) -> Iterator[Finding]:
    roots = _roots(data)
    for name, split in data.splits.items():
        for code, number, message in category_faults(split, roots):
            yield Finding(code, name, f"{split.name}: categories[{number}]", message)
        for code, number, message in _image_faults(split):
            yield Finding(code, name, split.image_place(number), message)
        for code, number, message in _annotation_faults(split):
            yield Finding(code, name, split.annotation_place(number), message)


def _roots(data: Checked) -> set[object]:
    """Names of roots that no split uses: one that only the validation images lack is a class like any other."""
    return set.intersection(*(unused_roots(split) for split in data.splits.values())) if data.splits else set()


def _image_faults(split: SplitTruth) -> Iterator[tuple[Code, int, str]]:
    ids = [image.get("id") for image in split.images]
    for number, first in _repeated(ids):
        yield IMAGE_ID_DUPLICATE, number, f"the id {as_text(ids[number])} is also that of {split.image_place(first)}"
    yield from ((IMAGE_ID_MISSING, number, "the image has no id") for number, one in enumerate(ids) if one is None)
    yield from ((INCOMPLETE, number, message) for number, message in image_faults(split.images))


def _annotation_faults(split: SplitTruth) -> Iterator[tuple[Code, int, str]]:
    records = split.annotations or []
    ids = [record.get("id") for record in records]
    for number, first in _repeated(ids):
        other = split.annotation_place(first)
        yield ANNOTATION_ID_DUPLICATE, number, f"the id {as_text(ids[number])} is also that of {other}"
    shift = _image_shift(split)
    for number in _of_unknown_image(split):
        yield UNKNOWN_IMAGE, number, f"no image has the id {as_text(records[number]['image_id'])}{shift}"
    yield from _of_unknown_category(split)
    yield from ((INCOMPLETE, number, message) for number, message in annotation_faults(records))
    for number, first in twins(records):
        yield DUPLICATE, number, f"the same image, category and shape as {split.annotation_place(first)}"


def _repeated(ids: list[object]) -> Iterator[tuple[int, int]]:
    """(number, number of the first with the same id) of each that comes again."""
    first = rows_by_key(ids)
    if len(first) == len(ids):
        return
    for number, one in enumerate(ids):
        if one is not None and is_key(one) and first[one] != number:
            yield number, first[one]


def _of_unknown_image(split: SplitTruth) -> list[int]:
    wanted = [record.get("image_id") for record in split.annotations or []]
    found = positions(wanted, rows_by_key(image.get("id") for image in split.images))
    return [n for n in (found < 0).nonzero()[0].tolist() if wanted[n] is not None]


def _of_unknown_category(split: SplitTruth) -> Iterator[tuple[Code, int, str]]:
    wanted = [record.get("category_id") for record in split.annotations or []]
    known = rows_by_key(category.get("id") for category in split.categories)
    unknown = [n for n in (positions(wanted, known) < 0).nonzero()[0].tolist() if wanted[n] is not None]
    if not unknown:
        return
    shift = _shift(wanted, known, "categories'")
    ids = _some_of(list(known))
    names = _some_of([category.get("name") for category in split.categories])
    for number in unknown:
        one = wanted[number]
        if isinstance(one, str):
            yield UNKNOWN_CATEGORY, number, f"the label {as_text(one)} is none of the categories {names}"
        else:
            yield UNKNOWN_CATEGORY, number, f"no category has the id {as_text(one)}: the ids are {ids}{shift}"


def _image_shift(split: SplitTruth) -> str:
    """Said of annotations that are all on another image than theirs, of which only the last ones are noticed."""
    wanted = [record.get("image_id") for record in split.annotations or []]
    return _shift(wanted, (image.get("id") for image in split.images), "images', so that all are on the wrong image")


def _shift(wanted: Iterable[object], there: Iterable[object], whose: str) -> str:
    """What is said if all ids fit once they are moved by one."""
    used = {one for one in wanted if type(one) is int}
    known = {one for one in there if type(one) is int}
    for step, word in ((1, "lower"), (-1, "higher")):
        if used and not used <= known and {one + step for one in used} <= known:
            return f"; all ids are one {word} than the {whose}"
    return ""


def _some_of(values: list[object], most: int = 8) -> str:
    text = ", ".join(as_text(value, 30) for value in values[:most])
    return text if len(values) <= most else f"{text}, ... ({len(values)} in all)"


def _mend(split: SplitTruth) -> SplitTruth:
    """Without dummy categories, annotations of unknown images and repeated ones, each annotation with its own id.

    Where all image ids are one off, leaving out the last ones would hide that the others are wrong, so all stay.
    """
    split = without_categories(split, unused_roots(split))
    gone: dict[int, Record | None] = {} if _image_shift(split) else dict.fromkeys(_of_unknown_image(split))
    split = with_changes(split, gone, "annotations of unknown images left out: {}")
    gone = dict.fromkeys(number for number, _ in twins(split.annotations or []))
    split = with_changes(split, gone, "repeated annotations left out: {}")
    records = split.annotations or []
    repeated = _repeated([record.get("id") for record in records])
    free = 1 + max((record["id"] for record in records if type(record.get("id")) is int), default=0)
    anew: dict[int, Record | None] = {
        number: {**records[number], "id": free + step} for step, (number, _) in enumerate(repeated)
    }
    return with_changes(split, anew, "annotations numbered anew: {}")


IDS = Check(
    codes=(
        *(CATEGORY_ID_DUPLICATE, CATEGORY_NAME_DUPLICATE, CATEGORY_ID_INVALID, CATEGORY_UNUSED_ROOT),
        *(IMAGE_ID_DUPLICATE, IMAGE_ID_MISSING, ANNOTATION_ID_DUPLICATE, UNKNOWN_IMAGE, UNKNOWN_CATEGORY),
        *(DUPLICATE, INCOMPLETE),
    ),
    run=_run,
    is_quick=True,
    mend=_mend,
)
