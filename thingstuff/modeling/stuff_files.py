"""Stuff from label maps that somebody else made: PNG files found by the name of the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from thingstuff.errors import DataError, SetupError
from thingstuff.modeling.label_space import LabelSpace
from thingstuff.structures import VOID, Categories

_VOID_OF_DEPTH = {np.dtype(np.uint8): 255, np.dtype(np.uint16): VOID}


class StuffFiles:
    """Reads the stuff map of an image from a folder of 8-bit or 16-bit grey PNGs.

    `street/000001.jpg` is answered by the file `street/000001.png`, `street/000001.jpg.png`, or the same without
    `street/`: the longest end of the image's path that exists in the folder. One file never serves two images.
    `contiguous` numbers are those of a stuff map (0 = things, 1 = the first stuff class; 255 in an 8-bit or 65535 in a
    16-bit file = void); otherwise they are data set ids, and `void_ids` are void.
    """

    def __init__(
        self, folder: str | Path, categories: Categories, *, contiguous: bool = True, void_ids: Sequence[int] = ()
    ) -> None:
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise SetupError(f"no folder of label maps at {folder}: check PANOPTIC.STUFF_DIR")
        if not contiguous:
            categories.stuff_map(np.zeros((0, 0), np.int64), void_ids)  # refuses void ids that are categories'
        self._categories = categories
        self._contiguous = contiguous
        self._void_ids = tuple(void_ids)
        self._served: dict[Path, PurePath] = {}

    def read(self, image_file: str | Path | None, height: int, width: int) -> NDArray[np.uint16]:
        """H x W uint16 stuff map of an image of this size."""
        if image_file is None:
            raise DataError("stuff from files needs images with a name: pass a path, not an array")
        file = self._file_of(PurePath(image_file))
        labels = _read_labels(file)
        if labels.shape != (height, width):
            given = " x ".join(map(str, labels.shape))
            raise DataError(
                f"{file}: expected {height} x {width} pixels (height x width) as {image_file} has, got {given}"
            )
        try:
            return self._stuff_map(labels)
        except DataError as error:
            raise DataError(f"{file}: {error}") from error

    def _file_of(self, image: PurePath) -> Path:
        parts = [part for part in image.parts if part not in (image.anchor, "..", ".")]
        for first in range(len(parts)):
            tail = PurePath(*parts[first:])
            for name in (f"{tail}.png", tail.with_suffix(".png")):
                if (self._folder / name).is_file():
                    return self._claimed(self._folder / name, image)
        raise DataError(f"no label map for {image} in {self._folder}: expected {image.stem}.png there")

    def _claimed(self, file: Path, image: PurePath) -> Path:
        other = self._served.setdefault(file, image)
        if other != image:
            raise DataError(
                f"{file} would serve both {other} and {image}: give each its own in a folder of the image's name"
            )
        return file

    def _stuff_map(self, labels: NDArray[Any]) -> NDArray[np.uint16]:
        if self._contiguous:
            void = _VOID_OF_DEPTH[labels.dtype]
            try:
                return LabelSpace.of(self._categories).stuff_map(labels, self._categories, (void,))
            except DataError as error:
                raise DataError(f"{error}; if these are data set ids, set PANOPTIC.STUFF_FORMAT ids") from error
        return self._categories.stuff_map(labels, self._void_ids)


def _read_labels(file: Path) -> NDArray[Any]:
    data = np.frombuffer(file.read_bytes(), np.uint8)
    labels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if labels is None:
        raise DataError(f"{file} is no image that can be read: repair or remove it")
    if labels.ndim != 2 or labels.dtype not in _VOID_OF_DEPTH:
        channels = 1 if labels.ndim == 2 else labels.shape[2]
        raise DataError(
            f"{file}: expected a grey 8-bit or 16-bit label map, got {labels.dtype} with {channels} channels"
        )
    return labels
