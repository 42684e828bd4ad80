"""The objects of LabelMe 5's JSON files: a file, and a shape in it."""

from __future__ import annotations

from typing import Any

VERSION = "5.5.0"  # of the format written


def labelme_record(shapes: list[dict[str, Any]], image_path: str, height: int, width: int) -> dict[str, Any]:
    """A file; `image_path` is the image's as seen from it, with "/"."""
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def labelme_shape(
    label: str, points: list[list[float]], shape_type: str, description: str = "", group_id: int | None = None
) -> dict[str, Any]:
    """A shape; those of one label and one `group_id` are parts of one instance."""
    return {
        "label": label,
        "points": points,
        "group_id": group_id,
        "description": description,
        "shape_type": shape_type,
        "flags": {},
        "mask": None,
    }
