"""Label maps of stuff: missing, unreadable, of another size, with labels of no meaning, or against the instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.check import Check, Checked, Code, Finding, as_text
from thingstuff.data.checks.image_facts import in_threads
from thingstuff.data.checks.listed_files import ListedFiles
from thingstuff.data.checks.numbers import is_key
from thingstuff.data.checks.shapes import Kind, Shapes
from thingstuff.data.truth import SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops
from thingstuff.structures.runs import label_extents

STUFF_MISSING = Code("stuff-missing", "error", "put the label map there, or leave the image out")
STUFF_UNREADABLE = Code("stuff-unreadable", "error", "fetch or write the label map again")
STUFF_SIZE = Code("stuff-size", "error", "write the label map in the size of its image")
STUFF_LABEL = Code("stuff-label", "error", "say what the label means with `labels`, or that it is void with `void`")
STUFF_UNDER_THINGS = Code("stuff-under-things", "warning", "check what the labels mean: are they ids of categories?")
STUFF_ALL_VOID = Code("stuff-all-void", "warning", "leave the image out, or label it")

MOST_SHARE = 0.5  # of the pixels of an image's instances
_SHOWN = 5

_Fault = tuple[Code, str]


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        if split.stuff is None:
            continue
        missing = list(_missing(split, split.stuff))
        for number, message in enumerate(missing):
            if message is not None:
                yield Finding(STUFF_MISSING, name, split.image_place(number), message)
        if not data.is_quick:
            there = [number for number, message in enumerate(missing) if message is None]
            maps = _Maps.of(split, split.stuff, data.shapes[name])
            for number, faults in zip(there, in_threads(maps.faults, there, "label maps"), strict=True):
                path = str(split.stuff.paths[split.images[number]["id"]])
                for code, message in faults:
                    said = message if path in message else f"{path}: {message}"
                    yield Finding(code, name, split.image_place(number), said)


def _missing(split: SplitTruth, stuff: StuffFiles) -> Iterator[str | None]:
    """For each image why it has no label map, or None."""
    folders: dict[Path, ListedFiles] = {}
    for image in split.images:
        image_id = image.get("id")
        path = stuff.paths.get(image_id) if is_key(image_id) else None
        if path is None:
            yield f"image {as_text(image_id)} has no label map"
            continue
        files = folders.setdefault(path.parent, ListedFiles(path.parent))
        is_there = files.find(path.name).state == "there" or path.is_file()  # through a link, perhaps
        yield None if is_there else f"there is no label map {path}"


# ---- one map -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Maps:
    """The label maps of a split and what lies over them. `rows_of`: image -> its annotations that can be drawn."""

    split: SplitTruth
    stuff: StuffFiles
    shapes: Shapes
    rows_of: Mapping[int, Sequence[int]]
    stuff_labels: NDArray[np.int64]
    know_things: bool

    @classmethod
    def of(cls, split: SplitTruth, stuff: StuffFiles, shapes: Shapes) -> _Maps:
        categories = [category for category in split.categories if is_key(category.get("id"))]
        stuff_ids = {category["id"] for category in categories if not category.get("isthing", 1)}
        labels = [label for label, own in stuff.label_ids.items() if own in stuff_ids]
        return cls(
            split,
            stuff,
            shapes,
            _drawable_rows(shapes),
            np.array(labels, np.int64),
            len(labels) < len(stuff.label_ids),
        )

    def faults(self, number: int) -> list[_Fault]:
        """All that is wrong with the map of one image, in a few sentences."""
        image = self.split.images[number]
        try:
            labels = self.stuff.read(image["id"])
        except DataError as error:
            return [(STUFF_UNREADABLE, str(error))]
        faults = list(self._of_labels(labels))
        stated = (image.get("height"), image.get("width"))
        if None not in stated and stated != labels.shape:
            found = f"{labels.shape[1]} x {labels.shape[0]}"
            message = f"the label map has {found} pixels (width x height), its image {as_text(stated[1])} x "
            return [(STUFF_SIZE, f"{message}{as_text(stated[0])}"), *faults]
        return [*faults, *self._under_things(number, labels)]

    def _of_labels(self, labels: NDArray[Any]) -> Iterator[_Fault]:
        values, areas_px, _ = label_extents(labels)
        void = self.stuff.void_labels
        sizes = {v: n for v, n in zip(values.tolist(), areas_px.tolist(), strict=True) if v not in void}
        unknown = {label: size for label, size in sizes.items() if label not in self.stuff.label_ids}
        if unknown:
            shown = ", ".join(f"{label} ({size} px)" for label, size in list(unknown.items())[:_SHOWN])
            more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
            known = as_text([*self.stuff.label_ids])
            yield STUFF_LABEL, f"labels {shown}{more} mean nothing: known are {known}, void {as_text(sorted(void))}"
        if not sizes:
            yield STUFF_ALL_VOID, f"all {labels.size} pixels are void"

    def _under_things(self, number: int, labels: NDArray[Any]) -> Iterator[_Fault]:
        is_stuff = np.isin(labels, self.stuff_labels)
        pixels = stuff_px = own_id_px = 0
        own_ids = set()
        for row in self.rows_of.get(number, ()):
            crop, (x0, y0, x1, y1) = next(iter(MaskCrops.from_coco([self.shapes.segmentations[row]], *labels.shape)))
            inside, category_id = crop.view(bool), (self.split.annotations or [])[row].get("category_id")
            pixels += np.count_nonzero(inside)
            stuff_px += np.count_nonzero(is_stuff[y0:y1, x0:x1] & inside)
            if self._is_confusable(category_id):
                own_ids.add(category_id)
                own_id_px += np.count_nonzero((labels[y0:y1, x0:x1] == category_id) & inside)
        # such labels lie on instances; a stuff label that happens to be the id goes on around them
        if own_id_px > MOST_SHARE * pixels and np.isin(labels, list(own_ids)).sum() < own_id_px / MOST_SHARE:
            share = f"at {own_id_px / pixels:.0%} of the {pixels} pixels of its instances the label is the id of the "
            yield STUFF_UNDER_THINGS, f"{share}instance's category, which as a label means something else, or nothing"
        elif self.know_things and stuff_px > MOST_SHARE * pixels:
            share = f"{stuff_px / pixels:.0%} of the {pixels} pixels of its instances have labels of stuff"
            yield STUFF_UNDER_THINGS, f"{share}, though the maps have a label for things"

    def _is_confusable(self, category_id: Any) -> bool:
        """Whether the id of a thing's category, as a label, means something else or nothing."""
        return type(category_id) is int and self.stuff.label_ids.get(category_id, -1) not in (category_id, None)


def _drawable_rows(shapes: Shapes) -> dict[int, list[int]]:
    """Image -> its annotations whose masks are sound and inside it; crowds are left out."""
    drawable = np.isfinite(shapes.outlines.boxes_xyxy).all(axis=1) & shapes.outlines.is_light
    drawable[[n for n in shapes.rows(Kind.RLE).tolist() if n not in shapes.rle_faults and shapes.fits(n)]] = True
    drawable &= ~shapes.is_crowd & (shapes.image_rows >= 0) & ~np.isnan(shapes.sizes_wh).any(axis=1)
    rows: dict[int, list[int]] = {}
    for row in np.flatnonzero(drawable).tolist():
        rows.setdefault(int(shapes.image_rows[row]), []).append(row)
    return rows


STUFF = Check(
    (STUFF_MISSING, STUFF_UNREADABLE, STUFF_SIZE, STUFF_LABEL, STUFF_UNDER_THINGS, STUFF_ALL_VOID), _run, is_quick=True
)
