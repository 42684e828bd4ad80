"""The masks, polygons and boxes of a split as columns, measured once for all checks.

Records may be broken in any way: what cannot be measured is NaN here, and named by the check whose matter it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.mask_columns import Masks
from thingstuff.data.checks.numbers import FloatArray, as_floats, positions, rows_by_key, rows_of
from thingstuff.data.checks.polygon_columns import Polygons
from thingstuff.data.checks.rle_faults import LONGEST_SIDE_PX, rle_faults
from thingstuff.data.truth import SplitTruth

OUTSIDE_PX = 1.0  # what may reach beyond the image: labelling tools round to its last pixel or to its edge


class Kind(IntEnum):
    """What a segmentation is."""

    NONE = 0  # not there, or null
    EMPTY = 1  # a list of nothing
    POLYGONS = 2  # a list of lists, whatever those hold
    RLE = 3  # a mapping, whatever it holds
    BROKEN = 4


@dataclass(frozen=True, eq=False)
class Shapes:
    """N annotations, in the order of the split; no annotations and None are the same here."""

    segmentations: Sequence[Any]
    kinds: NDArray[np.uint8]  # of `Kind`
    image_rows: NDArray[np.int64]  # the number of its image (the first of that id), -1 if there is none
    sizes_wh: FloatArray  # N x 2: of its image; NaN where it is not stated or not positive
    boxes_xywh: FloatArray  # N x 4: as stated; NaN unless four finite numbers
    states_box: NDArray[np.bool_]
    areas_px: FloatArray  # as stated; NaN unless a number
    states_area: NDArray[np.bool_]
    is_crowd: NDArray[np.bool_]

    @classmethod
    def of(cls, split: SplitTruth) -> Shapes:
        records = split.annotations or []
        segmentations = [record.get("segmentation") for record in records]
        boxes, areas = [record.get("bbox") for record in records], [record.get("area") for record in records]
        image_rows = positions(
            [record.get("image_id") for record in records], rows_by_key(image.get("id") for image in split.images)
        )
        sides = [as_floats([image.get(key) for image in split.images]) for key in ("width", "height")]
        sizes_wh = np.column_stack([np.where((side > 0) & (side <= LONGEST_SIDE_PX), side, np.nan) for side in sides])
        return cls(
            segmentations,
            np.fromiter(map(_kind, segmentations), np.uint8, len(records)),
            image_rows,
            np.vstack([sizes_wh, [[np.nan, np.nan]]])[image_rows],  # -1 takes the last row
            rows_of(boxes, 4),
            np.array([box is not None for box in boxes], bool),
            as_floats(areas),
            np.array([area is not None for area in areas], bool),
            as_floats([record.get("iscrowd") or 0 for record in records]) == 1,
        )

    def rows(self, kind: Kind) -> NDArray[np.int64]:
        """The numbers of the annotations whose segmentation is of this kind."""
        return np.flatnonzero(self.kinds == kind)

    @cached_property
    def polygons(self) -> Polygons:
        return Polygons.of(self.segmentations, self.rows(Kind.POLYGONS))

    @cached_property
    def rle_faults(self) -> Mapping[int, str]:
        """Number of an annotation -> what is wrong with its RLE, for those that cannot be decoded."""
        return rle_faults(self.segmentations, self.rows(Kind.RLE))

    @cached_property
    def outlines(self) -> Masks:
        """The masks as far as they are known without decoding any."""
        return Masks.of_outlines(self.polygons, self._drawable)

    @cached_property
    def pixels(self) -> Masks:
        """The masks, decoded where that tells more than their outlines."""
        readable = self.rows(Kind.RLE)
        readable = readable[[row not in self.rle_faults and self.fits(row) for row in readable.tolist()]]
        return Masks.of_pixels(self.outlines, self.segmentations, self.sizes_wh, readable)

    def masks(self, is_quick: bool) -> Masks:
        return self.outlines if is_quick else self.pixels

    def fits(self, row: int) -> bool:
        """Whether the sound RLE of this annotation has the size of its image; True where that is not known."""
        width, height = self.sizes_wh[row].tolist()
        return not (width == width and height == height) or list(self.segmentations[row]["size"]) == [height, width]

    @cached_property
    def outside_px(self) -> FloatArray:
        """P: how far each polygon reaches beyond its image, 0 if it does not; NaN where that is not known."""
        boxes, sizes = self.polygons.boxes_xyxy, self.sizes_wh[self.polygons.annotations]
        beyond = np.maximum(-boxes[:, :2], boxes[:, 2:] - sizes).max(axis=1)
        return np.asarray(np.maximum(beyond, 0))

    @cached_property
    def _drawable(self) -> NDArray[np.bool_]:
        """N: polygons that are sound with an area, all of them, and inside an image of known size."""
        drawable = (self.kinds == Kind.POLYGONS) & ~np.isnan(self.sizes_wh).any(axis=1)
        nameable = ~(self.outside_px <= OUTSIDE_PX) | self.polygons.is_line
        drawable[self.polygons.annotations[nameable]] = False
        return np.asarray(drawable)


def _kind(value: Any) -> Kind:
    if value is None:
        return Kind.NONE
    if isinstance(value, Mapping):
        return Kind.RLE
    if not isinstance(value, list | tuple):
        return Kind.BROKEN
    if not value:
        return Kind.EMPTY
    return Kind.POLYGONS if all(isinstance(piece, list | tuple) for piece in value) else Kind.BROKEN
