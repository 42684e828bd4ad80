"""The fields of one COCO record, checked and brought into the form that both programs take."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from thingstuff.errors import DataError

Record = dict[str, Any]
Size = list[int] | None  # height, width of the image, where the ground truth states it

KEYPOINTS = 17  # COCO's person; the tolerances of the metric are known for these only
OTHER_SIZE = "masks of another size than their image"
NO_SCORE = "detections without a usable score"
_LOWEST_POLYGON_NUMBERS = 6  # pycocotools takes four numbers for a box, and fails on them


class FieldError(DataError):
    """A record cannot count. `kind`, a plural, is what it is counted as when left out; None: as malformed."""

    def __init__(self, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind


def field(record: Mapping[str, Any], name: str) -> Any:
    if record.get(name) is None:
        raise FieldError(f"has no {name!r}")
    return record[name]


def read_score(record: Mapping[str, Any]) -> float:
    """Infinity can be ranked, NaN cannot."""
    stated = record.get("score")
    if stated is None:
        raise FieldError("has no 'score'", NO_SCORE)
    try:
        score = float(stated)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if math.isnan(score):
        raise FieldError(f"score {stated!r} is not a number: it cannot be ranked", NO_SCORE)
    return score


def numbers(values: Any, name: str, count: int) -> list[float]:
    try:
        found = [] if isinstance(values, str | bytes | Mapping) else [float(v) for v in values]
    except (TypeError, ValueError, OverflowError):
        found = []
    if len(found) != count or not all(map(math.isfinite, found)):
        raise FieldError(f"{name} must be {count} finite number{'s' * (count > 1)}, got {_short(values)}")
    return found


def truth_fields(record: Mapping[str, Any], iou_type: str, size: Size) -> Record:
    """What the metric compares detections with, and the area and crowd flag."""
    area = numbers([field(record, "area")], "area", 1)[0]
    return {**_truth_shape(record, iou_type, size), "area": area, "iscrowd": int(bool(record.get("iscrowd", 0)))}


def result_shape(record: Mapping[str, Any], iou_type: str, size: Size) -> Record:
    """A box or a mask; keypoints, and the box beside them if there is one."""
    if iou_type == "segm":
        return {"segmentation": _result_mask(field(record, "segmentation"), size)}
    if iou_type == "bbox":
        return {"bbox": numbers(field(record, "bbox"), "bbox", 4)}
    points = {"keypoints": _keypoints(record)}
    return points | ({"bbox": numbers(field(record, "bbox"), "bbox", 4)} if "bbox" in record else {})


def _keypoints(record: Mapping[str, Any]) -> list[float]:
    """x, y and visibility of each point."""
    points, count = field(record, "keypoints"), 3 * KEYPOINTS
    if isinstance(points, list | tuple) and len(points) != count:
        whole, rest = divmod(len(points), 3)
        found = f"{len(points)} (no whole points)" if rest else f"{len(points)} ({whole} point{'s' * (whole != 1)})"
        raise FieldError(
            f"keypoints must be {count} numbers, {KEYPOINTS} points as of COCO's person, got {found}: other numbers of "
            "points are not supported"
        )
    return numbers(points, "keypoints", count)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:  # of lists in lists in lists
        text = reprlib.repr(value)
    return text if len(text) <= 80 else text[:80] + " ..."


def _truth_shape(record: Mapping[str, Any], iou_type: str, size: Size) -> Record:
    if iou_type == "segm":
        return {"segmentation": _truth_mask(field(record, "segmentation"), size)}
    box = {"bbox": numbers(field(record, "bbox"), "bbox", 4)}
    if iou_type == "bbox":
        return box
    points = _keypoints(record)
    stated = record.get("num_keypoints")
    visible = float(sum(v > 0 for v in points[2::3])) if stated is None else numbers([stated], "num_keypoints", 1)[0]
    return {**box, "keypoints": points, "num_keypoints": int(visible)}


def _truth_mask(mask: Any, size: Size) -> Any:
    if isinstance(mask, Mapping):
        return _sized(mask, size)
    if (
        not isinstance(mask, list)
        or not mask
        or not all(map(_is_polygon, mask))
        or len(mask[0]) < _LOWEST_POLYGON_NUMBERS
    ):
        raise FieldError("segmentation must be RLE or polygons of at least 3 points: remove or mend the annotation")
    if size is None:
        raise FieldError("its image has no height and width: polygons cannot be filled without them")
    return mask


def _is_polygon(polygon: Any) -> bool:
    """x, y, x, y ... and finite. The sum tells, as it is finite only if all are, and costs a tenth of asking each."""
    try:
        return isinstance(polygon, Sequence) and len(polygon) % 2 == 0 and math.isfinite(sum(polygon))
    except (TypeError, OverflowError):
        return False


def _result_mask(mask: Any, size: Size) -> Record:
    if not isinstance(mask, Mapping) or not isinstance(mask.get("counts"), str | bytes):
        raise FieldError("segmentation must be compressed RLE {'size': [height, width], 'counts': '...'}")
    return _sized(mask, size)


def _sized(mask: Mapping[str, Any], size: Size) -> Record:
    """RLE of another size than its image's would silently match nothing."""
    stated = field(mask, "size")
    if not isinstance(stated, list | tuple):
        raise FieldError(f"segmentation must have a size [height, width], got {_short(stated)}")
    if size is not None and list(stated) != size:
        found = _short(tuple(stated))
        raise FieldError(f"segmentation has (height, width) {found}, but its image has {tuple(size)}", OTHER_SIZE)
    try:
        height, width = map(operator.index, size or stated)
    except (TypeError, ValueError):
        raise FieldError(f"segmentation must have a size [height, width], got {_short(stated)}") from None
    return {"size": [height, width], "counts": field(mask, "counts")}
