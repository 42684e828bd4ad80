"""Polygons that draw nothing, cannot be drawn, leave their image, or cross themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.check import Check, Checked, Code, Finding, as_text
from thingstuff.data.checks.clipping import clipped_polygon
from thingstuff.data.checks.mending import with_changes
from thingstuff.data.checks.shapes import OUTSIDE_PX, Kind, Shapes
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.structures.polygons import FARTHEST_PX

FEW_POINTS = Code("polygon-few-points", "error", "leave the polygon out, or draw it again", is_fixable=True)
NOT_FINITE = Code("polygon-not-finite", "error", "draw the polygon again")
ZERO_AREA = Code("polygon-zero-area", "warning", "leave the polygon out", is_fixable=True)
OUTSIDE = Code("polygon-outside", "warning", "clip the polygon to its image", is_fixable=True)
SELF_CROSSING = Code("polygon-self-crossing", "warning", "cut the polygon where it crosses itself")
EMPTY = Code("segmentation-empty", "warning", "draw the mask, or leave the annotation out")


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        shapes = data.shapes[name]
        for code, row, message in _faults(shapes):
            yield Finding(code, name, split.annotation_place(row), message)


def _faults(shapes: Shapes) -> Iterator[tuple[Code, int, str]]:
    polygons = shapes.polygons
    for row in shapes.rows(Kind.EMPTY).tolist():
        yield EMPTY, row, "the segmentation is an empty list: it has no mask"
    for code, which, say in _KINDS:
        for number in np.flatnonzero(which(shapes)).tolist():
            row, piece = int(polygons.annotations[number]), int(polygons.numbers[number])
            yield code, row, f"polygon {piece} {say(shapes, number)}"


def _few_points(shapes: Shapes) -> NDArray[np.bool_]:
    return ~shapes.polygons.has_points


def _not_finite(shapes: Shapes) -> NDArray[np.bool_]:
    return shapes.polygons.has_points & ~shapes.polygons.is_sound


def _zero_area(shapes: Shapes) -> NDArray[np.bool_]:
    return shapes.polygons.is_line


def _outside(shapes: Shapes) -> NDArray[np.bool_]:
    return (shapes.outside_px > OUTSIDE_PX) & ~_zero_area(shapes)


def _crossing(shapes: Shapes) -> NDArray[np.bool_]:
    return shapes.polygons.cross


def _say_few(shapes: Shapes, number: int) -> str:
    length = int(shapes.polygons.lengths[number])
    return f"has {length} numbers, expected x and y of 3 points or more, an even number of 6 or more"


def _say_not_finite(shapes: Shapes, number: int) -> str:
    polygons = shapes.polygons
    values = shapes.segmentations[polygons.annotations[number]][polygons.numbers[number]]
    place, value = next((n, v) for n, v in enumerate(values) if not _is_coordinate(v))
    return f"holds {as_text(value)} as number {place}, expected finite numbers within {FARTHEST_PX} pixels"


def _say_zero(shapes: Shapes, number: int) -> str:
    points = int(shapes.polygons.lengths[number]) // 2
    box = [round(v, 2) for v in shapes.polygons.boxes_xyxy[number].tolist()]
    return f"surrounds {shapes.polygons.areas_px[number]:.2g} px²: its {points} points in {box} lie on a line"


def _say_outside(shapes: Shapes, number: int) -> str:
    polygons = shapes.polygons
    x0, y0, x1, y1 = (f"{v:.6g}" for v in polygons.boxes_xyxy[number].tolist())
    width, height = (f"{v:.6g}" for v in shapes.sizes_wh[polygons.annotations[number]].tolist())
    far = f"{shapes.outside_px[number]:.4g} px"
    return f"reaches {far} beyond its image: x {x0} to {x1}, y {y0} to {y1} in {width} x {height} pixels"


def _say_crossing(shapes: Shapes, number: int) -> str:
    x, y = shapes.polygons.crossings_xy[number].tolist()
    return f"crosses itself near x {x:.1f}, y {y:.1f}: what lies between the lines there may count as outside"


# each with the polygons that it is about, and what is said of one of them
_KINDS: tuple[tuple[Code, Callable[[Shapes], NDArray[np.bool_]], Callable[[Shapes, int], str]], ...] = (
    (FEW_POINTS, _few_points, _say_few),
    (NOT_FINITE, _not_finite, _say_not_finite),
    (ZERO_AREA, _zero_area, _say_zero),
    (OUTSIDE, _outside, _say_outside),
    (SELF_CROSSING, _crossing, _say_crossing),
)


def _mend(split: SplitTruth) -> SplitTruth:
    """Without polygons that draw nothing, the others clipped; an annotation goes with the last of its polygons."""
    shapes = Shapes.of(split)
    polygons, records = shapes.polygons, split.annotations or []
    left_out, outside = _few_points(shapes) | _zero_area(shapes), _outside(shapes)
    pieces: dict[int, list[list[float] | None]] = {}
    for number in np.flatnonzero(left_out | outside).tolist():
        row, piece = int(polygons.annotations[number]), int(polygons.numbers[number])
        mine = pieces.setdefault(row, list(shapes.segmentations[row]))
        width, height = shapes.sizes_wh[row].tolist()
        mine[piece] = None if left_out[number] else clipped_polygon(shapes.segmentations[row][piece], width, height)
    changes = {row: _with_pieces(records[row], mine) for row, mine in pieces.items()}
    return with_changes(split, changes, "polygons without an area left out, or clipped to the image: {} annotations")


def _with_pieces(record: Record, pieces: list[list[float] | None]) -> Record | None:
    kept = [piece for piece in pieces if piece]
    return {**record, "segmentation": kept} if kept else None


def _is_coordinate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= FARTHEST_PX


POLYGONS = Check(
    codes=(FEW_POINTS, NOT_FINITE, ZERO_AREA, OUTSIDE, SELF_CROSSING, EMPTY), run=_run, is_quick=True, mend=_mend
)
