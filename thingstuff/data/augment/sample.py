"""What copy-paste works on: an image with its masks and, where there are any, stuff labels or a panoptic map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures import MaskCrops, PanopticMap
from thingstuff.structures.arrays import expect_array

IGNORED = 255  # the stuff label of what nobody knows, as Detectron2 reads it


@dataclass(frozen=True, eq=False)
class Sample:
    """One image of a training after its own augmentation, with N instances.

    `image` is H x W x 3 uint8, `category_ids` N int64 contiguous class indices, `iscrowd` N bool. `stuff` is H x W
    uint8, labels as in Detectron2's `sem_seg` (255 = ignored), or None. The things of `panoptic`, where there is one,
    are exactly these instances in this order; its segments have class indices as category ids.
    """

    image: NDArray[Any]
    masks: MaskCrops
    category_ids: NDArray[np.int64]
    iscrowd: NDArray[np.bool_]
    stuff: NDArray[np.uint8] | None = None
    panoptic: PanopticMap | None = None

    def __post_init__(self) -> None:
        count, height, width = len(self.masks), self.height, self.width
        if (self.masks.height, self.masks.width) != (height, width):
            raise DataError(f"sample: the masks are {self.masks.width} x {self.masks.height}, not {width} x {height}")
        expect_array("sample: category ids", self.category_ids, np.int64, (count,))
        expect_array("sample: iscrowd", self.iscrowd, np.bool_, (count,))
        if self.stuff is not None:
            expect_array("sample: stuff", self.stuff, np.uint8, (height, width))
        if self.panoptic is not None:
            expect_array("sample: panoptic map", self.panoptic.ids, np.uint32, (height, width))
            things = sum(segment.isthing for segment in self.panoptic.segments)
            if things != count:
                raise DataError(f"sample: expected the {count} instances as things of the panoptic map, got {things}")

    @property
    def height(self) -> int:
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        return int(self.image.shape[1])
