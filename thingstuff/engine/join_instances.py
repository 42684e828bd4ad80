"""The instances of overlapping tiles made those of the whole image, without an array of N x H x W.

An object in an overlap is seen by both tiles. Its two masks agree there, which is how they are recognised; an object
larger than a tile is a chain of such pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from thingstuff.engine.tile_grid import Tile, TileGrid
from thingstuff.structures import Detections, MaskCrops
from thingstuff.structures.spans import Box

MOSTLY = 0.5  # the share of a detection's pixels from which it is called "most of it"
# As near to a tile's border a mask counts as cut off, since masks are not exact:
_BORDER_SHARE = 1 / 128  # of the tile, or
_MASK_CELLS = 28  # one of so many that a network tells apart along an object


@dataclass(frozen=True, eq=False)
class Seen:
    """One detection of one tile, in pixels of the image. `crop` is tight, uint8 of 0 and 1; `box` is its place."""

    tile: Tile
    crop: NDArray[np.uint8]
    box: Box
    box_xyxy: NDArray[np.float32]
    score: np.float32
    category_id: int
    is_cut: bool  # it reaches a border of its tile beyond which the image goes on

    @property
    def is_partial(self) -> bool:
        """Whether another tile may know better. Of a mask without pixels nobody knows."""
        return self.is_cut or self.area_px == 0

    @cached_property
    def area_px(self) -> int:
        return self.area_in(self.box)

    def area_in(self, region: Box) -> int:
        return cv2.countNonZero(part) if (part := self.part(region)).size else 0

    def part(self, region: Box) -> NDArray[np.uint8]:
        """What of the crop lies in a region."""
        x0, y0, x1, y1 = shared(self.box, region)
        left, top = self.box[:2]
        return self.crop[y0 - top : y1 - top, x0 - left : x1 - left]

    @property
    def core_share(self) -> float:
        """The share of its pixels in the core of its tile; of a mask without pixels, whether the box's middle is."""
        if self.area_px:
            return self.area_in(self.tile.core) / self.area_px
        x, y = (self.box_xyxy[:2] + self.box_xyxy[2:]) / 2
        x0, y0, x1, y1 = self.tile.core
        return float(x0 <= x < x1 and y0 <= y < y1)


@dataclass(frozen=True, slots=True)
class _Match:
    """Detections `first` and `second` share pixels; `iou` is that of what lies in both tiles."""

    first: int
    second: int
    shared_px: int
    iou: float


class InstanceJoiner:
    """Takes the detections of the tiles in the grid's order; `joined` gives those of the image.

    - Two of one class, from two tiles, are one object if the IoU of their masks in the overlap is `join_iou` or more.
      The best pair goes first, and what one tile tells apart is never joined, so that each has one partner a tile.
    - Of one object the detection that saw all of it stays as it is; of several, the one with the larger share in the
      core of its tile, then the higher score.
    - If none saw all of it, each pixel is asked of the tile in whose core it lies, or else of those that see it. The
      score is the mean over the joined mask, each pixel with the score of the detection it is from; the box is that
      around all boxes.
    - Of the tiles that hold all of an object half or more must have found it, or it goes: with every further look at a
      place there is one more chance to be wrong. The score is the mean of those that did.
    - Parts that are cut off by their tiles' borders, joined or alone, stay if most of them lies in the cores of their
      tiles. One alone goes too if another that stays, seen whole, joined or larger, of its class and from another tile,
      covers most of it.

    Boxes without masks are joined as rectangles. The answer is in descending order of score.
    """

    def __init__(self, grid: TileGrid, join_iou: float) -> None:
        self._grid, self._join_iou = grid, join_iou
        self._seen: list[Seen] = []
        self._tiles: list[tuple[Tile, range]] = []  # tiles with detections, and which these are
        self._matches: list[_Match] = []
        self._has_masks = True

    def add(self, tile: Tile, detections: Detections) -> None:
        """`detections` are in pixels of the tile."""
        self._has_masks = detections.masks is not None
        if len(detections) == 0:
            return
        first = len(self._seen)
        self._seen += _seen(tile, detections, self._grid)
        mine = range(first, len(self._seen))
        for other, theirs in self._tiles:
            region = shared(tile.box, other.box)
            if _has_pixels(region):
                self._matches += self._compare(theirs, mine, region)
        self._tiles.append((tile, mine))

    def joined(self) -> Detections:
        groups = self._groups()
        stays = self._staying(groups)
        members = [[self._seen[number] for number in group] for group in groups if stays[group[0]]]
        objects = [one for group in members if (one := self._agreed(_one_object(group), group)) is not None]
        return self._detections(sorted(objects, key=lambda one: -one.score))

    def _compare(self, first: range, second: range, region: Box) -> Iterator[_Match]:
        for one, two in _overlapping_pairs(self._seen, first, second, region):
            a, b = self._seen[one], self._seen[two]
            common = shared(shared(a.box, b.box), region)
            shared_px = cv2.countNonZero(cv2.bitwise_and(a.part(common), b.part(common)))
            if shared_px:
                union_px = a.area_in(region) + b.area_in(region) - shared_px
                yield _Match(one, two, shared_px, shared_px / union_px)

    def _groups(self) -> list[list[int]]:
        """The detections by object, by union-find over the matches from the best to the worst."""
        parent = list(range(len(self._seen)))
        members = {number: [number] for number in parent}

        def root(number: int) -> int:
            while parent[number] != number:
                parent[number] = number = parent[parent[number]]
            return number

        for match in sorted(self._matches, key=lambda m: (-m.iou, -m.shared_px)):
            a, b = root(match.first), root(match.second)
            if match.iou < self._join_iou or a == b or self._same_tile(members[a], members[b]):
                continue
            parent[b] = a
            members[a] += members.pop(b)
        return list(members.values())

    @staticmethod
    def _is_in_cores(members: Sequence[Seen]) -> bool:
        """Whether one was seen whole, or most of what was seen lies in the cores of the tiles that saw it."""
        if not all(one.is_partial for one in members):
            return True
        if len(members) == 1:
            return members[0].core_share >= MOSTLY
        return sum(one.area_in(one.tile.core) for one in members) >= MOSTLY * _composed(members).area_px

    def _same_tile(self, first: Sequence[int], second: Sequence[int]) -> bool:
        return bool({self._seen[n].tile for n in first} & {self._seen[n].tile for n in second})

    def _agreed(self, one: Seen, members: Sequence[Seen]) -> Seen | None:
        """`one` with the mean score of the tiles that saw all of it; nothing where they are less than half."""
        holders = {
            tile for tile in self._grid.holding(one.box) if not _is_cut(one.box, tile, self._grid.is_inner(tile))
        }
        scores = [member.score for member in members if member.tile in holders]
        if len(scores) < MOSTLY * len(holders):
            return None
        return replace(one, score=np.float32(np.mean(scores))) if scores else one

    def _staying(self, groups: Sequence[Sequence[int]]) -> dict[int, bool]:
        """Of each group's first number: whether the object is kept, as far as its parts decide it."""
        alone = {group[0] for group in groups if len(group) == 1 and self._seen[group[0]].is_partial}
        stays = {group[0]: self._is_in_cores([self._seen[number] for number in group]) for group in groups}
        leader = {number: group[0] for group in groups for number in group}
        covering: dict[int, list[int]] = defaultdict(list)
        for match in self._matches:
            for one, other in ((match.first, match.second), (match.second, match.first)):
                if one in alone and match.shared_px > MOSTLY * self._seen[one].area_px:
                    covering[one].append(other)
        # the largest first, so that of two that cover each other one stays
        for number in sorted(covering, key=lambda n: (-self._seen[n].area_px, n)):
            rank = (-self._seen[number].area_px, number)
            larger = [o for o in covering[number] if o not in alone or (-self._seen[o].area_px, o) < rank]
            stays[number] = stays[number] and not any(stays[leader[other]] for other in larger)
        return stays

    def _detections(self, objects: Sequence[Seen]) -> Detections:
        height, width = self._grid.height, self._grid.width
        masks = None
        if self._has_masks:
            boxes = np.array([one.box for one in objects], np.int32).reshape(-1, 4)
            masks = MaskCrops.trusted(tuple(one.crop for one in objects), boxes, height, width)
        return Detections(
            masks,
            np.array([one.box_xyxy for one in objects], np.float32).reshape(-1, 4),
            np.array([one.score for one in objects], np.float32),
            np.array([one.category_id for one in objects], np.int64),
            height,
            width,
        )


# ---- detections of a tile ----------------------------------------------------------------------------------------


def _seen(tile: Tile, detections: Detections, grid: TileGrid) -> Iterator[Seen]:
    masks = _rectangles(detections) if detections.masks is None else detections.masks.tight()
    left, top = tile.box[:2]
    boxes_xyxy = detections.boxes_xyxy + np.array([left, top, left, top], np.float32)
    columns = (boxes_xyxy, detections.scores, detections.category_ids.tolist())
    for (crop, box), box_xyxy, score, category_id in zip(masks, *columns, strict=True):
        x0, y0, x1, y1 = box
        place = (x0 + left, y0 + top, x1 + left, y1 + top)
        yield Seen(tile, crop, place, box_xyxy, score, category_id, _is_cut(place, tile, grid.is_inner(tile)))


def _rectangles(detections: Detections) -> MaskCrops:
    """Boxes as masks that need no memory: every pixel of a crop is the same byte."""
    sides = np.array([detections.width, detections.height] * 2)
    boxes = detections.boxes_xyxy.round().clip(0, sides).astype(np.int32)
    sizes = (boxes[:, 2:] - boxes[:, :2]).tolist()
    crops = tuple(np.broadcast_to(np.uint8(1), (height, width)) for width, height in sizes)
    return MaskCrops.trusted(crops, boxes, detections.height, detections.width)


def _is_cut(box: Box, tile: Tile, inner: tuple[bool, bool, bool, bool]) -> bool:
    x0, y0, x1, y1 = box
    left, top, right, bottom = tile.box
    near_px = max(max(right - left, bottom - top) * _BORDER_SHARE, max(x1 - x0, y1 - y0) / _MASK_CELLS)
    distances = (x0 - left, y0 - top, right - x1, bottom - y1)
    return _has_pixels(box) and any(i and distance <= near_px for i, distance in zip(inner, distances, strict=True))


def _overlapping_pairs(seen: Sequence[Seen], first: range, second: range, region: Box) -> Iterator[tuple[int, int]]:
    """Of one class, with boxes that share pixels of the region."""
    boxes = [np.array([seen[n].box for n in side]).reshape(-1, 4) for side in (first, second)]
    classes = [np.array([seen[n].category_id for n in side]) for side in (first, second)]
    corner = np.maximum(np.maximum(boxes[0][:, None, :2], boxes[1][None, :, :2]), region[:2])
    end = np.minimum(np.minimum(boxes[0][:, None, 2:], boxes[1][None, :, 2:]), region[2:])
    fits = (corner < end).all(axis=2) & (classes[0][:, None] == classes[1])
    for one, two in np.argwhere(fits).tolist():
        yield first[one], second[two]


# ---- one object of several detections ----------------------------------------------------------------------------


def _one_object(members: Sequence[Seen]) -> Seen:
    whole = [one for one in members if not one.is_cut and all(shared(m.box, one.tile.box) == m.box for m in members)]
    if len(members) == 1 or whole:
        return max(whole or members, key=lambda one: (one.core_share, one.score))
    return _composed(members)


def _composed(members: Sequence[Seen]) -> Seen:
    """Each pixel from the tile in whose core it lies, or else from the first of those that see it."""
    x0, y0, x1, y1 = box = _around([one.box for one in members])
    owner = np.zeros((y1 - y0, x1 - x0), np.uint8 if len(members) < 256 else np.uint16)
    for number, one in enumerate(members, 1):
        view, part = _view(owner, box, one.box), one.crop
        view[(view == 0) & (part != 0)] = number
    for number, one in enumerate(members, 1):
        region = shared(one.tile.core, box)
        if _has_pixels(region):
            _view(owner, box, region)[:] = 0
            _view(owner, box, shared(region, one.box))[:] = one.part(region) * owner.dtype.type(number)
    areas_px = np.bincount(owner.reshape(-1), minlength=len(members) + 1)[1:]
    scores = np.array([one.score for one in members], np.float64)
    score = np.float32((scores * areas_px).sum() / max(areas_px.sum(), 1))
    corners = np.array([one.box_xyxy for one in members])
    box_xyxy = np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])
    mask = (owner != 0).view(np.uint8)
    return Seen(members[0].tile, mask, box, box_xyxy, score, members[0].category_id, is_cut=False)


def shared(a: Box, b: Box) -> Box:
    """What two boxes share; without pixels where they do not meet."""
    x0, y0 = max(a[0], b[0]), max(a[1], b[1])
    return x0, y0, max(x0, min(a[2], b[2])), max(y0, min(a[3], b[3]))


def _has_pixels(box: Box) -> bool:
    return box[0] < box[2] and box[1] < box[3]


def _around(boxes: Sequence[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _view(canvas: NDArray[np.integer], canvas_box: Box, box: Box) -> NDArray[np.integer]:
    left, top = canvas_box[:2]
    return canvas[box[1] - top : box[3] - top, box[0] - left : box[2] - left]
