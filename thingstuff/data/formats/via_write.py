"""A split's instances -> VIA 2's annotations, one JSON with a polygon or a rectangle an instance."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.instance_records import finite
from thingstuff.data.formats.truth_instances import ImageInstances, Instance, instances_by_image, polygon_points
from thingstuff.data.formats.via_class import CLASS, CROWD
from thingstuff.data.truth import SplitTruth
from thingstuff.progress import watched
from thingstuff.store.exports.json_stream import write_entries
from thingstuff.store.exports.outlines import one_outline

_FILE = "via_annotations.json"
_UNKNOWN_BYTES = -1  # VIA's size of an image that it fetches from elsewhere

logger = logging.getLogger(__name__)


def write_via(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `via_annotations.json`, its path; copied images lie in `images` beside it.

    A polygon stays as it is. A mask, or several polygons, become one outline, whose bridges between parts and around
    holes have no width; what has no mask becomes a rectangle. Masks without a pixel are left out, and logged. The class
    is the attribute `class`; a crowd has the attribute `iscrowd`, which we read again.
    """
    images = instances_by_image(truth)
    target = folder / _FILE
    write_entries(target, _entries(images, truth.image_root, options.tolerance_px, folder.name))
    if options.copy_images:
        copy_images(truth, folder / "images")
    return target


def _entries(
    images: Sequence[ImageInstances], root: Path, tolerance_px: float, title: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """VIA knows an image by its name and size in bytes together."""
    empty = 0
    for image in watched(images, f"writing {title}"):
        shapes = [(each, _shape(each, image.size_hw, tolerance_px)) for each in image.instances]
        size = _size_bytes(root / image.file_name)
        regions = [
            {"shape_attributes": shape, "region_attributes": _attributes(each)} for each, shape in shapes if shape
        ]
        empty += len(shapes) - len(regions)
        entry = {"filename": image.file_name, "size": size, "regions": regions, "file_attributes": {}}
        yield f"{image.file_name}{size}", entry
    if empty:
        logger.warning("left out: %d masks without a pixel, which via cannot hold", empty)


def _size_bytes(path: Path) -> int:
    try:
        return os.path.getsize(path)  # noqa: PTH202  the names of others can be such that Path refuses them
    except (OSError, ValueError):
        return _UNKNOWN_BYTES


def _attributes(instance: Instance) -> dict[str, str]:
    return {CLASS: instance.label} | ({CROWD: "true"} if instance.is_crowd else {})


def _shape(instance: Instance, size_hw: tuple[int, int], tolerance_px: float) -> dict[str, Any] | None:
    """None for a mask without a pixel."""
    segmentation = instance.segmentation
    if segmentation is None:
        x0, y0, x1, y1 = finite(instance.box_xyxy(), instance.place)
        return {"name": "rect", "x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
    if isinstance(segmentation, list) and len(segmentation) == 1:
        return _polygon(polygon_points(segmentation[0], instance.place))
    crop, (x0, y0, _, _) = instance.mask(size_hw)
    return _polygon(one_outline(crop, x0, y0, tolerance_px).tolist()) if crop.size else None


def _polygon(points: list[list[float]]) -> dict[str, Any]:
    return {"name": "polygon", "all_points_x": [x for x, _ in points], "all_points_y": [y for _, y in points]}
