"""Draws what a model found over the picture: box, semantic, instance or panoptic, in colours a reader can follow.

The fill is exactly `image * image_weight + colour * color_weight`, rounded and cut off at 255. For individuals that is
`image + colour / 2`, which keeps every detail of the picture; where the colour stands for a class it weighs more, so
that one class is one blob. Outlines, boxes and labels are drawn on top, at a size that fits the picture.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from thingstuff.errors import ConfigError
from thingstuff.report.colors import contrasting_text
from thingstuff.report.views import Box, Color, Layers, Region, regions_of

__all__ = ["Layers", "OverlayStyle", "draw_overlay", "draw_text", "font_for", "shorten", "text_alpha"]

_SMALL_BELOW_PX = 400  # a shorter side below this leaves no room for text ...
_ENLARGED_PX = 480  # ... and is enlarged to about this, ...
_LONGEST_PX = 2000  # ... but not beyond this on the longer side
_WEIGHTS = {"box": (1.0, 0.0), "semantic": (0.45, 0.55), "instance": (1.0, 0.5), "panoptic": (0.45, 0.55)}
_MISSING_GLYPH = "\U0010ffff"  # no font has it, so it shows what a font draws for a letter it lacks
_LABELS_MOST = 0.12  # of the picture's area; with more of it under labels nothing else is seen
_SHIFTS = (0, 1, -1, 2, -2, 3, -3)  # in label heights


@dataclass(frozen=True)
class OverlayStyle:
    """How an overlay is drawn. None means: chosen to fit the picture.

    `scale` enlarges the picture by a whole factor, so that labels on tiny images can be read; masks stay exact.
    `font` is a TrueType file for class names in a script that the built-in fonts lack.
    """

    image_weight: float | None = None
    color_weight: float | None = None
    outlines: bool = True
    boxes: bool = True
    labels: bool = True
    scale: int | None = None
    line_px: int | None = None
    font_px: int | None = None
    font: str | Path | None = None

    def __post_init__(self) -> None:
        for name, least in (("scale", 1), ("line_px", 1), ("font_px", 4)):
            value = getattr(self, name)
            if value is not None and (int(value) != value or value < least):
                raise ConfigError(f"the overlay's {name} must be a whole number from {least} on, but is {value!r}")

    def fitted_to(self, view: str, height: int, width: int) -> OverlayStyle:
        """The same style with everything decided for this view of an image of this size."""
        image_weight, color_weight = _WEIGHTS[view]
        scale = self.scale or _scale_for(height, width)
        short_px = min(height, width) * scale
        return replace(
            self,
            scale=scale,
            line_px=self.line_px or max(1, round(short_px / 500)),
            font_px=self.font_px or max(13, round(short_px * 0.017)),
            image_weight=image_weight if self.image_weight is None else self.image_weight,
            color_weight=color_weight if self.color_weight is None else self.color_weight,
        )


def draw_overlay(layers: Layers, view: str, style: OverlayStyle | None = None) -> np.ndarray:
    """The image with one view drawn over it, as uint8 BGR of `style.scale` times the image's height and width.

    Views: `box`, `semantic` (a class is one blob), `instance` (every individual its own colour) and `panoptic`.
    Unlike Detectron2's Visualizer small instances are drawn over large ones. No label covers another: in a crowd the
    smallest instances have none.
    """
    regions = regions_of(layers, view)
    style = (style or OverlayStyle()).fitted_to(view, *layers.size)
    picture = _enlarged(_fill(layers.image_bgr, regions, style), style.scale)
    if style.outlines:
        _draw_outlines(picture, regions, style)
    if style.boxes:
        _draw_boxes(picture, regions, style)
    if style.labels:
        _draw_labels(picture, regions, style)
    return picture


def draw_text(picture: np.ndarray, x: int, y: int, alpha: np.ndarray, color_bgr: Color) -> None:
    """Draw what `text_alpha` made with its upper left corner at x, y; what does not fit into the picture is cut off."""
    height, width = picture.shape[:2]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + alpha.shape[1], width), min(y + alpha.shape[0], height)
    if left >= right or top >= bottom:
        return
    part = picture[top:bottom, left:right]
    weight = alpha[top - y : bottom - y, left - x : right - x, None] / np.float32(255)
    part[:] = np.rint(part + (np.array(color_bgr, np.float32) - part) * weight)


@lru_cache(maxsize=2048)
def text_alpha(text: str, font_px: int, font: str | Path | None = None) -> np.ndarray:
    """Text as a uint8 coverage image. All texts of a size are equally high, so that they line up."""
    typeface = _typeface(font, font_px)
    drawable = _drawable(text, typeface)
    ascent, descent = typeface.getmetrics()
    canvas = Image.new("L", (max(1, int(np.ceil(typeface.getlength(drawable)))), ascent + descent))
    ImageDraw.Draw(canvas).text((0, 0), drawable, fill=255, font=typeface)
    alpha = np.asarray(canvas)
    alpha.flags.writeable = False  # the cache hands it out again
    return alpha


def font_for(texts: Iterable[str]) -> str | None:
    """One font for all the texts of a picture: Pillow's own (None), which knows ASCII only, or a wider one."""
    return None if all(text.isascii() for text in texts) else _wide_font()


def shorten(text: str, width_px: int, font_px: int, font: str | Path | None = None) -> str:
    """The text, or as much of its beginning with "..." as fits into the width, or nothing."""
    typeface = _typeface(font, font_px)

    def is_wider(candidate: str) -> bool:
        return typeface.getlength(_drawable(candidate, typeface)) > width_px

    if not is_wider(text):
        return text
    fitting = bisect_left(range(len(text)), True, key=lambda length: is_wider(f"{text[:length].rstrip()}..."))
    return f"{text[: fitting - 1].rstrip()}..." if fitting else ""


def _scale_for(height: int, width: int) -> int:
    short_px, long_px = sorted((height, width))
    if short_px >= _SMALL_BELOW_PX:
        return 1
    return max(1, min(round(_ENLARGED_PX / short_px), _LONGEST_PX // long_px))


def _fill(image: np.ndarray, regions: list[Region], style: OverlayStyle) -> np.ndarray:
    # One canvas takes all colours before it is added, so a pixel under two masks shows the smaller one's colour only.
    canvas, covered = np.zeros_like(image), np.zeros(image.shape[:2], bool)
    for region in regions:
        if region.mask is not None:
            x0, y0, x1, y1 = region.mask_box
            covered[y0:y1, x0:x1] |= region.mask > 0
            canvas[y0:y1, x0:x1][region.mask > 0] = region.color_bgr
    filled = cv2.addWeighted(image, style.image_weight, canvas, style.color_weight, 0)
    return np.where(covered[..., None], filled, image)


def _enlarged(picture: np.ndarray, scale: int) -> np.ndarray:
    return np.ascontiguousarray(picture.repeat(scale, axis=0).repeat(scale, axis=1))


def _draw_outlines(picture: np.ndarray, regions: list[Region], style: OverlayStyle) -> None:
    for region in regions:
        if region.mask is None:
            continue
        border = _border_px(region.mask_box, picture.shape, style)
        mask = np.pad(np.pad(_enlarged(region.mask, style.scale), border, "edge"), 1)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        x, y = region.mask_box[0] * style.scale, region.mask_box[1] * style.scale
        offset = (x - border[1][0] - 1, y - border[0][0] - 1)
        cv2.drawContours(picture, contours, -1, region.color_bgr, style.line_px, offset=offset)


def _border_px(box: Box, shape: tuple[int, ...], style: OverlayStyle) -> tuple[tuple[int, int], tuple[int, int]]:
    """How far a mask is continued beyond each side of the picture, so that its outline does not run along that side."""
    beyond = style.line_px + 1
    x0, y0, x1, y1 = (side * style.scale for side in box)
    touches = ((y0 == 0, y1 == shape[0]), (x0 == 0, x1 == shape[1]))
    return tuple(tuple(beyond * touch for touch in sides) for sides in touches)


def _draw_boxes(picture: np.ndarray, regions: list[Region], style: OverlayStyle) -> None:
    for region in regions:
        if region.box is not None:
            x0, y0, x1, y1 = (side * style.scale for side in region.box)
            line_px = style.line_px if region.mask is None else max(1, style.line_px // 2)  # the outline says more
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), region.color_bgr, line_px)


def _draw_labels(picture: np.ndarray, regions: list[Region], style: OverlayStyle) -> None:
    """Large regions choose their place first, so in a crowd the small ones go without a label."""
    style = replace(style, font=style.font or font_for(region.label for region in regions))
    taken = np.zeros(picture.shape[:2], bool)
    for region in regions:
        if np.count_nonzero(taken) < _LABELS_MOST * taken.size:
            _draw_label(picture, taken, region, style)


def _draw_label(picture: np.ndarray, taken: np.ndarray, region: Region, style: OverlayStyle) -> None:
    pad = max(2, style.font_px // 5)
    text = shorten(region.label, picture.shape[1] - 2 * pad, style.font_px, style.font)
    alpha = text_alpha(text, style.font_px, style.font)
    height, width = alpha.shape[0] + pad, alpha.shape[1] + 2 * pad
    for wanted in _label_places(region, width, height, style):
        x, y = _moved_inside(wanted, width, height, picture.shape)
        if not taken[y : y + height, x : x + width].any():
            taken[y : y + height, x : x + width] = True
            picture[y : y + height, x : x + width] = region.color_bgr
            draw_text(picture, x + pad, y + pad // 2, alpha, contrasting_text(np.array(region.color_bgr)))
            return


def _moved_inside(place: tuple[int, int], width: int, height: int, shape: tuple[int, ...]) -> tuple[int, int]:
    return max(0, min(place[0], shape[1] - width)), max(0, min(place[1], shape[0] - height))


def _label_places(region: Region, width: int, height: int, style: OverlayStyle) -> Iterator[tuple[int, int]]:
    """Upper left corners for a label, the best first: at a box's corners, or in the middle of a mask."""
    if region.box is not None:
        yield from _places_at_box(tuple(side * style.scale for side in region.box), width, height)
    else:
        yield from _places_at_mask(region, width, height, style.scale)


def _places_at_box(box: Box, width: int, height: int) -> Iterator[tuple[int, int]]:
    x0, y0, x1, y1 = box
    for y in (y0 - height, y1, y0, y1 - height):
        yield x0, y
        yield x1 - width, y
    for step in range(1, 4):
        yield x0, y0 + step * height
        yield x0, y0 - (step + 1) * height


def _places_at_mask(region: Region, width: int, height: int, scale: int) -> Iterator[tuple[int, int]]:
    x0, y0, _, y1 = (side * scale for side in region.mask_box)
    reach = cv2.distanceTransform(np.pad(region.mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(reach.argmax(), reach.shape)
    x, y = x0 + int((column + 0.5) * scale) - width // 2, y0 + int((row + 0.5) * scale) - height // 2
    roomy = reach[row, column] * scale > height
    if not roomy:  # a label inside would hide the whole of it
        yield x, y0 - height
        yield x, y1
    for step in _SHIFTS:
        yield x, y + step * height


@lru_cache(maxsize=256)
def _typeface(path: str | Path | None, font_px: int) -> ImageFont.FreeTypeFont:
    if path is None:
        return ImageFont.load_default(font_px)
    try:
        return ImageFont.truetype(path, font_px)
    except OSError as error:
        raise ConfigError(f"the overlay's font {path} cannot be read: {error}") from error


@lru_cache(maxsize=1)
def _wide_font() -> str | None:
    """The DejaVu Sans that comes with matplotlib: Latin, Greek, Cyrillic and more. Finding it imports nothing."""
    spec = find_spec("matplotlib")
    path = Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf" if spec and spec.origin else None
    return str(path) if path and path.exists() else None


def _drawable(text: str, typeface: ImageFont.FreeTypeFont) -> str:
    return text if text.isascii() and text.isprintable() else "".join(_letter(letter, typeface) for letter in text)


def _letter(letter: str, typeface: ImageFont.FreeTypeFont) -> str:
    """The letter, or where the font lacks it the letter without accents, or a question mark."""
    if letter.isascii() or not letter.isprintable():
        return letter if letter.isprintable() else " "
    if bytes(typeface.getmask(letter)) != bytes(typeface.getmask(_MISSING_GLYPH)):
        return letter
    plain = unicodedata.normalize("NFKD", letter)[0]
    return plain if plain.isascii() else "?"
