"""Prompts: what says which objects of an image are meant, a box or some points for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thingstuff.errors import DataError


@dataclass(frozen=True, eq=False)
class Prompts:
    """N objects: `boxes_xyxy` N x 4, or `points_xy` N x P x 2 with `labels` N x P (1 inside of the object, 0 outside).

    Coordinates are the image's pixels, of any float dtype; 0 is the left or upper edge.
    """

    boxes_xyxy: np.ndarray | None = None
    points_xy: np.ndarray | None = None
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        if (self.boxes_xyxy is None) == (self.points_xy is None):
            raise DataError("prompts: expected boxes or points, one of the two")
        given = self.boxes_xyxy if self.points_xy is None else self.points_xy
        if not np.isfinite(given).all():
            raise DataError("prompts: expected finite coordinates")
        if self.boxes_xyxy is not None and (self.boxes_xyxy.ndim != 2 or self.boxes_xyxy.shape[1] != 4):
            raise DataError(f"prompts: expected boxes of shape N x 4, got {self.boxes_xyxy.shape}")
        if self.points_xy is not None:
            self._check_points(self.points_xy)

    def _check_points(self, points_xy: np.ndarray) -> None:
        if points_xy.ndim != 3 or points_xy.shape[2] != 2 or points_xy.shape[1] == 0:
            raise DataError(f"prompts: expected points of shape N x P x 2, got {points_xy.shape}")
        if self.labels is None or self.labels.shape != points_xy.shape[:2] or not np.isin(self.labels, (0, 1)).all():
            raise DataError("prompts: expected a label for every point, 1 inside of the object and 0 outside")

    @classmethod
    def grid(cls, per_side: int, height: int, width: int) -> Prompts:
        """One object a point, and `per_side`² points in the middles of as many equal cells, row by row."""
        x = (np.arange(per_side) + 0.5) / per_side * width
        y = (np.arange(per_side) + 0.5) / per_side * height
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 1, 2)
        return cls(points_xy=points, labels=np.ones((per_side**2, 1), np.int64))

    def batches(self, size: int) -> Iterator[Prompts]:
        """The same objects in their order, at most `size` at a time."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield Prompts(*(None if part is None else part[rows] for part in self._parts()))

    def __len__(self) -> int:
        return next(len(part) for part in self._parts() if part is not None)

    def _parts(self) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        return self.boxes_xyxy, self.points_xy, self.labels
