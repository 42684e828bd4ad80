"""What a comparison page shows: plain data, checked when it is made; nothing here knows of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from thingstuff.errors import DataError

Outcome = Literal["kept", "eroded", "dropped", "true"]
OUTCOMES: tuple[str, ...] = get_args(Outcome)
LOST = "lost"  # beside its outcome: what had found an object, and no longer does


@dataclass(frozen=True)
class PageTable:
    """A table under a title. Fields and cells mean what they mean in `thingstuff.report.table.Table`."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    align: str | None = None  # one letter a column: l, r, c
    footnotes: Sequence[str] = ()
    digits: int = 3  # of floats

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.headers):
                raise DataError(
                    f"table {self.title!r}, row {number}: expected {len(self.headers)} cells, got {len(row)}"
                )
        if self.align is not None and (len(self.align) != len(self.headers) or set(self.align) - set("lrc")):
            raise DataError(f"table {self.title!r}: expected l, r or c for each column, got align {self.align!r}")


@dataclass(frozen=True)
class PageFigure:
    """A drawing under a title. `svg` stands in the page as it is: whoever draws it escapes the texts in it."""

    title: str
    svg: str
    note: str = ""


class LegendEntry(NamedTuple):
    """A class and its colour, RGB from 0 to 255."""

    name: str
    color_rgb: tuple[int, int, int]
    isthing: bool


@dataclass(frozen=True, slots=True)
class LayerSegment:
    """One segment of a layer, or one instance that was dropped and has no pixels: then `box_xywh` says where it was.

    `text` is a sentence on what the merge did with it. `area_px` of a dropped one is that of its mask.
    """

    name: str
    outcome: Outcome
    isthing: bool
    area_px: int
    id: int | None = None  # in the layer's map; a dropped one has none
    score: float | None = None
    text: str = ""
    box_xywh: tuple[float, float, float, float] | None = None
    is_lost: bool = False  # it had found an object, and no longer does

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise DataError(
                f"segment {self.name!r}: expected an outcome of {', '.join(OUTCOMES)}, got {self.outcome!r}"
            )


@dataclass(frozen=True, eq=False)
class Layer:
    """What lies at each pixel: an H x W uint32 map of segment ids (0 = nothing), its segments, and what was dropped."""

    ids: np.ndarray
    segments: Sequence[LayerSegment]
    dropped: Sequence[LayerSegment] = ()

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.dtype != np.uint32:
            raise DataError(f"layer: expected an H x W uint32 map of ids, got {self.ids.dtype} of {self.ids.shape}")
        known = [segment.id for segment in self.segments]
        if None in known or 0 in known or len(set(known)) != len(known):
            raise DataError(f"layer: expected a different id above 0 for each segment, got {known}")
        for segment in self.dropped:
            if segment.box_xywh is None:
                raise DataError(f"layer: the dropped {segment.name!r} needs a box, as it has no pixels")


@dataclass(frozen=True, eq=False)
class PageImage:
    """One image. `pictures` maps the name of a view to an H x W x 3 uint8 BGR array, or to a WebP, JPEG or PNG file's
    bytes; a picture may be larger or smaller than the image, as long as it has its shape.

    A layer explains the view of its own name. A view without one is explained by the layer whose name has the same
    part before ": ", so that the layer "A: panoptic" also serves the views "A: box" and "A: semantic".
    `ranks` are numbers by which the images can be ordered; None or NaN comes last.
    """

    key: str
    width: int
    height: int
    pictures: Mapping[str, np.ndarray | bytes]
    layers: Mapping[str, Layer] = field(default_factory=dict)
    ranks: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.pictures:
            raise DataError(f"image {self.key!r}: expected one picture or more, got none")
        for name, picture in self.pictures.items():
            if not isinstance(picture, bytes) and not self._has_my_shape(picture):
                raise DataError(
                    f"image {self.key!r}, view {name!r}: expected a colour picture (uint8) in the shape of "
                    f"{self.height} x {self.width} pixels, got {picture.dtype} of {picture.shape}"
                )
        for name, layer in self.layers.items():
            if layer.ids.shape != (self.height, self.width):
                expected = f"{self.height} x {self.width}"
                raise DataError(f"image {self.key!r}, layer {name!r}: expected {expected} ids, got {layer.ids.shape}")

    def _has_my_shape(self, picture: np.ndarray) -> bool:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            return False
        height, width = picture.shape[:2]
        return bool(abs(width / self.width - height / self.height) <= max(1 / self.width, 1 / self.height))


@dataclass(frozen=True)
class Page:
    """A comparison. `verdict` are sentences, the main one first. `images` may be a generator: it is gone through once.

    `compared` are the two views that are laid over each other when an image is opened; without it they are the first
    two whose names end with "instance" and "panoptic". The second is also the one that the small pictures show. The
    tables after the first `open_tables` are folded away, so that the images are near. Images are ordered by their
    highest rank first, by those of `low_first` with the lowest.
    """

    title: str
    verdict: Sequence[str] = ()
    tables: Sequence[PageTable] = ()
    images: Iterable[PageImage] = ()
    legend: Sequence[LegendEntry | tuple[str, tuple[int, int, int], bool]] = ()
    compared: tuple[str, str] | None = None
    open_tables: int | None = None
    figures: Sequence[PageFigure] = ()  # above the tables
    low_first: Sequence[str] = ()
