"""A grid of a data set's images beside what is said of them: the quickest way to see that a truth is wrong."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from thingstuff.data.images import read_image_bgr
from thingstuff.data.panoptic.names import is_inside
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.report.dataset_layers import ImageTruth, truth_pictures
from thingstuff.report.grid import SUFFIXES, picture_grid, write_picture
from thingstuff.report.overlay import draw_text, font_for, shorten, text_alpha

_COLUMNS_SIDE_BY_SIDE = 3
_LINE_PX, _FONT_PX = 22, 13
_PAPER_BGR, _INK_BGR, _ALARM_BGR, _GREY_BGR = (250, 250, 250), (40, 40, 40), (30, 30, 200), (205, 205, 205)


@dataclass(frozen=True)
class PreviewOptions:
    """`count` images of all splits by `seed`, or all that are named so, as in the data set or by their last part."""

    count: int = 12
    seed: int = 0
    images: Sequence[str] = ()
    cell_px: int = 400

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("seed", 0), ("cell_px", 100)):
            if getattr(self, name) < least:
                raise DataError(f"{name}: expected {least} or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class Preview:
    """The picture, the images in it (split, file name), and a line for each thing that could not be drawn."""

    path: Path
    images: Sequence[tuple[str, str]]
    notes: Sequence[str]


def preview(splits: Mapping[str, SplitTruth], path: Path, options: PreviewOptions | None = None) -> Preview:
    """Write the grid as JPEG or PNG: each image as it is, then its instances, stuff and panoptic map, as far as known.

    Nothing stops the drawing of the rest: an image that cannot be read is a grey tile with its name, an annotation that
    cannot be drawn is left out and counted in red, and the notes name them all. Instances of an unknown category are
    drawn under its id, crowds say so. Only when no image at all can be read is that an error.
    """
    path, options = Path(path), options or PreviewOptions()
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: a picture is written as {', '.join(SUFFIXES)}, not as {path.suffix or 'no suffix'!r}")
    chosen = _named(splits, options.images) if options.images else _sample(splits, options)
    shown = [
        _Shown.of(name, truth, options.cell_px)
        for name, rows in itertools.groupby(chosen, key=lambda one: one[0])
        for truth in _truths(splits[name], [row for _, row in rows])
    ]
    if not any(one.is_readable for one in shown):
        raise DataError(f"none of the {len(shown)} images can be read; the first: {shown[0].problems[0]}")
    write_picture(path, _grid(shown, options.cell_px))
    notes = [f"{one.split}: {one.file_name}: {problem}" for one in shown for problem in one.problems]
    return Preview(path, [(one.split, one.file_name) for one in shown], notes)


def _named(splits: Mapping[str, SplitTruth], names: Sequence[str]) -> list[tuple[str, int]]:
    """Split and row of all images with these names, split by split."""
    every = [(split, row, _file_name(i)) for split, truth in splits.items() for row, i in enumerate(truth.images)]
    found = set()
    for name in names:
        matches = [(split, row) for split, row, own in every if own == name]
        last_parts = ((split, row, PurePosixPath(own)) for split, row, own in every)
        matches = matches or [(split, row) for split, row, own in last_parts if name in (own.name, own.stem)]
        if not matches:
            near = difflib.get_close_matches(name, [own for *_, own in every], 1, 0.4)
            hint = f": the nearest is {near[0]!r}" if near else ""
            raise DataError(f"no image is named {name!r}{hint}")
        found.update(matches)
    return [(split, row) for split, row, _ in every if (split, row) in found]


def _sample(splits: Mapping[str, SplitTruth], options: PreviewOptions) -> list[tuple[str, int]]:
    """As many of each split as of the others, where they have them; the same in whatever order images are listed."""
    orders = []
    for number, (split, truth) in enumerate(splits.items()):
        by_name = [row for _, row in sorted((_file_name(image), row) for row, image in enumerate(truth.images))]
        order = np.random.default_rng([options.seed, number]).permutation(len(by_name)).tolist()
        orders.append([(split, by_name[n]) for n in order])
    in_turn = [one for turn in itertools.zip_longest(*orders) for one in turn if one is not None]
    taken = set(in_turn[: options.count])
    if not taken:
        raise DataError("there are no images to be shown")
    return [one for order in orders for one in order if one in taken]


def _file_name(image: Record) -> str:
    return str(image.get("file_name"))


def _truths(split: SplitTruth, rows: Sequence[int]) -> list[tuple[Record, ImageTruth]]:
    return [(split.images[row], truth) for row, truth in zip(rows, ImageTruth.of(split, rows), strict=True)]


@dataclass(frozen=True, eq=False)
class _Shown:
    """One image with its pictures by title, each small enough for its cell."""

    split: str
    file_name: str
    is_readable: bool
    pictures: Mapping[str, np.ndarray]
    problems: Sequence[str]

    @classmethod
    def of(cls, split: str, record_and_truth: tuple[Record, ImageTruth], cell_px: int) -> _Shown:
        record, truth = record_and_truth
        name = _file_name(record)
        try:
            image = _read(truth.split.image_root, record)
        except DataError as error:
            grey = np.full((cell_px * 3 // 4, cell_px, 3), _GREY_BGR, np.uint8)
            _write(grey, "cannot be read", cell_px // 40, cell_px * 3 // 8, _ALARM_BGR)
            return cls(split, name, False, {"image": grey}, [str(error)])
        pictures, problems = truth_pictures(truth, image, cell_px)
        fitted = {title: _fitted(picture, cell_px) for title, picture in ({"image": image} | pictures).items()}
        return cls(split, name, True, fitted, [*_other_size(record, image), *problems])


def _read(root: Path, record: Record) -> np.ndarray:
    name = record.get("file_name")
    if not isinstance(name, str) or not is_inside(name):
        raise DataError(f"expected a file_name below the image folder, got {name!r:.80}")
    return read_image_bgr(root / name)


def _other_size(record: Record, image: np.ndarray) -> list[str]:
    stated = record.get("width"), record.get("height")
    height, width = image.shape[:2]
    if None in stated or stated == (width, height):
        return []
    return [f"the image is {width} x {height} pixels, and its record says {stated[0]!r:.20} x {stated[1]!r:.20}"]


def _fitted(picture: np.ndarray, cell_px: int) -> np.ndarray:
    ratio = min(cell_px / picture.shape[1], cell_px / picture.shape[0])
    size = max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_NEAREST)


def _grid(shown: Sequence[_Shown], cell_px: int) -> np.ndarray:
    titles = list(dict.fromkeys(title for one in shown for title in one.pictures))
    cells: list[list[Any]] = [_tiles(one, titles, cell_px) for one in shown]
    # two images a row where they fit: a wide page reads better than a tall one
    if len(titles) <= _COLUMNS_SIDE_BY_SIDE and len(cells) > 1:
        pairs = itertools.zip_longest(cells[::2], cells[1::2], fillvalue=[None] * len(titles))
        cells, titles = [left + right for left, right in pairs], titles * 2
    # row by row, so that one tall image does not make all rows tall
    rows = [picture_grid([row], [""] * len(titles) if n else titles, cell_width=cell_px) for n, row in enumerate(cells)]
    return np.concatenate(rows)


def _tiles(shown: _Shown, titles: Sequence[str], cell_px: int) -> list[np.ndarray | None]:
    """The pictures over strips of paper; in the first strip is the name, and how much could not be drawn."""
    count = len(shown.problems)
    lines = [(_caption(shown, cell_px), _INK_BGR)]
    if count and shown.is_readable:
        lines.append((f"{count} problem{'s' * (count > 1)}: see the notes", _ALARM_BGR))
    tiles: list[np.ndarray | None] = []
    for title in titles:
        picture = shown.pictures.get(title)
        if picture is None:
            tiles.append(None)
            continue
        height, width = picture.shape[:2]
        tile = np.full((height + _LINE_PX * len(lines), cell_px, 3), _PAPER_BGR, np.uint8)
        left = (cell_px - width) // 2
        tile[:height, left : left + width] = picture
        for n, (text, color) in enumerate(lines if title == "image" else ()):
            _write(tile, text, 0, height + n * _LINE_PX + 2, color)
        tiles.append(tile)
    return tiles


def _caption(shown: _Shown, cell_px: int) -> str:
    """Without its folders where it is too long, since names differ at their end."""
    whole = f"{shown.split}: {shown.file_name}"
    if shorten(whole, cell_px, _FONT_PX, font_for([whole])) == whole:
        return whole
    return f"{shown.split}: {PurePosixPath(shown.file_name).name}"


def _write(picture: np.ndarray, text: str, x: int, y: int, color_bgr: tuple[int, int, int]) -> None:
    font = font_for([text])
    draw_text(picture, x, y, text_alpha(shorten(text, picture.shape[1] - x, _FONT_PX, font), _FONT_PX, font), color_bgr)
