"""Cityscapes' instanceIds: one PNG an image, whose values tell stuff, things, their instances and groups of them."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.cityscapes_files import cityscapes_pairs, is_cityscapes_name
from thingstuff.data.formats.cityscapes_labels import DIVISOR, CityscapesLabels, labels_of_values
from thingstuff.data.formats.cityscapes_write import write_cityscapes
from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import CROWDS, INSTANCES, STUFF, Format, Source
from thingstuff.data.formats.id_mask_values import instances_of_values
from thingstuff.data.formats.image_files import first_files, image_record
from thingstuff.data.formats.instance_records import Instances
from thingstuff.data.truth import Record, SplitTruth, StuffFiles
from thingstuff.progress import watched
from thingstuff.structures.png import read_label_png
from thingstuff.structures.runs import run_starts

_PROBES = 8  # two images have as many PNGs, one of each kind


def recognise_cityscapes(path: Path) -> bool:
    """A folder with `*_gtFine_instanceIds.png`, `*_gtCoarse_instanceIds.png` or the like near its beginning."""
    return any(is_cityscapes_name(name) for name in first_files(path, [".png"], _PROBES))


def read_cityscapes(source: Source) -> SplitTruth:
    """A thing's label alone is a group, which becomes a crowd. Stuff is drawn from the same PNGs when asked for.

    Category ids are the labels, image ids running numbers in the order of the names.
    """
    faults = Faults(source.lenient)
    labels = CityscapesLabels.of(source)
    root, pairs, notes = cityscapes_pairs(source, faults)
    reader = _Reader(source.annotations, labels, faults)
    images, places, paths = list[Record](), list[str](), dict[int | str, Path]()
    for file_name, png in watched(pairs.items(), f"reading {source.annotations.name}"):
        with faults.skipping("labels that cannot be read"):
            size_hw = reader.add(len(images) + 1, png)
            images.append(image_record(len(images) + 1, file_name, root, size_hw))
            places.append(png)
            paths[len(images)] = source.annotations / png
    things = labels.things
    return SplitTruth(
        name=str(source.annotations),
        image_root=root,
        categories=labels.categories,
        images=images,
        annotations=reader.found.annotations if things else None,
        stuff=_stuff(labels, paths, reader.unknown) if things != labels.category_ids.keys() else None,
        annotation_places=reader.found.places,
        image_places=places,
        notes=(*notes, *reader.notes(), *faults.settle(str(source.annotations))),
    )


class _Reader:
    """Collects the instances of label files; `unknown` are labels that mean nothing."""

    def __init__(self, folder: Path, labels: CityscapesLabels, faults: Faults) -> None:
        self.found = Instances()
        self.unknown: set[int] = set()
        self._folder, self._labels, self._faults = folder, labels, faults
        self._things = labels.things
        self._ignored = Counter[int]()

    def add(self, image_id: int, png: str) -> tuple[int, int]:
        """Gives the size of the PNG; DataError where it cannot be read, and then nothing of it is added."""
        path = self._folder / png
        values = read_label_png(path, rgb_ids=True)
        flat = values.reshape(-1)
        used = np.unique(flat[run_starts(flat)])
        wanted = [value for value in used.tolist() if self._is_thing(value, png)]
        things = instances_of_values(np.where(np.isin(values, wanted), values, values.dtype.type(0)), str(path))
        for value, shape in zip(things.ids, things.shapes, strict=True):
            category_id = self._labels.category_ids[value // DIVISOR or value]
            self.found.add(image_id, category_id, shape, f"{png}: {value}", iscrowd=value < DIVISOR)
        return things.size_hw

    def notes(self) -> list[str]:
        names = ", ".join(f"label {label}" for label in sorted(self._ignored))
        count = self._ignored.total()
        how = "which the benchmark ignores: with_ignored keeps them"
        return [f"left out: {count} instances of {names}, {how}"] if count else []

    def _is_thing(self, value: int, png: str) -> bool:
        """Whether it is an instance or a group; what it must not be is a fault."""
        label, is_instance = (value // DIVISOR, True) if value >= DIVISOR else (value, False)
        if label in self._labels.void:
            self._ignored.update([label] if is_instance and label in self._labels.ignored else [])
            return False
        if label not in self._labels.category_ids:
            self.unknown.add(label)
            self._faults.add("regions whose label has no name", f"{png}: {value}: name {label} in `labels`")
            return False
        if is_instance and label not in self._things:
            name = self._labels.name_of(label)
            self._faults.add("instances of stuff", f"{png}: {value}: name {name!r} in `things`")
        return label in self._things


def _stuff(labels: CityscapesLabels, paths: dict[int | str, Path], unknown: set[int]) -> StuffFiles:
    """Maps that have things as well, so that those which a declaration leaves out become void there too."""
    drawn = {image_id: functools.partial(_label_map, path) for image_id, path in paths.items()}
    return StuffFiles(paths, labels.category_ids, labels.void | unknown, drawn)


def _label_map(path: Path) -> NDArray[Any]:
    return labels_of_values(read_label_png(path, rgb_ids=True))


CITYSCAPES = Format(
    name="cityscapes",
    title="Cityscapes: *_instanceIds.png, of instances, groups and stuff",
    recognises=recognise_cityscapes,
    read=read_cityscapes,
    write=write_cityscapes,
    holds=frozenset({INSTANCES, CROWDS, STUFF}),
    options={
        "labels": "label -> name, for other tables than Cityscapes'",
        "things": "names of the labels whose instances are told apart",
        "void": "labels of pixels that nobody knows, beside `labels`; by default [0, 255]",
        "with_ignored": "true keeps what the benchmark ignores, such as caravan and parking",
        "image_suffix": "how the names of images end, by default _leftImg8bit or not at all",
    },
)
