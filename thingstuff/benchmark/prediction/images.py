"""The images that predictions are timed on: a folder's, or JPEG files like photographs, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from thingstuff.errors import DataError

SIZES = ((480, 640), (427, 640), (640, 427), (375, 500))  # height, width: the most frequent of COCO, and both ways up
_SUFFIXES = (".jpg", ".jpeg", ".png")
_FINEST_PX, _COARSEST_PX = 2, 128  # of the details, which are the fainter the finer they are, as in photographs
_JPEG_QUALITY = 90


def images_of(folder: Path, count: int) -> list[Path]:
    """The first `count` images of a folder by name; all for 0."""
    if not folder.is_dir():
        raise DataError(f"--images: there is no folder {folder}")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise DataError(f"--images: {folder} holds no {', '.join(_SUFFIXES)} files")
    return found[:count] if count else found


def write_photographs(folder: Path, count: int, seed: int) -> list[Path]:
    """`count` JPEG files in the sizes of `SIZES`, in turn; about as large as photographs, and as slow to decode."""
    import cv2

    paths = []
    for number in range(count):
        height, width = SIZES[number % len(SIZES)]
        pixels = _pixels(height, width, np.random.default_rng([seed, number]))
        path = folder / f"{number:03d}.jpg"
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        paths.append(path)
    return paths


def image_sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Height and width of each, as they are shown."""
    from thingstuff.data.images import read_image_bgr

    return [read_image_bgr(path).shape[:2] for path in paths]


def _pixels(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """H x W x 3 uint8: random fields of every coarseness, with an amplitude that falls with it (1 / f)."""
    import cv2

    total, side = np.zeros((height, width, 3), np.float32), _COARSEST_PX
    while side >= _FINEST_PX:
        grid = (max(height // side, 2), max(width // side, 2), 3)
        field = rng.normal(0, side**0.5, grid).astype(np.float32)
        total += cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
        side //= 2
    return np.clip(127 + 50 * total / total.std(), 0, 255).astype(np.uint8)
