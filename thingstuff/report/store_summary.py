"""What is in a store, in some lines for people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from thingstuff.progress import watched
from thingstuff.store import Store

_MOST_NAMES = 10


def store_summary(folder: Path) -> str:
    store = Store.open(folder)
    meta, entries = store.meta, store.entries
    categories = f"{len(meta.categories.things)} of things, {len(meta.categories.stuff)} of stuff"
    lines = {
        "store": str(folder),
        "data set": meta.dataset or "none",
        "image root": meta.image_root or "unknown",
        "categories": categories,
        "images": str(len(entries)),
        "detections": _detections(store),
        "stuff maps": str(sum(entry.has_stuff_map for entry in entries)),
        "panoptic maps": str(sum(entry.has_panoptic for entry in entries)),
    }
    if store.quarantined:
        lines["quarantined"] = _quarantined(store)
    return "\n".join(f"{name:14} {text}" for name, text in lines.items())


def _quarantined(store: Store) -> str:
    """How many images could not be read, and the first of them with the reason."""
    key, reason = next(iter(sorted(store.quarantined.items())))
    return f"{len(store.quarantined)} images that could not be read, such as {key} ({reason})"


def _detections(store: Store) -> str:
    """How many, with masks or boxes alone, and of which categories most."""
    counts, masks = Counter[int](), 0
    keys = [entry.key for entry in store.entries if entry.has_detections]
    for key in watched(keys, "counting"):
        records = store.coco_records(key, 0)
        counts.update(record["category_id"] for record in records)
        masks += sum("segmentation" in record for record in records)
    if not keys:
        return "none"
    names = {category.id: category.name for category in store.meta.categories.all}
    most = ", ".join(f"{names.get(one, one)} {count}" for one, count in counts.most_common(_MOST_NAMES))
    return f"{counts.total()}, {masks} with masks ({most or 'in no image'})"
