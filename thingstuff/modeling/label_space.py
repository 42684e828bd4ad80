"""What the labels of a semantic head or file mean: from label numbers to stuff maps of given categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.structures import Categories, stuff_map_from_labels
from thingstuff.structures.categories import THINGS_NAME


@dataclass(frozen=True)
class LabelSpace:
    """`label_ids[label]` is the data set id that a label means; None is Panoptic FPN's label 0, "things"."""

    label_ids: tuple[int | None, ...]

    @classmethod
    def from_metadata(cls, metadata: Any) -> LabelSpace:
        """Of a semantic head that learns a data set with this metadata, in either of Detectron2's conventions."""
        index_of = metadata.get("stuff_dataset_id_to_contiguous_id")
        names = list(metadata.get("stuff_classes") or [])
        if index_of is None:
            return cls(tuple(range(len(names))))
        id_of = {index: int(category_id) for category_id, index in index_of.items()}
        return cls(tuple(None if (i == 0 and name == THINGS_NAME) else id_of.get(i) for i, name in enumerate(names)))

    @classmethod
    def of(cls, categories: Categories) -> LabelSpace:
        """The labels of a stuff map itself, which are those of Panoptic FPN's semantic head."""
        return cls((None, *(c.id for c in categories.stuff)))

    def __len__(self) -> int:
        return len(self.label_ids)

    def stuff_map(self, labels: NDArray[Any], categories: Categories, void: Sequence[int] = ()) -> NDArray[np.uint16]:
        """H x W labels -> H x W uint16 stuff map; labels in `void` become VOID, labels of things NOT_STUFF."""
        return stuff_map_from_labels(labels, self.label_ids, categories, void_labels=void)
