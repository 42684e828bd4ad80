"""The stuff of a split as label maps: one PNG an image, whose numbers are the categories' own ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.nested_values import nested_refused
from thingstuff.data.formats.semantic_labels import LABELS_FILE, SemanticLabels
from thingstuff.data.panoptic.names import png_names
from thingstuff.data.truth import Record, SplitTruth, StuffFiles
from thingstuff.errors import DataError
from thingstuff.progress import watched
from thingstuff.structures.arrays import as_integers
from thingstuff.structures.png import write_png


def write_semantic(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `labels/`, and the images to `images/` if they are to be copied; the path of `labels/`.

    Void is 255 (16-bit maps: 65535). "A thing may be here" is 0, or the highest label that is free if a category has
    the id 0. `labels.json` among the maps says all that, so that they can be read without a declaration.
    """
    if truth.stuff is None:
        raise DataError(f"{truth.name} has no stuff, which label maps are about: split its panoptic truth first")
    numbers = _Numbers.of(truth.stuff, truth.categories, truth.name)
    labels = folder / "labels"
    for image, name in zip(watched(truth.images, "label maps"), png_names(truth), strict=True):
        write_png(labels / name, renumbered(truth.stuff, image, numbers.label_of, numbers.dtype, truth.name))
    if options.copy_images:
        copy_images(truth, folder / "images")
    with nested_refused(truth.name):
        numbers.meaning.write(labels / LABELS_FILE)
    return labels


@dataclass(frozen=True)
class _Numbers:
    """Label of the source -> label that is written; what the latter mean."""

    label_of: Mapping[int, int]
    dtype: type
    meaning: SemanticLabels

    @classmethod
    def of(cls, stuff: StuffFiles, categories: list[Record], name: str) -> _Numbers:
        ids = sorted({own for own in stuff.label_ids.values() if own is not None})
        dtype = np.uint8 if max(ids, default=0) < 255 else np.uint16
        void = int(np.iinfo(dtype).max)
        wrong = [own for own in ids if not 0 <= own < void]
        if wrong:
            raise DataError(f"{name}: the category id {wrong[0]} cannot be a label of 16 bits: give it another id")
        things = 0 if 0 not in ids else max(set(range(void)) - set(ids), default=void)
        label_of = {label: things if own is None else own for label, own in stuff.label_ids.items()}
        label_of |= dict.fromkeys(stuff.void_labels, void)
        has_things = any(own is None for own in stuff.label_ids.values())
        label_ids: dict[int, int | None] = {**({things: None} if has_things else {}), **{own: own for own in ids}}
        used = [category for category in categories if category.get("id") in ids]
        return cls(label_of, dtype, SemanticLabels(used, label_ids, frozenset({void})))


def renumbered(stuff: StuffFiles, image: Record, label_of: Mapping[int, int], dtype: type, name: str) -> NDArray[Any]:
    """An image's label map in another numbering, `label_of` by the label that is there; `name` is for messages."""
    place = f"{name}: image {shown(image.get('file_name'))}"
    try:
        labels = as_integers("labels", stuff.read(image["id"]))
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    table = np.full(max([int(labels.max(initial=0)), *label_of]) + 1, -1, np.int32)
    table[list(label_of)] = list(label_of.values())
    found = table[labels]
    if np.any(found < 0):
        raise DataError(f"{place}: the label {int(labels[found < 0][0])} is no category's and not void: declare it")
    return np.asarray(found, dtype)
