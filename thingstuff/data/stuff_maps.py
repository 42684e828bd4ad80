"""Label maps of any numbering -> stuff maps, and the 8-bit label files that Detectron2 learns from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.truth import StuffFiles
from thingstuff.errors import DataError
from thingstuff.structures import NOT_STUFF, VOID, Categories
from thingstuff.structures.arrays import as_integers

IGNORED = 255  # of a label file; Detectron2 reads 8 bit
MOST_STUFF = IGNORED - 1
_UNKNOWN = VOID - 1


def to_stuff_map(labels: NDArray[np.integer], stuff: StuffFiles, categories: Categories) -> NDArray[np.uint16]:
    """H x W labels of a file -> H x W uint16 stuff map: things are NOT_STUFF, void labels VOID."""
    numbers = as_integers("labels", labels)
    known = {label: _meaning(category_id, categories) for label, category_id in stuff.label_ids.items()}
    known |= dict.fromkeys(stuff.void_labels, VOID)
    table = np.full(max([int(numbers.max(initial=0)), *known]) + 1, _UNKNOWN, np.uint16)
    for label, meaning in known.items():
        if label >= 0:
            table[label] = meaning
    found = table[numbers]
    if np.any(found == _UNKNOWN):
        label = int(numbers[found == _UNKNOWN][0])
        raise DataError(f"the label {label} is no category's, and not among the void ones {sorted(stuff.void_labels)}")
    return found


def to_label_file(stuff_map: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Stuff map -> what Panoptic FPN's loader reads: 0 = things, 1... = stuff in order, 255 = ignored."""
    return np.where(stuff_map == VOID, IGNORED, stuff_map).astype(np.uint8)


def _meaning(category_id: int | None, categories: Categories) -> int:
    if category_id is None:
        return NOT_STUFF
    category = categories.by_id(category_id)
    return NOT_STUFF if category.isthing else categories.stuff.index(category) + 1
