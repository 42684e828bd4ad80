"""COCO's stuff JSON: regions as RLE, one a category and image, read as label maps that are drawn when asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.bounded_masks import bounded_mask
from thingstuff.data.formats.coco_ends import coco_ends
from thingstuff.data.formats.coco_images import guess_image_root
from thingstuff.data.formats.coco_json import find_json, kind, read_coco_json
from thingstuff.data.formats.format import Format, Source
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.panoptic.names import image_size
from thingstuff.data.truth import Record, SplitTruth, StuffFiles
from thingstuff.errors import DataError

THINGS_LABEL = 0
OTHER = "other"  # COCO's category 183: here is no stuff, but a thing


def _recognises(path: Path) -> bool:
    ends = coco_ends(path)
    return ends is not None and not ends.is_panoptic and ends.is_stuff


def _read(source: Source) -> SplitTruth:
    path = find_json(source.annotations)
    content = read_coco_json(path)
    stuff, others = _categories(content["categories"], str(path))
    drawing = _Drawing.of(str(path), content, stuff, others)
    names = ", ".join(repr(category["name"]) for category in others)
    return SplitTruth(
        name=str(path),
        image_root=source.images or guess_image_root(path, content["images"]),
        categories=[{**category, "isthing": 0} for category in stuff],
        images=content["images"],
        stuff=drawing.files(path),
        notes=(f"{path}: the category {names} stands for things, and is none of stuff",) if others else (),
    )


def _categories(records: Sequence[Record], name: str) -> tuple[list[Record], list[Record]]:
    """Those of stuff, and what means that a thing may be there."""
    for number, category in enumerate(records):
        if type(category.get("id")) is not int:
            raise DataError(f"{name}: categories[{number}]: expected an integer id, got {kind(category.get('id'))}")
    others = [c for c in records if c.get("isthing") or c.get("name") == c.get("supercategory") == OTHER]
    return [c for c in records if c not in others], others


@dataclass(frozen=True)
class _Drawing:
    """The regions of all images. A label is the position of its category, plus 1; `void_label` is what has none."""

    name: str
    annotations: Sequence[Record]
    label_of: Mapping[int, int]
    void_label: int
    images: Mapping[int | str, tuple[Record, str]]  # with the place of the record
    rows: Mapping[int | str, list[int]]  # of an image in the annotations

    @classmethod
    def of(cls, name: str, content: Mapping[str, Any], stuff: Sequence[Record], others: Sequence[Record]) -> _Drawing:
        label_of = {category["id"]: label for label, category in enumerate(stuff, 1)}
        label_of |= dict.fromkeys((category["id"] for category in others), THINGS_LABEL)
        images = {
            _image_id(image, "id", place): (image, place) for image, place in _placed(name, "images", content["images"])
        }
        rows: dict[int | str, list[int]] = {image_id: [] for image_id in images}
        for number, (note, place) in enumerate(_placed(name, "annotations", content["annotations"])):
            rows.setdefault(_image_id(note, "image_id", place), []).append(number)
        void_label = 255 if len(stuff) < 255 else 65535
        return cls(name, content["annotations"], label_of, void_label, images, rows)

    def files(self, path: Path) -> StuffFiles:
        id_of = {label: own for own, label in self.label_of.items() if label != THINGS_LABEL}
        return StuffFiles(
            paths=dict.fromkeys(self.images, path),
            label_ids={THINGS_LABEL: None, **id_of},
            void_labels=frozenset({self.void_label}),
            drawn={image_id: functools.partial(self.draw, image_id) for image_id in self.images},
        )

    def draw(self, image_id: int | str) -> NDArray[Any]:
        """H x W labels, uint8 or uint16; where regions overlap the later one counts."""
        height, width = image_size(*self.images[image_id])
        labels = np.full((height, width), self.void_label, np.uint8 if self.void_label == 255 else np.uint16)
        for number in self.rows[image_id]:
            note, place = self.annotations[number], f"{self.name}: annotations[{number}]"
            label = self._label(note, place)
            try:
                crop, (x0, y0, x1, y1) = bounded_mask(note.get("segmentation"), height, width)
            except DataError as error:
                raise DataError(f"{place}: {error}") from error
            labels[y0:y1, x0:x1][crop > 0] = label
        return labels

    def _label(self, note: Record, place: str) -> int:
        category_id = note.get("category_id")
        if type(category_id) is not int or category_id not in self.label_of:
            raise DataError(f"{place}: no category has the id {shown(category_id)}")
        return self.label_of[category_id]


def _placed(name: str, key: str, records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
    for number, record in enumerate(records):
        yield record, f"{name}: {key}[{number}]"


def _image_id(record: Record, key: str, place: str) -> int | str:
    found = record.get(key)
    if not isinstance(found, int | str):
        raise DataError(f"{place}: expected {key} to be a number or a text, got {kind(found)}")
    return found


COCO_STUFF = Format(
    name="coco_stuff",
    title="COCO stuff, one JSON of RLE regions a split",
    recognises=_recognises,
    read=_read,
    files=".json",
)
