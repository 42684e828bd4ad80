"""One row of a Parquet shard: a predicted image with its maps, or an image that could not be read <-> columns.

Programs that know nothing of this toolkit can read a shard: boxes, scores, category ids and RLE are lists of plain
columns, maps are PNG files, and what has no fixed shape (segments, ledger, image id, source) is JSON. Boxes and scores
are float32, as they were predicted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from thingstuff.errors import DataError
from thingstuff.store.image import PredictedImage
from thingstuff.store.line import Record, json_text, record_of
from thingstuff.structures import ids_to_rgb
from thingstuff.structures.png import encode_png

Row = dict[str, Any]

INDEX_COLUMNS = (
    *("key", "error", "height", "width", "image_id", "source"),
    *("has_detections", "has_masks", "has_stuff_map", "has_panoptic"),
)
RECORD_COLUMNS = ("category_ids", "scores", "boxes_xyxy", "rles", "segments", "ledger")
MAP_COLUMNS = ("stuff_png", "panoptic_png")
_JSON_COLUMNS = ("image_id", "source", "segments", "ledger")


def schema() -> Any:
    """The columns of a shard, the same in all."""
    import pyarrow as pa

    kinds = dict.fromkeys(("key", "error", *_JSON_COLUMNS), pa.string())
    kinds |= dict.fromkeys(("height", "width"), pa.int32())
    kinds |= dict.fromkeys((name for name in INDEX_COLUMNS if name.startswith("has_")), pa.bool_())
    kinds |= {"category_ids": pa.list_(pa.int64()), "scores": pa.list_(pa.float32()), "rles": pa.list_(pa.string())}
    kinds |= {"boxes_xyxy": pa.list_(pa.list_(pa.float32())), **dict.fromkeys(MAP_COLUMNS, pa.binary())}
    return pa.schema([(name, kinds[name]) for name in (*INDEX_COLUMNS, *RECORD_COLUMNS, *MAP_COLUMNS)])


def to_row(image: PredictedImage) -> Row:
    """The row of an image; masks become RLE and maps PNG here."""
    record = record_of(image)
    rows: Sequence[Mapping[str, Any]] = record["detections"] or ()
    segmented = rows if record["has_masks"] else ()
    row = {name: record[name] for name in ("key", "height", "width", "has_masks", "has_stuff_map")}
    row |= {name: None if record[name] is None else json_text(record[name]) for name in _JSON_COLUMNS}
    row |= {
        "has_detections": record["detections"] is not None,
        "has_panoptic": image.panoptic is not None,
        "category_ids": [one["category_id"] for one in rows],
        "scores": [one["score"] for one in rows],
        "boxes_xyxy": [one["box_xyxy"] for one in rows],
        "rles": [one["segmentation"]["counts"] for one in segmented],
        "stuff_png": None if image.stuff_map is None else encode_png(image.stuff_map),
        "panoptic_png": None if image.panoptic is None else encode_png(ids_to_rgb(image.panoptic.ids)),
    }
    return row


def quarantine_row(key: str, reason: str) -> Row:
    """The row of an image that could not be read."""
    return {"key": key, "error": reason} | {name: False for name in INDEX_COLUMNS if name.startswith("has_")}


def record_of_row(row: Row) -> Record:
    """The row of a predicted image, without its maps -> the record that a line of JSON would hold."""
    record = {name: row[name] for name in ("key", "height", "width", "has_masks", "has_stuff_map")}
    record |= {name: None if row[name] is None else _loaded(row[name], name) for name in _JSON_COLUMNS}
    record["detections"] = _detections(row) if row["has_detections"] else None
    return record


def _detections(row: Row) -> list[Record]:
    columns = (row["category_ids"], row["scores"], row["boxes_xyxy"])
    size = [row["height"], row["width"]]
    try:
        found = [{"category_id": c, "score": s, "box_xyxy": b} for c, s, b in zip(*columns, strict=True)]
        if not row["has_masks"]:
            return found
        masked = zip(found, row["rles"], strict=True)
        return [one | {"segmentation": {"size": size, "counts": counts}} for one, counts in masked]
    except (TypeError, ValueError) as error:
        raise DataError(f"detections are damaged ({type(error).__name__}: {error})") from error


def _loaded(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"column {name}: no JSON: {error}") from error
