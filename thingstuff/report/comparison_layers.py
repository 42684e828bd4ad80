"""What lies under the pointer in a comparison: segments and instances, and what the merge did with each."""

from __future__ import annotations

import numpy as np

from thingstuff.merge import InstanceEntry, Ledger
from thingstuff.report.ledger_text import ledger_texts
from thingstuff.report.page import Layer, LayerSegment, Outcome
from thingstuff.store import PredictedImage
from thingstuff.structures import Categories, PanopticMap
from thingstuff.structures.panoptic_map import Segment

_LISTED_SCORE = 0.2  # of instances that the merge dropped: below, a detector guesses


def map_layer(panoptic: PanopticMap, categories: Categories) -> Layer:
    """The segments of a map that has no ledger, such as the truth's."""
    return Layer(panoptic.ids, [_segment(s, categories, "true") for s in panoptic.segments])


def store_layers(image: PredictedImage, categories: Categories, shown_score: float) -> dict[str, Layer]:
    """View -> its layer: "panoptic", and "instance" with those of `shown_score` or more, where there is a ledger."""
    if image.panoptic is None:
        return {}
    if image.ledger is None:
        return {"panoptic": map_layer(image.panoptic, categories)}
    ledger = Ledger.from_records(image.ledger)
    layers = {"panoptic": _merged_layer(image, ledger, categories)}
    if image.detections is None or image.detections.masks is None:
        return layers
    return {"instance": _instance_layer(image, ledger, categories, shown_score), **layers}


def _merged_layer(image: PredictedImage, ledger: Ledger, categories: Categories) -> Layer:
    present, dropped = ledger_texts(ledger, categories)
    outcomes = {e.segment_id: e.outcome for e in (*ledger.instances, *ledger.stuff)}
    segments = [
        _segment(s, categories, outcomes.get(s.id, "kept"), _numbered(s.id, s.isthing, present.get(s.id, "")))
        for s in image.panoptic.segments
    ]
    gone = [e for e in ledger.instances if e.outcome == "dropped" and e.score >= _LISTED_SCORE]
    listed = [_dropped(image, e, dropped[e.index], categories) for e in sorted(gone, key=lambda e: -e.score)]
    return Layer(image.panoptic.ids, segments, listed)


def _segment(segment: Segment, categories: Categories, outcome: Outcome, text: str = "") -> LayerSegment:
    name = categories.by_id(segment.category_id).name
    return LayerSegment(name, outcome, segment.isthing, segment.area, segment.id, segment.score, text)


def _numbered(segment_id: int | None, isthing: bool, text: str) -> str:
    """A thing's number in the map, under which the sentences of others speak of it."""
    return f"#{segment_id}, {text}" if segment_id is not None and isthing and text else text


def _dropped(image: PredictedImage, entry: InstanceEntry, text: str, categories: Categories) -> LayerSegment:
    x0, y0, x1, y1 = image.detections.boxes_xyxy[entry.index].tolist()
    box_xywh = (x0, y0, x1 - x0, y1 - y0)
    name = categories.by_id(entry.category_id).name
    return LayerSegment(name, "dropped", True, entry.area_px, score=entry.score, text=text, box_xywh=box_xywh)


def _instance_layer(image: PredictedImage, ledger: Ledger, categories: Categories, shown_score: float) -> Layer:
    """The instances as they are drawn, small ones over large ones."""
    present, dropped = ledger_texts(ledger, categories)
    shown = [e for e in ledger.instances if e.score >= shown_score]
    masks, ids = image.detections.masks, np.zeros((image.height, image.width), np.uint32)
    for entry in sorted(shown, key=lambda e: -e.area_px):
        x0, y0, x1, y1 = masks.boxes_xyxy[entry.index].tolist()
        ids[y0:y1, x0:x1][masks.crops[entry.index] > 0] = entry.index + 1
    segments = []
    for e in shown:
        text = dropped[e.index] if e.outcome == "dropped" else _numbered(e.segment_id, True, present[e.segment_id])
        name = categories.by_id(e.category_id).name
        segments.append(LayerSegment(name, e.outcome, True, e.area_px, e.index + 1, e.score, text))
    return Layer(ids, segments)
