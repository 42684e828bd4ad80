"""The instances that had found an object before the merge and find none after it: which, and by what rule."""

from __future__ import annotations

from typing import Any

from thingstuff.merge import InstanceEntry, Ledger
from thingstuff.progress import watched
from thingstuff.report.comparison import Compared
from thingstuff.report.ledger_text import instance_texts
from thingstuff.structures import Categories


def lost_instances(compared: Compared) -> list[dict[str, Any]]:
    """One record each, in the order of the store's images.

    `index` is the place among the image's detections, from 0; `segment` the number in the map, "#3" in the text.
    """
    if compared.merge is None:
        return []
    lost = {key: compared.merge.lost.get(image_id, ()) for key, image_id in compared.ids.items()}
    records = []
    for key in watched([key for key, places in lost.items() if places], f"{compared.name}: lost instances"):
        ledger = Ledger.from_records(compared.store.ledger(key) or ())
        records += [{"image": key, **record} for record in _records(ledger, lost[key], compared.store.meta.categories)]
    return records


def _records(ledger: Ledger, places: tuple[int, ...], categories: Categories) -> list[dict[str, Any]]:
    texts, entries = instance_texts(ledger, categories), {entry.index: entry for entry in ledger.instances}
    segments = {index: entry.segment_id for index, entry in entries.items()}
    return [_record(entries[place], texts[place], segments, categories) for place in places]


def _record(entry: InstanceEntry, text: str, segments: dict[int, int | None], categories: Categories) -> dict[str, Any]:
    return {
        "index": entry.index,
        "segment": entry.segment_id,
        "category": categories.by_id(entry.category_id).name,
        "score": entry.score,
        "outcome": entry.outcome,
        "rule": entry.reason,
        "value": entry.value,
        "limit": entry.threshold,
        "area_px": entry.area_px,
        "visible_px": entry.visible_px,
        "covered_by": [{"index": i, "segment": segments.get(i), "pixels": pixels} for i, pixels in entry.covered_by],
        "text": text,
    }
