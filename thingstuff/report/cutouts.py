"""Instances cut out of their image: one small picture each, transparent around the mask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from thingstuff.errors import DataError, UserError
from thingstuff.files import whole_file
from thingstuff.structures import Categories, Detections

_LONGEST_NAME = 60


def cutouts(image_bgr: np.ndarray, detections: Detections, categories: Categories) -> Iterator[tuple[str, np.ndarray]]:
    """File name and H x W x 4 uint8 BGRA picture of each instance, in order: tight, alpha 255 inside the mask, else 0.

    Names are the instance's place from 1 on and its class, as `03_traffic_light.png`. An empty mask gives none. The
    pixels around the mask are 0 in all channels, so that nothing of the surroundings hides in the file.
    """
    _refuse_misfit(image_bgr, detections)
    digits = max(2, len(str(len(detections))))
    for place, (crop, (x0, y0, x1, y1)) in enumerate(detections.masks.tight()):
        if crop.size:
            name = categories.by_id(int(detections.category_ids[place])).name
            inside = crop[:, :, None]
            picture = np.concatenate([image_bgr[y0:y1, x0:x1] * inside, inside * np.uint8(255)], axis=2)
            yield f"{place + 1:0{digits}}_{_safe(name)}.png", picture


def write_cutouts(
    folder: str | Path, image_bgr: np.ndarray, detections: Detections, categories: Categories
) -> list[Path]:
    """Write the cutouts as PNG files, each whole or not at all; their paths."""
    paths = []
    for name, picture in cutouts(image_bgr, detections, categories):
        _, data = cv2.imencode(".png", picture)
        with whole_file(Path(folder) / name) as file:
            file.write(data.tobytes())
        paths.append(Path(folder) / name)
    return paths


def _refuse_misfit(image_bgr: np.ndarray, detections: Detections) -> None:
    if detections.masks is None:
        raise UserError("cutouts need masks, and these detections have boxes alone: use a model that predicts masks")
    expected = (detections.height, detections.width, 3)
    if image_bgr.dtype != np.uint8 or image_bgr.shape != expected:
        given = f"{image_bgr.dtype} of shape {image_bgr.shape}"
        raise DataError(f"cutouts: expected an image of uint8 and shape {expected}, got {given}")


def _safe(name: str) -> str:
    """A class name as a part of a file name on any system: letters and digits of any script, - and _."""
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:_LONGEST_NAME] or "object"
