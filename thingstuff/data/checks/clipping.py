"""A polygon cut at the borders of its image (Sutherland and Hodgman, "Reentrant polygon clipping", 1974)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thingstuff.data.checks.numbers import FloatArray


def clipped_polygon(polygon: Sequence[float], width: float, height: float) -> list[float]:
    """COCO's x, y, x, y ... -> the part within width x height pixels, in the same form; empty where nothing is left.

    A part that the border cuts in two stays one polygon, whose halves a line along the border joins.
    """
    ring = np.array(polygon, np.float64).reshape(-1, 2)
    for axis, side in ((0, width), (1, height)):
        ring = _cut(ring, ring[:, axis], axis, 0.0)
        ring = _cut(ring, side - ring[:, axis], axis, side)
    x, y = ring.T
    if len(ring) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return []
    return [float(v) for v in ring.reshape(-1)]


def _cut(ring: FloatArray, inward: FloatArray, axis: int, border: float) -> FloatArray:
    """The ring without what lies beyond one border; `inward`: how far inside each point is, negative outside."""
    if not (inward < 0).any():
        return ring
    after, inward_after = np.roll(ring, -1, axis=0), np.roll(inward, -1)
    crosses = (inward < 0) != (inward_after < 0)
    steps = np.where(crosses, inward - inward_after, 1)
    cuts = ring + (after - ring) * (inward / steps)[:, None]
    cuts[:, axis] = border
    both = np.stack([ring, cuts], axis=1).reshape(-1, 2)
    return np.asarray(both[np.stack([inward >= 0, crosses], axis=1).reshape(-1)])
