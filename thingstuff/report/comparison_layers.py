"""What lies under the pointer in a comparison: segments and instances, and what the merge did with each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from thingstuff.merge import InstanceEntry, Ledger, StuffEntry
from thingstuff.report.ledger_text import instance_texts, stuff_texts
from thingstuff.report.page import Layer, LayerSegment, Outcome
from thingstuff.store import PredictedImage
from thingstuff.structures import Categories, PanopticMap
from thingstuff.structures.panoptic_map import Segment
from thingstuff.structures.runs import label_extents

_LOST = "It had found an object, and finds none in the map."


def map_layer(panoptic: PanopticMap, categories: Categories) -> Layer:
    """The segments of a map that has no ledger, such as the truth's."""
    return Layer(panoptic.ids, [_segment(s, categories, "true") for s in panoptic.segments])


def store_layers(
    image: PredictedImage, categories: Categories, shown_score: float, lost: Collection[int] = ()
) -> dict[str, Layer]:
    """View -> its layer, as far as there is a ledger that explains it.

    "panoptic" lists all that was dropped; "instance" has the instances of `shown_score` or more where they are drawn,
    "semantic" the stuff around them. `lost` are the instances, by index, that had found an object and find none now.
    """
    if image.panoptic is None:
        return {}
    if image.ledger is None:
        return {"panoptic": map_layer(image.panoptic, categories)}
    merged = _Merged(image, Ledger.from_records(image.ledger), categories, frozenset(lost))
    layers = {"panoptic": merged.panoptic()}
    if image.detections is not None and image.detections.masks is not None:
        layers = {"instance": merged.instance(shown_score), **layers}  # the first also serves the boxes
    return layers if image.stuff_map is None else {**layers, "semantic": merged.semantic(shown_score)}


@dataclass(frozen=True)
class _Merged:
    """One image's merge, with a sentence on everything that went into it."""

    image: PredictedImage
    ledger: Ledger
    categories: Categories
    lost: frozenset[int]

    def panoptic(self) -> Layer:
        """The map, and what is not in it."""
        of_segment: dict[int | None, InstanceEntry | StuffEntry] = {
            e.segment_id: e for e in (*self.ledger.instances, *self.ledger.stuff)
        }
        assert self.image.panoptic is not None
        segments = []
        for s in self.image.panoptic.segments:
            entry = of_segment.get(s.id)
            outcome: Outcome = "kept" if entry is None else entry.outcome
            text = "" if entry is None else self._text(entry)
            segments.append(_segment(s, self.categories, outcome, text, is_lost=self._is_lost(entry)))
        return Layer(self.image.panoptic.ids, segments, [*self._dropped_instances(), *self._dropped_stuff()])

    def instance(self, shown_score: float) -> Layer:
        """The instances as they are drawn, small ones over large ones."""
        ids = np.zeros((self.image.height, self.image.width), np.uint32)
        return Layer(ids, self._paint_instances(ids, shown_score))

    def semantic(self, shown_score: float) -> Layer:
        """The regions of stuff as the model sees them, under the instances."""
        first = 1 + len(self.ledger.instances)
        ids = np.zeros((self.image.height, self.image.width), np.uint32)
        segments = []
        for number, (entry, label) in enumerate(self._regions(), first):
            ids[self.image.stuff_map == label] = number
            name = self.categories.by_id(entry.category_id).name
            segments.append(LayerSegment(name, entry.outcome, False, entry.area_px, number, None, self._text(entry)))
        return Layer(ids, [*segments, *self._paint_instances(ids, shown_score)])

    def _paint_instances(self, ids: np.ndarray, shown_score: float) -> list[LayerSegment]:
        if self.image.detections is None or self.image.detections.masks is None:
            return []
        shown = [e for e in self.ledger.instances if e.score >= shown_score]
        masks = self.image.detections.masks
        for entry in sorted(shown, key=lambda e: -e.area_px):
            x0, y0, x1, y1 = masks.boxes_xyxy[entry.index].tolist()
            ids[y0:y1, x0:x1][masks.crops[entry.index] > 0] = entry.index + 1
        return [self._instance(e, e.index + 1) for e in shown]

    def _instance(
        self, e: InstanceEntry, number: int | None, box: tuple[float, float, float, float] | None = None
    ) -> LayerSegment:
        name, text = self.categories.by_id(e.category_id).name, self._text(e)
        return LayerSegment(name, e.outcome, True, e.area_px, number, e.score, text, box, is_lost=self._is_lost(e))

    def _dropped_instances(self) -> list[LayerSegment]:
        """Those that had found an object first, then by score."""
        gone = [e for e in self.ledger.instances if e.outcome == "dropped"]
        boxes = [] if self.image.detections is None else self.image.detections.boxes_xyxy.tolist()
        segments = []
        for e in sorted(gone, key=lambda e: (e.index not in self.lost, -e.score)):
            x0, y0, x1, y1 = boxes[e.index]
            segments.append(self._instance(e, None, (x0, y0, x1 - x0, y1 - y0)))
        return segments

    def _dropped_stuff(self) -> list[LayerSegment]:
        if self.image.stuff_map is None:
            return []
        values, _, boxes = label_extents(self.image.stuff_map)
        box_of = dict(zip(values.tolist(), boxes.tolist(), strict=True))
        segments = []
        for e, label in self._regions():
            if e.outcome == "dropped" and label in box_of:
                name, box = self.categories.by_id(e.category_id).name, tuple(box_of[label])
                segments.append(LayerSegment(name, "dropped", False, e.area_px, None, None, self._text(e), box))
        return segments

    def _regions(self) -> list[tuple[StuffEntry, int]]:
        """Each region of stuff with its label in the stuff map."""
        label_of = {category.id: label for label, category in enumerate(self.categories.stuff, 1)}
        return [(e, label_of[e.category_id]) for e in self.ledger.stuff]

    def _is_lost(self, entry: InstanceEntry | StuffEntry | None) -> bool:
        return isinstance(entry, InstanceEntry) and entry.index in self.lost

    def _text(self, entry: InstanceEntry | StuffEntry) -> str:
        if isinstance(entry, StuffEntry):
            return self._texts[1][entry.category_id]
        text = self._texts[0][entry.index]
        number = "" if entry.segment_id is None else f"#{entry.segment_id}, "  # under which other sentences speak of it
        return f"{number}{text}{f'. {_LOST}' if entry.index in self.lost else ''}"

    @cached_property
    def _texts(self) -> tuple[dict[int, str], dict[int, str]]:
        return instance_texts(self.ledger, self.categories), stuff_texts(self.ledger)


def _segment(
    segment: Segment, categories: Categories, outcome: Outcome, text: str = "", *, is_lost: bool = False
) -> LayerSegment:
    name = categories.by_id(segment.category_id).name
    kind, area, score = segment.isthing, segment.area, segment.score
    return LayerSegment(name, outcome, kind, area, segment.id, score, text, is_lost=is_lost)
