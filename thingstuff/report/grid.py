"""Puts pictures side by side: a labelled grid on a light background, and files that are whole or not there at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from thingstuff.errors import DataError, UserError
from thingstuff.files import whole_file
from thingstuff.report.overlay import draw_text, font_for, shorten, text_alpha

SUFFIXES = (".png", ".jpg", ".jpeg")
_PAPER_BGR = (250, 250, 250)
_INK_BGR = (40, 40, 40)
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class _Sizes:
    """All lengths of a grid, in pixels."""

    cell_width: int
    cell_height: int
    gap: int
    font: int
    title_height: int
    side_width: int

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """x, y of a cell."""
        x = self.gap + self.side_width + column * (self.cell_width + self.gap)
        return x, self.gap + self.title_height + row * (self.cell_height + self.gap)


def picture_grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    column_titles: Sequence[str],
    row_titles: Sequence[str] | None = None,
    cell_width: int = 320,
) -> np.ndarray:
    """Rows of uint8 BGR pictures -> one uint8 BGR picture, with titles above the columns and left of the rows.

    Each picture is scaled to fit a cell with its proportions kept. All cells are as high as the highest picture needs
    at `cell_width`, at most twice their width; None leaves a cell empty. Titles that are too long end in "...".
    """
    if cell_width < 1:
        raise DataError(f"a grid's cells must be at least 1 pixel wide, got {cell_width}")
    _refuse_odd_shapes(rows, column_titles, row_titles)
    sizes = _sizes(rows, column_titles, row_titles, cell_width)
    right, bottom = sizes.corner(len(rows), len(column_titles))
    grid = np.full((bottom, right, 3), _PAPER_BGR, np.uint8)
    _draw_titles(grid, column_titles, row_titles or (), sizes)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            if picture is not None:
                _place(grid, picture, sizes.corner(row, column), sizes)
    return grid


def write_picture(path: str | Path, image_bgr: np.ndarray) -> None:
    """Write a uint8 BGR picture as PNG or JPEG, told by the suffix. A reader sees the whole file or none."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"cannot write {path}: name a picture {', '.join(SUFFIXES)}, not {path.suffix or 'no suffix'!r}"
        )
    _refuse_odd_picture(str(path), image_bgr)
    _, data = cv2.imencode(path.suffix.lower(), image_bgr, _encoder_options(path))
    with whole_file(path) as file:
        file.write(data.tobytes())


def _refuse_odd_shapes(rows: Sequence, column_titles: Sequence[str], row_titles: Sequence[str] | None) -> None:
    if not rows or not column_titles:
        raise DataError("a picture grid needs at least one row and one column")
    for number, row in enumerate(rows):
        if len(row) != len(column_titles):
            raise DataError(f"row {number} of the grid has {len(row)} pictures for {len(column_titles)} column titles")
        for picture in row:
            _refuse_odd_picture(f"row {number} of the grid", picture)
    if row_titles is not None and len(row_titles) != len(rows):
        raise DataError(f"the grid has {len(rows)} rows but {len(row_titles)} row titles")


def _refuse_odd_picture(where: str, picture: np.ndarray | None) -> None:
    if picture is None:
        return
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise DataError(f"{where}: expected H x W x 3 uint8, got {picture.dtype} of shape {picture.shape}")


def _sizes(rows: Sequence, column_titles: Sequence[str], row_titles: Sequence[str] | None, cell_width: int) -> _Sizes:
    proportions = [picture.shape[0] / picture.shape[1] for row in rows for picture in row if picture is not None]
    cell_height = max(1, round(cell_width * min(max(proportions, default=1.0), 2.0)))
    font = min(max(12, round(cell_width / 20)), 28)
    line = round(font * 1.9)
    return _Sizes(
        cell_width=cell_width,
        cell_height=cell_height,
        gap=max(4, cell_width // 40),
        font=font,
        title_height=line if any(column_titles) else 0,
        side_width=line if row_titles and any(row_titles) else 0,
    )


def _draw_titles(grid: np.ndarray, column_titles: Sequence[str], row_titles: Sequence[str], sizes: _Sizes) -> None:
    font = font_for([*column_titles, *row_titles])
    for column, title in enumerate(column_titles):
        x, y = sizes.corner(0, column)
        alpha = _title_alpha(title, sizes.cell_width, sizes, font)
        draw_text(grid, x + (sizes.cell_width - alpha.shape[1]) // 2, y - sizes.title_height, alpha, _INK_BGR)
    for row, title in enumerate(row_titles):
        x, y = sizes.corner(row, 0)
        alpha = np.rot90(_title_alpha(title, sizes.cell_height, sizes, font))  # reads upward and needs little room
        draw_text(grid, x - sizes.side_width, y + (sizes.cell_height - alpha.shape[0]) // 2, alpha, _INK_BGR)


def _title_alpha(title: str, width_px: int, sizes: _Sizes, font: str | None) -> np.ndarray:
    return text_alpha(shorten(title, width_px, sizes.font, font), sizes.font, font)[:, :width_px]


def _place(grid: np.ndarray, picture: np.ndarray, corner: tuple[int, int], sizes: _Sizes) -> None:
    ratio = min(sizes.cell_width / picture.shape[1], sizes.cell_height / picture.shape[0])
    width, height = max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio))
    # Averaging keeps thin outlines when shrinking; enlarging by repetition shows pixels as they are.
    scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_NEAREST)
    x, y = corner[0] + (sizes.cell_width - width) // 2, corner[1] + (sizes.cell_height - height) // 2
    grid[y : y + height, x : x + width] = scaled


def _encoder_options(path: Path) -> list[int]:
    return [] if path.suffix.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
