"""The ids of a COCO ground truth: checked, numbered from 1, and where an id that is not among them may come from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thingstuff.errors import DataError

_OTHER_DATA = "were they made for other data?"


@dataclass(frozen=True)
class CocoIds:
    """Data set ids -> contiguous ids, in sorted order from 1, because ties between images are broken by that order.

    `names` are by category, `sizes` by image: [height, width], None where the ground truth does not state it.
    """

    images: Mapping[Any, int]
    categories: Mapping[Any, int]
    names: Mapping[Any, str]
    sizes: Mapping[Any, list[int] | None]

    @classmethod
    def read(cls, truth: Any, name: str) -> CocoIds:
        """The ids of `truth`, a dictionary in COCO's format that messages call `name`."""
        images, categories = listed(truth, "images", name), listed(truth, "categories", name)
        for key, records in (("images", images), ("categories", categories)):
            _expect_mappings(records, f"{name}: {key}")
        positions = (_positions(images, name, "images"), _positions(categories, name, "categories"))
        sizes = {image["id"]: _size(image, f"{name}: images[{n}]") for n, image in enumerate(images)}
        return cls(*positions, _names(categories, name), sizes)

    def rename(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {"image_id": self.images[record["image_id"]], "category_id": self.categories[record["category_id"]]}


def listed(truth: Any, key: str, name: str) -> list[Any]:
    """One of the three lists of COCO's format."""
    if isinstance(truth, list) and _have_scores(truth):
        raise DataError(
            f"{name}: expected a dictionary of images, categories and annotations, but these are results, not a ground "
            "truth: were the two exchanged?"
        )
    if isinstance(truth, list):
        raise DataError(
            f"{name}: expected a dictionary of images, categories and annotations, got a list: are these the results?"
        )
    records = truth.get(key) if isinstance(truth, Mapping) else None
    if not isinstance(records, list):
        raise DataError(f"{name}: no list of {key!r}: COCO's format has images, categories and annotations")
    return records


def is_ground_truth(content: Any) -> bool:
    """COCO's three lists, whose annotations have no scores."""
    return (
        isinstance(content, Mapping)
        and all(isinstance(content.get(key), list) for key in ("images", "categories", "annotations"))
        and not _have_scores(content["annotations"])
    )


def refuse_shared(values: Sequence[Any], key: str, what: str, name: str) -> None:
    """Refuse the first of a list's values that was there before, and one that is neither number nor text; not None."""
    try:
        if len(set(values)) == len(values):
            return
    except TypeError:
        pass  # the search below names the value that cannot be an id
    first: dict[Any, int] = {}
    for number, value in enumerate(values):
        if isinstance(value, list | dict):
            raise DataError(f"{name}: {key}[{number}]: the {what} must be a number or a text, got {value!r}")
        if value is not None and value in first:
            shared = f"two records share the {what} {value!r}"
            raise DataError(f"{name}: {key}[{number}]: {shared}, the other is {key}[{first[value]}]: give each its own")
        first[value] = number


def id_hint(what: str, unknown: Any, found: Iterable[Any], known: Collection[Any]) -> str:
    """Why an "image" or "category" id of the results is not `known`, as all ids that were found there let it seem."""
    hint = _type_hint(unknown, known)
    values = {v for v in found if isinstance(v, int)}
    if hint is None and values and known and all(isinstance(i, int) for i in (unknown, *known)):
        hint = _number_hint(what, values, set(known))
    return hint or _OTHER_DATA


def _have_scores(records: list[Any]) -> bool:
    return any(isinstance(record, Mapping) and "score" in record for record in records)


def _expect_mappings(records: list[Any], name: str) -> None:
    for number, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise DataError(f"{name}[{number}]: expected a dictionary, got {type(record).__name__}")


def _positions(records: list[Any], name: str, key: str) -> dict[Any, int]:
    what = {"images": "image", "categories": "category"}[key]
    ids = [record.get("id") for record in records]
    refuse_shared(ids, key, f"{what} id", name)
    if None in ids:
        raise DataError(f"{name}: {key}[{ids.index(None)}]: has no id: {what} ids are missing")
    try:
        return {i: position for position, i in enumerate(sorted(ids), 1)}
    except TypeError:
        raise DataError(f"{name}: {what} ids are of mixed types: make all of them integers") from None


def _names(categories: list[Any], name: str) -> dict[Any, str]:
    names = {c["id"]: str(c.get("name", c["id"])) for c in categories}
    refuse_shared(list(names.values()), "categories", "category name", name)
    return names


def _size(image: Mapping[str, Any], name: str) -> list[int] | None:
    stated: list[Any] = [image.get("height"), image.get("width")]
    if None in stated:
        return None
    try:
        size = [int(side) for side in stated]
    except (TypeError, ValueError, OverflowError):
        size = []
    if size != stated or min(size) < 0:
        raise DataError(f"{name} (id {image['id']!r}): height and width must be whole numbers, got {stated}")
    return size


def _type_hint(unknown: Any, known: Collection[Any]) -> str | None:
    """An id that is the same but for its type."""
    types = {type(i) for i in known}
    if types == {int} and isinstance(unknown, str):
        return "the ground truth's ids are numbers, this one is a text"
    if types == {str} and isinstance(unknown, int):
        return "the ground truth's ids are texts, this one is a number"
    return None


def _number_hint(what: str, values: set[int], known: set[int]) -> str | None:
    lowest, highest = min(known), max(known)
    if lowest == 1 and 0 in values and max(values) < highest:
        return f"{what} ids are counted from 0 here, the ground truth's start at 1"
    if lowest == 1 and 0 in values and what == "category":
        return "is 0 the background? COCO's results leave it out"
    for step, size in ((1, "small"), (-1, "large")):
        if len(values) > 1 and {v + step for v in values} <= known:
            return f"each {what} id is one too {size}: the ground truth's start at {lowest}"
    if values <= set(range(len(known) + 1)) and highest > len(known):
        have_gaps = highest - lowest >= len(known)
        true_ids = f"ground truth's {what} ids {'have gaps' if have_gaps else f'start at {lowest}'}"
        return f"they look like places in a list, and the {true_ids}"
    return None
