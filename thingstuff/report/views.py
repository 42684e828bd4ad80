"""What each view of a picture shows, as coloured and labelled regions: `box`, `semantic`, `instance`, `panoptic`.

Nothing is drawn here. Regions come in the order in which they are painted, large ones first, so that small instances
lie on top; masks stay crops, and no N x H x W array is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from thingstuff.errors import DataError, UserError
from thingstuff.report.colors import color_of_id, instance_colors
from thingstuff.structures.categories import Categories
from thingstuff.structures.detections import Detections
from thingstuff.structures.panoptic_map import PanopticMap
from thingstuff.structures.runs import label_extents, positions_of
from thingstuff.structures.stuff_map import check_stuff_map

Box = tuple[int, int, int, int]
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Layers:
    """An H x W x 3 uint8 BGR image and what is known about it; each view needs some of it and ignores the rest."""

    image_bgr: np.ndarray
    categories: Categories
    detections: Detections | None = None
    stuff_map: np.ndarray | None = None
    panoptic: PanopticMap | None = None
    show_scores: bool = True  # behind the class names; the truth has none
    # One a detection, from 1 on, where instances are followed over a video: then each has the colour of its id and
    # shows it. In the panoptic view a thing's segment id counts as its instance id.
    instance_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _refuse_other_than_bgr(self.image_bgr)
        if self.stuff_map is not None:
            check_stuff_map(self.stuff_map, self.categories, *self.size)
        if self.detections is not None:
            self._refuse_other_size("detections", (self.detections.height, self.detections.width))
        if self.panoptic is not None:
            self._refuse_other_size("panoptic map", self.panoptic.ids.shape)
        for category_id in self._used_ids():
            self.categories.by_id(category_id)  # refuses an unknown one
        if self.instance_ids is not None:
            self._refuse_other_count(len(self.instance_ids))

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self.image_bgr.shape[:2]

    def _used_ids(self) -> set[int]:
        ids = set() if self.detections is None else set(self.detections.category_ids.tolist())
        return ids | {segment.category_id for segment in (self.panoptic.segments if self.panoptic else ())}

    def _refuse_other_size(self, what: str, size: tuple[int, ...]) -> None:
        if tuple(size) != self.size:
            given, expected = " x ".join(map(str, size)), " x ".join(map(str, self.size))
            raise DataError(f"{what}: expected the image's {expected} pixels (height x width), got {given}")

    def _refuse_other_count(self, count: int) -> None:
        expected = 0 if self.detections is None else len(self.detections)
        if count != expected:
            raise DataError(f"expected {expected} instance ids, one a detection, got {count}")


@dataclass(frozen=True, slots=True)
class Region:
    """One thing to draw. Boxes are half-open and inside the image; `mask` is the uint8 0/1 crop of `mask_box`."""

    color_bgr: Color
    label: str
    mask: np.ndarray | None = None
    mask_box: Box | None = None
    box: Box | None = None  # set where the view draws a rectangle

    @property
    def area_px(self) -> int:
        if self.mask is not None:
            return int(np.count_nonzero(self.mask))
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


def regions_of(layers: Layers, view: str) -> list[Region]:
    """The regions of a view, in the order in which they are painted."""
    if view not in VIEWS:
        raise UserError(f"no view is called {view!r}: choose one of {', '.join(VIEWS)}")
    return sorted(VIEWS[view](layers), key=lambda region: -region.area_px)


def _box_view(layers: Layers) -> Iterator[Region]:
    if layers.detections is None:
        raise UserError("the box view needs detections, and there are none for this image")
    for color, label, box_xyxy in _things(layers):
        box = _inside(box_xyxy, layers.size)
        if box is not None:
            yield Region(color, label, box=box)


def _instance_view(layers: Layers) -> Iterator[Region]:
    if layers.detections is None or layers.detections.masks is None:
        raise UserError("the instance view needs detections with masks: use the box view for detections without")
    for (color, label, box_xyxy), (mask, mask_box) in zip(_things(layers), _visible_masks(layers), strict=True):
        box = _inside(box_xyxy, layers.size)
        if mask is not None or box is not None:
            yield Region(color, label, mask, mask_box, box)


def _semantic_view(layers: Layers) -> Iterator[Region]:
    categories, colors = layers.categories.all, _class_colors(layers.categories)
    class_map = _class_map(layers)
    for value, box in _extents(class_map).items():
        category = categories[value - 1]
        yield Region(colors[category.id], category.name, _crop_of_value(class_map, value, box), box)


def _panoptic_view(layers: Layers) -> Iterator[Region]:
    if layers.panoptic is None:
        raise UserError("the panoptic view needs a panoptic map: turn on PANOPTIC in the model's config")
    index_map = _segment_index_map(layers.panoptic)
    boxes = _extents(index_map)
    colors = _segment_colors(layers, boxes)
    for value, box in boxes.items():
        segment = layers.panoptic.segments[value - 1]
        name = layers.categories.by_id(segment.category_id).name
        score = segment.score if segment.isthing and layers.show_scores else None
        number = segment.id if segment.isthing and layers.instance_ids is not None else None
        yield Region(colors[value], _label(name, score, number), _crop_of_value(index_map, value, box), box)


VIEWS: dict[str, Callable[[Layers], Iterator[Region]]] = {
    "box": _box_view,
    "semantic": _semantic_view,
    "instance": _instance_view,
    "panoptic": _panoptic_view,
}


def _refuse_other_than_bgr(image: np.ndarray) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        given = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise DataError(f"an overlay needs a colour image, H x W x 3 uint8 in BGR order, but was given {given}")
    if image.size == 0:
        raise DataError(f"an overlay needs an image with pixels, but was given one of shape {image.shape}")


def _things(layers: Layers) -> Iterator[tuple[Color, str, np.ndarray]]:
    """Colour, label and box of each detection; the box and the instance view give an instance the same colour."""
    found = layers.detections
    if layers.instance_ids is None:
        numbers, colors = [None] * len(found), _own_colors(layers)[0]
    else:
        numbers, colors = layers.instance_ids, [color_of_id(number) for number in layers.instance_ids]
    for color, number, box_xyxy, category_id, score in zip(
        colors, numbers, found.boxes_xyxy, found.category_ids, found.scores, strict=True
    ):
        name = layers.categories.by_id(int(category_id)).name
        yield tuple(color), _label(name, float(score) if layers.show_scores else None, number), box_xyxy


def _label(name: str, score: float | None, number: int | None) -> str:
    parts = [] if number is None else [f"#{number}"]
    return " ".join([*parts, name, *([] if score is None else [f"{score:.2f}"])])


def _class_colors(categories: Categories) -> dict[int, Color]:
    """BGR colours by data set id."""
    return {category.id: color[::-1] for category, color in zip(categories.all, categories.colors(), strict=True)}


def _class_map(layers: Layers) -> np.ndarray:
    """H x W uint16: 0 = nothing, else the place in `categories.all` + 1; things over stuff, small ones on top."""
    masks = layers.detections.masks if layers.detections is not None else None
    if masks is None and layers.stuff_map is None:
        if layers.panoptic is None:
            raise UserError("the semantic view needs instance masks, a stuff map or a panoptic map, and has none")
        return _class_map_of_panoptic(layers)
    class_map = np.zeros(layers.size, np.uint16)
    if layers.stuff_map is not None:
        class_map = _class_map_of_stuff(layers)
    if masks is not None:
        _paint_things(class_map, layers)
    return class_map


def _class_map_of_panoptic(layers: Layers) -> np.ndarray:
    places = _places_by_id(layers.categories)
    table = [0, *(places[segment.category_id] for segment in layers.panoptic.segments)]
    return np.array(table, np.uint16)[_segment_index_map(layers.panoptic)]


def _class_map_of_stuff(layers: Layers) -> np.ndarray:
    places = _places_by_id(layers.categories)
    table = np.array([0, *(places[category.id] for category in layers.categories.stuff)], np.uint16)
    known = layers.stuff_map < len(table)  # void is not
    return table[np.where(known, layers.stuff_map, 0)]


def _paint_things(class_map: np.ndarray, layers: Layers) -> None:
    places = _places_by_id(layers.categories)
    painted = zip(_visible_masks(layers), layers.detections.category_ids.tolist(), strict=True)
    shown = [(mask, box, places[category_id]) for (mask, box), category_id in painted if mask is not None]
    for mask, (x0, y0, x1, y1), place in sorted(shown, key=lambda part: -np.count_nonzero(part[0])):
        class_map[y0:y1, x0:x1][mask > 0] = place


def _places_by_id(categories: Categories) -> dict[int, int]:
    return {category.id: place for place, category in enumerate(categories.all, start=1)}


def _segment_index_map(panoptic: PanopticMap) -> np.ndarray:
    """H x W uint16: 0 = void, else the place in `panoptic.segments` + 1."""
    ids = np.array([segment.id for segment in panoptic.segments], np.int64)
    return (positions_of(panoptic.ids, ids) + 1).astype(np.uint16)


def _segment_colors(layers: Layers, boxes: dict[int, Box]) -> dict[int, Color]:
    """By place: stuff in class colours, things in those of their instances in the other views.

    Things that are followed have the colour of their id, which knows nothing of the stuff.
    """
    class_colors, segments = _class_colors(layers.categories), layers.panoptic.segments
    if layers.instance_ids is None:
        own = _own_colors(layers)[1]
    else:
        own = {place: color_of_id(segment.id) for place, segment in enumerate(segments, 1) if segment.isthing}
    return {place: own.get(place) or class_colors[segments[place - 1].category_id] for place in boxes}


def _own_colors(layers: Layers) -> tuple[list[Color], dict[int, Color]]:
    """Colours of the detections, in order, and of thing segments by place: an instance has the same in all views.

    A segment is that of the detection with its class and score. All keep clear of the stuff that is seen.
    """
    found, segments = layers.detections, (layers.panoptic.segments if layers.panoptic else ())
    rows = {} if found is None else _row_by_class_and_score(found)
    count = 0 if found is None else len(found)
    boxes = [] if found is None else found.boxes_xyxy.tolist()
    row_of = {}
    for place, segment in enumerate(segments, 1):
        if segment.isthing:
            row_of[place] = rows.get((segment.category_id, segment.score), len(boxes))
            if row_of[place] == len(boxes):
                x, y, width, height = segment.bbox
                boxes.append([x, y, x + width, y + height])
    class_colors = _class_colors(layers.categories)
    stuff = [class_colors[s.category_id] for s in segments if not s.isthing]
    colors = [tuple(c) for c in instance_colors(np.array(boxes), np.array(stuff).reshape(-1, 3)).tolist()]
    return colors[:count], {place: colors[row] for place, row in row_of.items()}


def _row_by_class_and_score(found: Detections) -> dict[tuple[int, float], int]:
    return dict(
        zip(zip(found.category_ids.tolist(), found.scores.tolist(), strict=True), range(len(found)), strict=True)
    )


def _extents(index_map: np.ndarray) -> dict[int, Box]:
    """The box of every value but 0."""
    values, _, boxes_xywh = label_extents(index_map)
    boxes = zip(values.tolist(), boxes_xywh.tolist(), strict=True)
    return {value: (x, y, x + width, y + height) for value, (x, y, width, height) in boxes if value}


def _crop_of_value(index_map: np.ndarray, value: int, box: Box) -> np.ndarray:
    x0, y0, x1, y1 = box
    return (index_map[y0:y1, x0:x1] == value).astype(np.uint8)


def _inside(box_xyxy: np.ndarray, size: tuple[int, int]) -> Box | None:
    """The part of a box inside the image, outward to whole pixels; None where nothing of it is seen."""
    height, width = size
    x0, y0 = np.floor(box_xyxy[:2])
    x1, y1 = np.ceil(box_xyxy[2:])
    x0, y0, x1, y1 = int(max(x0, 0)), int(max(y0, 0)), int(min(x1, width)), int(min(y1, height))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _visible_masks(layers: Layers) -> Iterator[tuple[np.ndarray, Box] | tuple[None, None]]:
    """Each mask with its box; a mask without pixels is not there."""
    for crop, box in layers.detections.masks:
        yield (crop, tuple(int(side) for side in box)) if crop.any() else (None, None)
