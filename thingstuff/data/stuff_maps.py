"""Label maps of any numbering -> stuff maps, and the 8-bit label files that Detectron2 learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.truth import StuffFiles
from thingstuff.errors import DataError
from thingstuff.structures import VOID, Categories, stuff_map_from_labels

IGNORED = 255  # of a label file; Detectron2 reads 8 bit
MOST_STUFF = IGNORED - 1


def to_stuff_map(labels: NDArray[Any], stuff: StuffFiles, categories: Categories) -> NDArray[np.uint16]:
    """H x W labels of a file -> H x W uint16 stuff map: things are NOT_STUFF, void labels VOID even if also listed."""
    ids = {label: own for label, own in stuff.label_ids.items() if label not in stuff.void_labels}
    try:
        return stuff_map_from_labels(labels, ids, categories, stuff.void_labels)
    except DataError as error:
        unknown = [label for label in np.unique(labels).tolist() if label not in {*ids, *stuff.void_labels}]
        if not unknown:
            raise
        void = sorted(stuff.void_labels)
        raise DataError(f"the label {unknown[0]} is no category's, and not among the void ones {void}") from error


def to_label_file(stuff_map: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Stuff map -> what Panoptic FPN's loader reads: 0 = things, 1... = stuff in order, 255 = ignored."""
    return np.where(stuff_map == VOID, IGNORED, stuff_map).astype(np.uint8)
