"""Keypoints: as many as their category names, counted rightly, inside their image, with a visibility of 0, 1 or 2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.checks.check import Check, Checked, Code, Finding, as_text
from thingstuff.data.checks.mending import with_changes
from thingstuff.data.checks.numbers import FloatArray, as_floats, positions, rows_by_key, rows_of
from thingstuff.data.checks.shapes import OUTSIDE_PX, Shapes
from thingstuff.data.truth import Record, SplitTruth

LENGTH = Code("keypoints-length", "error", "write x, y, visibility for each keypoint that the category names")
COUNT = Code("keypoints-count", "warning", "count the keypoints whose visibility is above 0", is_fixable=True)
OUTSIDE = Code("keypoints-outside", "warning", "move the point into its image, or set its visibility to 0")
VISIBILITY = Code("keypoints-visibility", "error", "write 0 (not labelled), 1 (hidden) or 2 (visible)")

_BLOCK = 1 << 15  # annotations at a time


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        for code, row, message in _faults(split, data.shapes[name]):
            yield Finding(code, name, split.annotation_place(row), message)


def _faults(split: SplitTruth, shapes: Shapes) -> Iterator[tuple[Code, int, str]]:
    records = split.annotations or []
    stated = [record.get("num_keypoints") for record in records]
    is_counted = any(count is not None for count in stated)
    for rows, points, names in _blocks(split):
        for row in rows[np.isnan(points[:, 0, 0])].tolist():
            yield LENGTH, row, _say_length(records[row]["keypoints"], len(names))
        wrong_v = ~np.isin(points[:, :, 2], (0, 1, 2)) & ~np.isnan(points[:, :, 2])
        for number, point in _first_of_each(wrong_v):
            yield VISIBILITY, int(rows[number]), f"{_name(names, point)} has visibility {points[number, point, 2]:.6g}"
        sizes = shapes.sizes_wh[rows][:, None]
        outside = np.maximum(-points[:, :, :2], points[:, :, :2] - sizes).max(axis=2, initial=-np.inf)
        for number, point in _first_of_each((outside > OUTSIDE_PX) & (points[:, :, 2] > 0)):
            yield OUTSIDE, int(rows[number]), _say_outside(points[number, point], sizes[number, 0], _name(names, point))
        if is_counted:
            for number, visible in _miscounted(points, [stated[row] for row in rows.tolist()]):
                count = as_text(stated[rows[number]])
                yield (
                    COUNT,
                    int(rows[number]),
                    f"num_keypoints is {count}, and {visible} points have a visibility above 0",
                )


def _blocks(split: SplitTruth) -> Iterator[tuple[NDArray[np.int64], FloatArray, list[Any]]]:
    """For annotations with keypoints: their numbers, N x K x 3 x, y, visibility, and the names of the K points.

    A row is NaN where the keypoints are not 3 x K finite numbers; all rows of a block have one category.
    """
    records = split.annotations or []
    values = [record.get("keypoints") for record in records]
    has_points = np.array([value is not None and value != [] for value in values], bool)
    known = rows_by_key(category.get("id") for category in split.categories)
    categories = positions([record.get("category_id") for record in records], known)
    for number, category in enumerate(split.categories):
        mine = np.flatnonzero(has_points & (categories == number))
        names = _names(category, [values[row] for row in mine.tolist()])
        for rows in (mine[start : start + _BLOCK] for start in range(0, mine.size, _BLOCK)):
            points = rows_of([values[row] for row in rows.tolist()], 3 * len(names))
            yield rows, points.reshape(rows.size, len(names), 3), names


def _names(category: Record, values: list[Any]) -> list[Any]:
    """The names of its keypoints; where it has none, numbers for as many as most of its annotations have."""
    names = category.get("keypoints")
    if isinstance(names, list | tuple) and names:
        return list(names)
    lengths = Counter(len(value) for value in values if isinstance(value, list | tuple))
    most = lengths.most_common(1)[0][0] if lengths else 0
    return list(range(max(most // 3, 1)))


def _first_of_each(which: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """N x K -> (row, first column) of each row that has any."""
    for number in np.flatnonzero(which.any(axis=1)).tolist():
        yield number, int(which[number].argmax())


def _miscounted(points: FloatArray, stated: list[Any]) -> Iterator[tuple[int, int]]:
    visible = np.count_nonzero(points[:, :, 2] > 0, axis=1)
    wrong = (as_floats(stated) != visible) & ~np.isnan(points[:, 0, 0])
    for number in np.flatnonzero(wrong).tolist():
        yield number, int(visible[number])


def _say_length(value: Any, names: int) -> str:
    found = f"{len(value)} values" if isinstance(value, list | tuple) else as_text(value)
    if isinstance(value, list | tuple) and len(value) == 3 * names:
        strange = next(n for n, v in enumerate(as_floats(list(value)).tolist()) if not np.isfinite(v))
        found = f"{as_text(value[strange])} as number {strange}"
    expected = f"x, y, visibility of the {names} points of its category in {3 * names} finite numbers"
    return f"keypoints: expected {expected}, got {found}"


def _say_outside(point: FloatArray, size_wh: FloatArray, name: str) -> str:
    (x, y, _), (width, height) = point.tolist(), size_wh.tolist()
    return f"{name} lies at x {x:.6g}, y {y:.6g}, outside its image of {width:.6g} x {height:.6g} pixels"


def _name(names: list[Any], point: int) -> str:
    return f"keypoint {point} ({as_text(names[point])})"


def _mend(split: SplitTruth) -> SplitTruth:
    """`num_keypoints` counted again."""
    records = split.annotations or []
    changes: dict[int, Record | None] = {}
    for rows, points, _ in _blocks(split):
        for number, visible in _miscounted(points, [records[row].get("num_keypoints") for row in rows.tolist()]):
            changes[int(rows[number])] = {**records[rows[number]], "num_keypoints": visible}
    return with_changes(split, changes, "keypoints counted again: {} annotations")


KEYPOINTS = Check(codes=(LENGTH, COUNT, OUTSIDE, VISIBILITY), run=_run, is_quick=True, mend=_mend)
