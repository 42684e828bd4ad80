"""A split's instances -> LabelMe 5: one JSON file an image."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.instance_records import Crop
from thingstuff.data.formats.truth_instances import ImageInstances, Instance, instances_by_image, polygon_points
from thingstuff.data.truth import SplitTruth
from thingstuff.files import write_json
from thingstuff.progress import watched
from thingstuff.store.exports.labelme_record import labelme_record, labelme_shape
from thingstuff.store.exports.names import file_names
from thingstuff.store.exports.outlines import has_holes, outlines


def write_labelme(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `<name of the image>.json` for every image; the folder. Copied images lie beside their files.

    Polygons stay as they are. A mask becomes the outlines of its parts, or, if it has holes, LabelMe's own mask. Parts
    share a `group_id`; what has no mask becomes a rectangle. A crowd carries the flag `iscrowd`, which we read again.
    """
    images = instances_by_image(truth)
    image_root = folder if options.copy_images else truth.image_root
    names = file_names([image.file_name for image in images], ".json")
    for image in watched(images, f"writing {folder.name}"):
        path = folder / names[image.file_name]
        image_path = Path(os.path.relpath(image_root / image.file_name, path.parent)).as_posix()
        write_json(path, labelme_record(list(_shapes(image, options.tolerance_px)), image_path, *image.size_hw))
    if options.copy_images:
        copy_images(truth, folder)
    return folder


def _shapes(image: ImageInstances, tolerance_px: float) -> Iterator[dict[str, Any]]:
    groups = 0
    for instance in image.instances:
        shapes = list(_instance_shapes(instance, image.size_hw, tolerance_px))
        groups += len(shapes) > 1
        common = {"flags": {"iscrowd": True} if instance.is_crowd else {}, "group_id": groups if shapes[1:] else None}
        yield from (shape | common for shape in shapes)


def _instance_shapes(instance: Instance, size_hw: tuple[int, int], tolerance_px: float) -> Iterator[dict[str, Any]]:
    segmentation = instance.segmentation
    if segmentation is None:
        x0, y0, x1, y1 = instance.box_xyxy()
        yield labelme_shape(instance.label, [[x0, y0], [x1, y1]], "rectangle")
        return
    if isinstance(segmentation, list):
        for polygon in segmentation:
            yield labelme_shape(instance.label, polygon_points(polygon, instance.place), "polygon")
        return
    crop, (x0, y0, x1, y1) = instance.mask(size_hw)
    if has_holes(crop):
        corners = [[float(x0), float(y0)], [float(x1 - 1), float(y1 - 1)]]
        yield labelme_shape(instance.label, corners, "mask") | {"mask": _png_text(crop)}
        return
    for outline in outlines(crop, x0, y0, tolerance_px):
        yield labelme_shape(instance.label, outline.tolist(), "polygon")


def _png_text(crop: Crop) -> str:
    _, data = cv2.imencode(".png", crop)
    return base64.b64encode(data.tobytes()).decode()
