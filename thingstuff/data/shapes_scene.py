"""One synthetic scene of the `shapes` data set: textured stuff, geometric things before it, and the exact truth.

A class has an outline of its own and a hue that it favours but shares with its neighbours: colour gives a detector
its start, shape the rest. Some things take nearly the colour of what is behind them, and things hide one another.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np

SIDE_PX = 160
THING_NAMES = ("disc", "square", "triangle", "star", "cross", "heart")
STUFF_NAMES = ("sky", "grass", "water", "sand")
SMALL_BELOW_PX = 32**2  # COCO's bounds, so that its AP for small, medium and large speaks of the same classes
LARGE_FROM_PX = 96**2

_SIZE_CHANCES = (0.375, 0.625)  # of small and medium, in scenes that get as many things as fit
_LARGE_CHANCE = 0.78  # of a scene; two would not fit
_AREA_RANGES_PX = ((14**2, 31**2), (34**2, 84**2), (99**2, 120**2))
_THINGS_MOST = 6
_CROWD_CHANCE = 0.185  # of a scene
_LEAST_VISIBLE = 0.40  # of a thing's own area; what is hidden further would be guesswork even for a person
_LEAST_VISIBLE_PX = 60
_CAMOUFLAGE_CHANCE = 0.05
_HUE_SPREAD = 0.04  # deviation, of the full circle; the classes' own hues lie 1/6 apart
_TURN_MOST = 0.4  # radians either way from upright
_TRIES = 30
_STUFF_COLORS_BGR = {"sky": (200, 180, 160), "grass": (85, 120, 95), "water": (130, 105, 80), "sand": (145, 170, 185)}
_STUFF_GRAIN = {
    "sky": (3, 5, 14),
    "grass": (60, 40, 34),
    "water": (40, 6, 22),
    "sand": (90, 90, 26),
}  # cells y, x; depth


@dataclass(frozen=True)
class Thing:
    """One annotated instance, or one crowd group. `mask` is what is visible, `full_area_px` what would be unhidden."""

    name: str
    mask: np.ndarray  # SIDE x SIDE bool
    full_area_px: int
    iscrowd: bool = False

    @property
    def area_px(self) -> int:
        return int(self.mask.sum())


@dataclass(frozen=True)
class Scene:
    """An image with its truth. `stuff_map` is SIDE x SIDE uint16: 0 on things, index in STUFF_NAMES + 1 elsewhere."""

    image_bgr: np.ndarray
    stuff_map: np.ndarray
    things: tuple[Thing, ...]


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw one scene. The same generator state gives the same scene."""
    stuff = _draw_stuff_map(rng)
    image = _paint_stuff(rng, stuff)
    things: list[Thing] = []
    if rng.random() < _CROWD_CHANCE:
        things.append(_place_crowd(rng, image))
    for size in _draw_sizes(rng):
        things = _place_thing(rng, image, things, size)
    stuff[np.any([t.mask for t in things], axis=0)] = 0
    return Scene(_photograph(rng, image), stuff, tuple(things))


def _draw_sizes(rng: np.random.Generator) -> list[int]:
    """Size classes of a scene's things, 0 small to 2 large. A large one comes first, so it stands behind the others."""
    others = rng.choice(2, size=int(rng.integers(1, _THINGS_MOST)), p=_SIZE_CHANCES)
    return [2] * int(rng.random() < _LARGE_CHANCE) + [int(size) for size in others]


# ---- stuff -------------------------------------------------------------------------------------------------------


def _draw_stuff_map(rng: np.random.Generator) -> np.ndarray:
    """Sky over an uneven horizon, below it grass with ponds of water, and sand along their shores."""
    rows = np.arange(SIDE_PX)[:, None]
    horizon = SIDE_PX * rng.uniform(0.15, 0.55) + 14 * _noise(rng, 1, 5)[:1]
    pond = _noise(rng, 4, 4)
    level = rng.uniform(0.0, 0.9)
    stuff = np.full((SIDE_PX, SIDE_PX), _stuff_value("grass"), np.uint16)
    stuff[pond > level - rng.uniform(0.1, 0.5)] = _stuff_value("sand")
    stuff[pond > level] = _stuff_value("water")
    stuff[rows < horizon] = _stuff_value("sky")
    return stuff


def _stuff_value(name: str) -> int:
    return STUFF_NAMES.index(name) + 1


def _noise(rng: np.random.Generator, cells_y: int, cells_x: int) -> np.ndarray:
    """SIDE x SIDE float32 smooth noise of about unit deviation, with the given number of bumps each way."""
    grid = rng.standard_normal((cells_y + 2, cells_x + 2)).astype(np.float32)
    return cv2.resize(grid, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)


def _paint_stuff(rng: np.random.Generator, stuff: np.ndarray) -> np.ndarray:
    image = np.zeros((SIDE_PX, SIDE_PX, 3), np.float32)
    for name in STUFF_NAMES:
        cells_y, cells_x, depth = _STUFF_GRAIN[name]
        color = np.array(_STUFF_COLORS_BGR[name], np.float32) + rng.normal(0, 12, 3).astype(np.float32)
        texture = depth * _noise(rng, cells_y, cells_x) + 10 * _noise(rng, 3, 3)
        where = stuff == _stuff_value(name)
        image[where] = (color + texture[..., None])[where]
    return image


# ---- things ------------------------------------------------------------------------------------------------------


def _place_thing(rng: np.random.Generator, image: np.ndarray, things: list[Thing], size: int) -> list[Thing]:
    """`things` with one more before them, if a place is found that hides none of them too far."""
    for _ in range(_TRIES):
        name = str(rng.choice(THING_NAMES))
        area_px = float(np.exp(rng.uniform(*np.log(_AREA_RANGES_PX[size]))))
        mask = _outline_mask(rng, name, area_px, rng.uniform(0.06, 0.94, 2) * SIDE_PX)
        behind = [_hidden_by(thing, mask) for thing in things]
        if _size_class(int(mask.sum())) == size and all(map(_recognisable, behind, things)):
            _paint_thing(rng, image, name, mask)
            return [*behind, Thing(name, mask, int(mask.sum()))]
    return things


def _hidden_by(thing: Thing, mask: np.ndarray) -> Thing:
    return Thing(thing.name, thing.mask & ~mask, thing.full_area_px, thing.iscrowd)


def _recognisable(after: Thing, before: Thing) -> bool:
    """Whether `before` still is what it was when partly hidden: visible enough, and of the same size class."""
    least = max(_LEAST_VISIBLE * before.full_area_px, _LEAST_VISIBLE_PX)
    same_size = before.iscrowd or _size_class(after.area_px) == _size_class(before.area_px)
    return after.area_px == before.area_px or (after.area_px >= least and same_size)


def _size_class(area_px: int) -> int:
    return int(area_px >= SMALL_BELOW_PX) + int(area_px >= LARGE_FROM_PX)


def _place_crowd(rng: np.random.Generator, image: np.ndarray) -> Thing:
    """A swarm of tiny things of one class that nobody would outline one by one: one group, marked as crowd."""
    name = str(rng.choice(THING_NAMES))
    center = rng.uniform(0.2, 0.8, 2) * SIDE_PX
    group = np.zeros((SIDE_PX, SIDE_PX), bool)
    for _ in range(int(rng.integers(9, 16))):
        where = np.clip(center + rng.normal(0, 13, 2), 5, SIDE_PX - 5)
        mask = _outline_mask(rng, name, rng.uniform(40, 90), where) & ~group
        _paint_thing(rng, image, name, mask)
        group |= mask
    return Thing(name, group, int(group.sum()), iscrowd=True)


def _outline_mask(rng: np.random.Generator, name: str, area_px: float, center: np.ndarray) -> np.ndarray:
    """SIDE x SIDE bool mask of one turned and slightly squeezed outline of about `area_px`, cut at the border."""
    outline = _OUTLINES[name]
    squeeze, angle = rng.uniform(0.8, 1.0), rng.uniform(-_TURN_MOST, _TURN_MOST)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (outline * np.sqrt([squeeze, 1 / squeeze]) * np.sqrt(area_px)) @ turn.T + center
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1, shift=4)
    return mask.astype(bool)


def _paint_thing(rng: np.random.Generator, image: np.ndarray, name: str, mask: np.ndarray) -> None:
    """Fill `mask` in place with a shaded, grainy colour; sometimes one close to what it covers."""
    if not mask.any():
        return
    color = _draw_color(rng, name)
    if rng.random() < _CAMOUFLAGE_CHANCE:
        color = image[mask].mean(0) + rng.normal(0, 30, 3)
    shade = 18 * _noise(rng, 1, 1) + rng.uniform(3, 16) * _noise(rng, *rng.integers(2, 60, 2))
    image[mask] = (color + shade[..., None])[mask]


def _draw_color(rng: np.random.Generator, name: str) -> np.ndarray:
    """BGR, 0 to 255: a hue about the one of the class, more or less pale and bright."""
    hue = (THING_NAMES.index(name) / len(THING_NAMES) + rng.normal(0, _HUE_SPREAD)) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, rng.uniform(0.45, 0.9), rng.uniform(0.45, 1.0))
    return 255 * np.array([blue, green, red])


def _photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What a camera adds: a soft lens, exposure, sensor noise, 8 bits."""
    soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.0))
    noisy = soft * rng.uniform(0.75, 1.2) + rng.normal(0, rng.uniform(1.5, 6), image.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def _unit_outline(points: np.ndarray) -> np.ndarray:
    """The outline moved and scaled so that its centroid is the origin and its area is 1."""
    x, y = points.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    centroid = ((points + np.roll(points, -1, axis=0)) * cross[:, None]).sum(0) / (6 * area)
    return (points - centroid) / np.sqrt(abs(area))


def _polar(radii: np.ndarray) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([16 * np.sin(t) ** 3, y], axis=1)


_CROSS = ((1, 3), (1, 1), (3, 1), (3, -1), (1, -1), (1, -3), (-1, -3), (-1, -1), (-3, -1), (-3, 1), (-1, 1), (-1, 3))
_OUTLINES = {
    "disc": _unit_outline(_polar(np.ones(48))),
    "square": _unit_outline(np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)], float)),
    "triangle": _unit_outline(np.array([(0, -2), (1.8, 1), (-1.8, 1)], float)),
    "star": _unit_outline(_polar(np.tile([1.0, 0.5], 5))),
    "cross": _unit_outline(np.array(_CROSS, float)),
    "heart": _unit_outline(_heart()),
}
