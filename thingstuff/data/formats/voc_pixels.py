"""The two PNGs of a VOC image: whose each pixel is, and of which class, however they are coded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.id_mask_values import IdInstances, instances_of_values
from thingstuff.data.formats.voc_labels import VOID, VocLabels, color_codes, voc_colors
from thingstuff.errors import DataError
from thingstuff.structures.png import read_label_png, read_palette
from thingstuff.structures.runs import positions_of, run_starts


@dataclass(frozen=True)
class VocPixels:
    """The objects of an image, and for each of their numbers how many of its pixels have which class index."""

    objects: IdInstances
    classes_px: Mapping[int, Mapping[int, int]]
    void_px: int


def read_voc_pixels(objects_png: Path, classes_png: Path, labels: VocLabels) -> VocPixels:
    objects, classes = _read_objects(objects_png), _read_classes(classes_png, labels)
    if objects.shape != classes.shape:
        sizes = [f"{width} x {height}" for height, width in (objects.shape, classes.shape)]
        raise DataError(f"{objects_png}: has {sizes[0]} pixels, and {classes_png} {sizes[1]}: write one of them again")
    is_void = objects == VOID
    objects[is_void] = 0
    void_px = int(np.count_nonzero(is_void))
    return VocPixels(instances_of_values(objects, str(objects_png)), _pairs(objects, classes), void_px)


def _read_objects(path: Path) -> NDArray[Any]:
    """Numbers of objects: indices or grey values, or what these colours are in VOC's colour map."""
    values = read_label_png(path, rgb_ids=True)
    return values if values.dtype != np.uint32 else _by_color(values, _VOC_INDEX_OF, f"{path}: VOC's colour map")


def _read_classes(path: Path, labels: VocLabels) -> NDArray[Any]:
    """Class indices. What a labelmap.txt says of colours goes before the indices of a palette, if it has them all."""
    values = read_label_png(path, rgb_ids=True)
    if values.dtype == np.uint32:
        return _by_color(values, labels.index_of, f"{path}: the list of labels")
    if not labels.has_own_colors or values.dtype != np.uint8:
        return values
    table = _palette_classes(path, labels)
    used = np.bincount(values.reshape(-1), minlength=256) > 0
    return table[values] if (table[used] >= 0).all() else values


def _palette_classes(path: Path, labels: VocLabels) -> NDArray[np.int64]:
    """Index into the palette -> class index, -1 where no label has the colour."""
    table = np.full(256, -1, np.int64)
    codes = color_codes(read_palette(path)[:256])
    table[: codes.size] = [labels.index_of.get(code, -1) for code in codes.tolist()]
    table[VOID] = VOID
    return table


def _by_color(values: NDArray[np.uint32], index_of: Mapping[int, int], what: str) -> NDArray[np.int64]:
    positions = positions_of(values, np.array(list(index_of), np.int64))
    if (positions < 0).any():
        code = int(values[positions < 0][0])
        color = (code & 255, code >> 8 & 255, code >> 16)
        raise DataError(f"{what} does not have the colour {color} of {np.count_nonzero(positions < 0)} pixels")
    return np.array(list(index_of.values()), np.int64)[positions]


def _pairs(objects: NDArray[Any], classes: NDArray[Any]) -> dict[int, dict[int, int]]:
    """Number -> class index -> pixels that have both; neither is above 16 bits."""
    flat = objects.reshape(-1), classes.reshape(-1)
    starts = run_starts(*flat)
    lengths = np.diff(starts, append=flat[0].size)
    pairs, where = np.unique(flat[0][starts].astype(np.int64) << 16 | flat[1][starts], return_inverse=True)
    areas_px = np.bincount(where, weights=lengths, minlength=pairs.size).astype(np.int64)
    classes_px: dict[int, dict[int, int]] = {}
    for pair, area_px in zip(pairs.tolist(), areas_px.tolist(), strict=True):
        classes_px.setdefault(pair >> 16, {})[pair & 0xFFFF] = area_px
    return classes_px


_VOC_INDEX_OF = {code: index for index, code in enumerate(color_codes(voc_colors()).tolist())}
