"""One image's predictions: what a store takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError
from thingstuff.structures import Categories, Detections, PanopticMap, check_stuff_map


@dataclass(frozen=True, eq=False)
class PredictedImage:
    """Everything predicted for one image; None means that the model has no such output.

    `key` is the image's path relative to the image root with `/` between its parts ("clip.mp4/000012" for a video
    frame); `image_id` is the data set's. Both maps are height x width. `ledger` is plain JSON records,
    those of a merge's Ledger. `source` is what the image's file is recognised by, plain JSON too.
    """

    key: str
    height: int
    width: int
    image_id: int | str | None = None
    detections: Detections | None = None
    stuff_map: NDArray[np.uint16] | None = None
    panoptic: PanopticMap | None = None
    ledger: tuple[dict[str, Any], ...] | None = None
    source: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_key(self.key)
        try:
            self._check_fields()
        except DataError as error:
            raise DataError(f"predictions of {self.key!r}: {error}") from error

    def check_categories(self, categories: Categories) -> None:
        """Refuse ids and labels that `categories` lacks, and segments that are things here and stuff there."""
        if self.detections is not None:
            categories.thing_indices(self.detections.category_ids)
        if self.stuff_map is not None:
            check_stuff_map(self.stuff_map, categories)
        for segment in () if self.panoptic is None else self.panoptic.segments:
            category = categories.by_id(segment.category_id)
            if category.isthing != segment.isthing:
                kind = "thing" if category.isthing else "stuff"
                raise DataError(f"segment {segment.id}: expected isthing as for {category.name!r}, which is {kind}")

    def _check_fields(self) -> None:
        for what, length in (("height", self.height), ("width", self.width)):
            if isinstance(length, bool) or not isinstance(length, int) or length < 1:
                raise DataError(f"{what}: expected 1 pixel or more, got {length!r}")
        if isinstance(self.image_id, bool) or not isinstance(self.image_id, int | str | None):
            raise DataError(f"image_id: expected an integer, a text or None, got {self.image_id!r}")
        if self.ledger is not None and not all(isinstance(record, dict) for record in self.ledger):
            raise DataError("ledger: expected plain records (dictionaries)")
        if self.stuff_map is not None and self.stuff_map.dtype != np.uint16:
            raise DataError(f"stuff map: expected uint16, got {self.stuff_map.dtype}")
        for what, size in self._sizes():
            if size != (self.height, self.width):
                raise DataError(f"{what}: expected height and width {(self.height, self.width)}, got {size}")

    def _sizes(self) -> list[tuple[str, tuple[int, ...]]]:
        sizes: list[tuple[str, tuple[int, ...]]] = []
        if self.detections is not None:
            sizes.append(("detections", (self.detections.height, self.detections.width)))
        if self.stuff_map is not None:
            sizes.append(("stuff map", self.stuff_map.shape))
        if self.panoptic is not None:
            sizes.append(("panoptic map", self.panoptic.ids.shape))
        return sizes


def check_key(key: object) -> None:
    """Refuse what is no relative path inside the image root."""
    if not isinstance(key, str) or not key:
        raise DataError(f"key: expected a path relative to the image root, got {key!r}")
    if key.startswith("/") or "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise DataError(f"key: expected a path relative to the image root, without '..' or '//', got {key!r}")
