"""Masks -> polygons along the edges of their pixels, for formats that have no masks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def outlines(crop: NDArray[np.uint8], x0: int, y0: int, tolerance_px: float = 0.0) -> list[Points]:
    """A uint8 crop of 0 and 1 with its corner at (x0, y0) -> the outline of each of its parts, K x 2 float64 x, y.

    Points lie on pixel edges, (0, 0) being the corner of the first pixel, so the outline of a lone pixel has area 1;
    OpenCV's own contours run through pixel centres and lose half a pixel on every side. Holes are filled.
    """
    return _traced(crop, x0, y0, tolerance_px, cv2.RETR_EXTERNAL)


def _traced(crop: NDArray[np.uint8], x0: int, y0: int, tolerance_px: float, which: int) -> list[Points]:
    found, _ = cv2.findContours(_edge_grid(crop), which, cv2.CHAIN_APPROX_SIMPLE)
    fine = [_simplify(np.asarray(contour, np.int32), 2 * tolerance_px)[:, 0] for contour in found]
    return [points / 2.0 + (x0, y0) for points in fine]


def _edge_grid(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(2H + 1) x (2W + 1): odd rows and columns are pixel centres, even ones the edges between pixels."""
    height, width = crop.shape
    grid = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    grid[1::2, 1::2] = crop
    return np.asarray(cv2.dilate(grid, np.ones((3, 3), np.uint8)), np.uint8)


def _simplify(contour: NDArray[np.int32], tolerance: float) -> NDArray[np.int32]:
    simple = cv2.approxPolyDP(contour, tolerance, True) if tolerance > 0 else contour
    # A thin part can lose all of its area.
    return np.asarray(simple if len(simple) >= 3 else contour, np.int32)


def one_outline(crop: NDArray[np.uint8], x0: int, y0: int, tolerance_px: float = 0.0) -> Points:
    """A mask that is not empty -> one polygon, whatever its parts and holes, for formats that have one an instance.

    Parts and holes are joined by bridges of no width, which the outline crosses there and back: drawn with the even-odd
    rule, as COCO draws polygons, they cost no pixel.
    """
    whole, *rest = _traced(crop, x0, y0, tolerance_px, cv2.RETR_LIST)
    for ring in rest:
        nearest = int(((whole - ring[0]) ** 2).sum(axis=1).argmin())
        whole = np.concatenate([whole[: nearest + 1], ring, ring[:1], whole[nearest:]])
    return whole


def has_holes(crop: NDArray[np.uint8]) -> bool:
    """Whether its outline encloses pixels that are not its own: more than one piece of what is outside."""
    outside = 1 - np.pad(crop, 1)
    pieces, _ = cv2.connectedComponents(outside, connectivity=4)
    return pieces > 2  # the mask counts as one
