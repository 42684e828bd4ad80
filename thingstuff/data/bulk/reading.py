"""Reading the images of a shard where they are decoded: bytes, fingerprint and pixels, or the reason why not."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thingstuff.data.bulk.items import BulkItem
from thingstuff.data.bulk.parquet_images import read_rows
from thingstuff.data.bulk.storage import read_object
from thingstuff.data.images import image_bgr_of
from thingstuff.errors import DataError


@dataclass(frozen=True, eq=False)
class ReadImage:
    """An item with its H x W x 3 uint8 BGR pixels and what its file is recognised by, or with the reason of neither."""

    item: BulkItem
    pixels: np.ndarray | None = None
    source: dict[str, Any] | None = None
    error: str | None = None


def read_images(items: Sequence[BulkItem], max_pixels: int | None) -> Iterator[ReadImage]:
    """One after the other; what is wrong with an image concerns that image alone."""
    rows = _rows(items)
    for item in items:
        try:
            data, source = _row_bytes(item, rows) if item.row is not None else _file_bytes(item)
            pixels = image_bgr_of(data, item.address if item.row is None else item.key, max_pixels)
            yield ReadImage(item, pixels, source)
        except DataError as error:
            yield ReadImage(item, error=str(error))


def _rows(items: Sequence[BulkItem]) -> dict[tuple[str, int], bytes | DataError | None]:
    """The bytes of all items that lie in Parquet files, each of which is opened once."""
    wanted: dict[tuple[str, str], list[int]] = defaultdict(list)
    for item in items:
        if item.row is not None:
            wanted[item.address, item.column or ""].append(item.row)
    found: dict[tuple[str, int], bytes | DataError | None] = {}
    for (address, column), rows in wanted.items():
        try:
            found |= {(address, row): data for row, data in read_rows(address, column, rows).items()}
        except DataError as error:
            found |= {(address, row): error for row in rows}
    return found


def _row_bytes(item: BulkItem, rows: dict[Any, Any]) -> tuple[bytes, dict[str, Any]]:
    data = rows.get((item.address, item.row))
    if isinstance(data, DataError):
        raise data
    if data is None:
        raise DataError(f"{item.address}, row {item.row}: holds no bytes of an image")
    return data, _fingerprint(data)


def _file_bytes(item: BulkItem) -> tuple[bytes, dict[str, Any]]:
    if not item.is_local:
        data = read_object(item.address)
        return data, _fingerprint(data)
    path = Path(item.address)
    try:
        changed = path.stat().st_mtime_ns  # before its content, so that a change in between is noticed later
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"no image at {path}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return data, {"bytes": len(data), "mtime_ns": changed, "sha256": hashlib.sha256(data).hexdigest()}


def _fingerprint(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
