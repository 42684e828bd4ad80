"""Images from files, arrays and PIL, all as the H x W x 3 uint8 BGR array that the rest of the toolkit takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from detectron2.data.detection_utils import read_image
from PIL import Image, UnidentifiedImageError

from thingstuff.errors import DataError

Channels = Literal["BGR", "RGB"]


def read_image_bgr(path: str | Path) -> np.ndarray:
    """The image of a file, turned as its EXIF tag says, by the same reader as Detectron2's training uses."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no image at {path}")
    try:
        return np.ascontiguousarray(read_image(str(path), format="BGR"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no image that can be read ({error}): repair or remove it") from error


def as_bgr(image: Any, channels: Channels = "BGR") -> np.ndarray:
    """A path, a PIL image or an H x W x 3 uint8 array (`channels` says its order) -> BGR. Never the array handed in."""
    if isinstance(image, str | Path):
        return read_image_bgr(image)
    if isinstance(image, Image.Image):
        return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
    if channels not in ("BGR", "RGB"):
        raise DataError(f"channels is {channels!r}, expected 'BGR' or 'RGB'")
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise DataError(f"expected a path, a PIL image or H x W x 3 uint8, got {array.dtype} of shape {array.shape}")
    return (array if channels == "BGR" else array[:, :, ::-1]).copy()
