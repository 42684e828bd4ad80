"""Circles and ellipses -> polygons whose masks are the masks of the round shapes; and points turned as shapes are."""

from __future__ import annotations

import math

import cv2
import numpy as np

from thingstuff.store.exports.outlines import outlines

_SMALL_PX = 32  # up to this radius the steps in which masks are drawn from polygons show
_SMALL_BOX_PX = 1 << 20
_SAGITTA_PX = 0.02  # how far a side of a large polygon may run inside the curve


def ellipse_polygon(center_xy: tuple[float, float], radii_xy: tuple[float, float], degrees: float = 0.0) -> list[float]:
    """x, y, x, y, ... of an ellipse, turned clockwise as it is seen.

    A small one is the outline of the pixels whose centres are inside; a large one has corners on a curve that is
    a trace larger, so that the polygon has the area of the ellipse.
    """
    pixels = _pixels(center_xy, radii_xy, math.radians(degrees)) if _is_small(radii_xy) else None
    return _curve(center_xy, radii_xy, math.radians(degrees)) if pixels is None else pixels


def turned(point: tuple[float, float], center: tuple[float, float], degrees: float) -> tuple[float, float]:
    """Clockwise as it is seen, since y points down."""
    if degrees == 0:
        return point
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = point[0] - center[0], point[1] - center[1]
    return center[0] + x * cos - y * sin, center[1] + x * sin + y * cos


def _is_small(radii_xy: tuple[float, float]) -> bool:
    return min(radii_xy) <= _SMALL_PX and (2 * max(radii_xy) + 3) ** 2 <= _SMALL_BOX_PX


def _pixels(center_xy: tuple[float, float], radii_xy: tuple[float, float], angle: float) -> list[float] | None:
    """None unless they are one piece, which a flat ellipse need not be."""
    if min(radii_xy) <= 0:
        return None
    reach = max(radii_xy)
    x0, y0 = (math.floor(value - reach) for value in center_xy)
    side = math.ceil(2 * reach) + 2
    x = np.arange(side) + (x0 + 0.5 - center_xy[0])
    y = np.arange(side)[:, None] + (y0 + 0.5 - center_xy[1])
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    inside = ((along / radii_xy[0]) ** 2 + (across / radii_xy[1]) ** 2 <= 1).astype(np.uint8)
    pieces, _ = cv2.connectedComponents(inside, connectivity=4)
    if pieces != 2:  # the background is one of them
        return None
    return [float(value) for value in outlines(inside, x0, y0)[0].reshape(-1)]


def _curve(center_xy: tuple[float, float], radii_xy: tuple[float, float], angle: float) -> list[float]:
    # of a regular polygon with n corners a side runs (1 - cos(pi / n)) * radius inside the circle
    corners = max(16, min(4096, math.ceil(math.pi / math.sqrt(2 * _SAGITTA_PX / max(1.0, *radii_xy)))))
    step = 2 * math.pi / corners
    larger = math.sqrt(step / math.sin(step))
    turns = step * np.arange(corners)
    along, across = larger * radii_xy[0] * np.cos(turns), larger * radii_xy[1] * np.sin(turns)
    x = center_xy[0] + along * math.cos(angle) - across * math.sin(angle)
    y = center_xy[1] + along * math.sin(angle) + across * math.cos(angle)
    return [float(value) for value in np.stack([x, y], axis=1).reshape(-1)]
