"""The truth of one image as overlays, as much of it as can be drawn; what cannot is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thingstuff.data.panoptic.names import is_inside
from thingstuff.data.stuff_maps import to_stuff_map
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.report.overlay import OverlayStyle, draw_overlay
from thingstuff.report.views import Layers
from thingstuff.structures import Categories, Category, Detections, MaskCrops, PanopticMap

_FARTHEST_PX = 1e7  # a box farther out is damage, and float32 has no room for it
_LARGEST_ID = 2**31
_UNKNOWN = "? "  # before an id that no category has
_FONT_PX, _LINE_PX = 13, 1.5  # as seen in the end

_Shape = tuple[np.ndarray, tuple[int, int, int, int]]


@dataclass(frozen=True)
class ImageTruth:
    """What a split says of one image. `notes` are its annotations with their places, `panoptic` its panoptic record."""

    split: SplitTruth
    image_id: Any
    notes: Sequence[tuple[str, Record]]
    panoptic: Record | None

    @classmethod
    def of(cls, split: SplitTruth, rows: Sequence[int]) -> list[ImageTruth]:
        """One an image; `rows` are places in the list of images."""
        ids = [split.images[row].get("id") for row in rows]
        notes = _by_image(split.annotations or (), ids)
        maps = _by_image(split.panoptic.annotations if split.panoptic is not None else (), ids)
        return [
            cls(
                split,
                own,
                [(split.annotation_place(n), note) for n, note in notes[n_image]],
                maps[n_image][0][1] if maps[n_image] else None,
            )
            for n_image, own in enumerate(ids)
        ]


def truth_pictures(truth: ImageTruth, image_bgr: np.ndarray, shown_px: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Title -> H x W x 3 uint8 BGR, and one line for each thing that cannot be drawn.

    Letters and lines can be read when the longer side is shrunk to `shown_px`.
    """
    categories = _categories(truth.split)
    pictures: dict[str, np.ndarray] = {}
    problems: list[str] = []
    for title, view, layers in _layers(truth, image_bgr, categories, problems):
        pictures[title] = draw_overlay(layers, view, _style(view, layers, shown_px))
    return pictures, problems


def _categories(split: SplitTruth) -> Categories:
    try:
        categories = Categories.from_coco(split.categories)
    except DataError as error:
        raise DataError(f"{split.name}: {error}") from error
    for category in categories.all:
        if abs(category.id) > _LARGEST_ID:
            raise DataError(f"{split.name}: category {category.name!r}: expected a smaller id, got {category.id!r:.40}")
    return categories


def _by_image(records: Sequence[Record], ids: Sequence[Any]) -> list[list[tuple[int, Record]]]:
    """For each of a few images its records, with their numbers."""
    found: dict[Any, list[tuple[int, Record]]] = {own: [] for own in ids if isinstance(own, int | str)}
    for n, record in enumerate(records):
        own = record.get("image_id")
        if isinstance(own, int | str) and own in found:
            found[own].append((n, record))
    return [found.get(own, []) if isinstance(own, int | str) else [] for own in ids]


def _layers(
    truth: ImageTruth, image_bgr: np.ndarray, categories: Categories, problems: list[str]
) -> Iterator[tuple[str, str, Layers]]:
    """Title, view and layers of every kind of truth that the split has."""
    if truth.split.annotations is not None:
        found, named = _instances(truth.notes, image_bgr.shape[:2], categories, problems)
        yield "instances", "instance", Layers(image_bgr, named, found, show_scores=False)
    for title, view, read in (("stuff", "semantic", _stuff_layers), ("panoptic", "panoptic", _panoptic_layers)):
        try:
            layers = read(truth, image_bgr, categories)
        except DataError as error:
            problems.append(str(error))
            continue
        if layers is not None:
            yield title, view, layers


def _instances(
    notes: Sequence[tuple[str, Record]], size: tuple[int, int], categories: Categories, problems: list[str]
) -> tuple[Detections, Categories]:
    """The annotations that can be drawn, and the categories with one more for every label that none of them has."""
    ids = {category.name: category.id for category in categories.all}
    free = max([0, *ids.values()]) + 1
    shapes, boxes, category_ids = [], [], []
    for place, note in notes:
        try:
            shape, box = _shape(note, *size)
        except DataError as error:
            problems.append(f"{place}: {error}")
            shape, box = None, _box(note)
        if box is None:
            continue
        shapes.append(shape or (np.zeros((0, 0), np.uint8), (0, 0, 0, 0)))
        boxes.append(box)
        label = _label(note, categories)
        if label.startswith(_UNKNOWN):
            problems.append(f"{place}: no category has the id {note.get('category_id')!r:.40}")
        category_ids.append(ids.setdefault(label, free + len(ids)))
    known = {category.id for category in categories.all}
    more = tuple(Category(own, name) for name, own in ids.items() if own not in known)
    masks = MaskCrops.from_boxes(shapes, *size)
    scores = np.ones(len(shapes), np.float32)
    found = Detections(masks, np.array(boxes, np.float32).reshape(-1, 4), scores, np.array(category_ids, np.int64))
    return found, Categories((*categories.all, *more))


def _shape(note: Record, height: int, width: int) -> tuple[_Shape | None, tuple[float, ...] | None]:
    """The crop of the mask with its box, and the box that is stated, or else the mask's; each if there is one."""
    box = _box(note)
    if not note.get("segmentation"):
        if box is None:
            raise DataError("has neither a mask nor a box that can be drawn")
        return None, box
    ((crop, own),) = list(MaskCrops.from_coco([note["segmentation"]], height, width))
    if not crop.any():
        raise DataError("its mask has no pixel in the image")
    return (crop, own), box or own


def _box(note: Record) -> tuple[float, ...] | None:
    """x0, y0, x1, y1."""
    values = note.get("bbox")
    if not isinstance(values, list | tuple) or len(values) != 4 or not all(map(_is_near, values)):
        return None
    x, y, width, height = values
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


def _is_near(value: Any) -> bool:
    return isinstance(value, int | float) and -_FARTHEST_PX <= value <= _FARTHEST_PX  # NaN is not


def _label(note: Record, categories: Categories) -> str:
    own = note.get("category_id")
    known = [c.name for c in categories.all if c.id == own]
    name = known[0] if known else f"{_UNKNOWN}{own}"[:40]
    return f"{name} (crowd)" if note.get("iscrowd") else name


def _stuff_layers(truth: ImageTruth, image_bgr: np.ndarray, categories: Categories) -> Layers | None:
    stuff = truth.split.stuff
    if stuff is None:
        return None
    if not isinstance(truth.image_id, int | str):
        raise DataError(f"the image id {truth.image_id!r:.40} is none, so that its label map is not known")
    labels = stuff.read(truth.image_id)
    try:
        return Layers(image_bgr, categories, stuff_map=to_stuff_map(labels, stuff, categories))
    except DataError as error:
        raise DataError(f"{stuff.paths[truth.image_id]}: {error}") from error


def _panoptic_layers(truth: ImageTruth, image_bgr: np.ndarray, categories: Categories) -> Layers | None:
    files, record = truth.split.panoptic, truth.panoptic
    if files is None:
        return None
    if record is None:
        raise DataError(f"{files.json_path}: has no annotation of the image")
    name, segments = record.get("file_name"), record.get("segments_info")
    if not isinstance(name, str) or not is_inside(name):
        raise DataError(f"{files.json_path}: expected a file_name of a PNG below {files.folder}, got {name!r:.80}")
    if not isinstance(segments, list) or not all(map(_is_segment, segments)):
        raise DataError(f"{files.json_path}: {name}: expected segments_info with an id and a category_id each")
    return Layers(
        image_bgr,
        categories,
        panoptic=PanopticMap.read_coco(files.folder / name, [_plain(s) for s in segments], categories),
    )


def _is_segment(segment: Any) -> bool:
    return isinstance(segment, Mapping) and all(type(segment.get(key)) is int for key in ("id", "category_id"))


def _plain(segment: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is of no use to a drawing, and may be damaged."""
    return {key: segment[key] for key in ("id", "category_id")}


def _style(view: str, layers: Layers, shown_px: int) -> OverlayStyle:
    """Letters and lines so large that they survive the shrinking."""
    fitted = OverlayStyle().fitted_to(view, *layers.size)
    shrunk = max(1.0, max(layers.size) * (fitted.scale or 1) / shown_px)
    return OverlayStyle(font_px=round(_FONT_PX * shrunk), line_px=max(1, round(_LINE_PX * shrunk)))
