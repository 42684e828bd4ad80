"""The images that a COCO file lists, with their ids, below a folder or a prefix of storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thingstuff.data.bulk.items import BulkInputs, BulkItem, is_url
from thingstuff.data.bulk.storage import read_object
from thingstuff.errors import DataError


def coco_inputs(file: str, image_root: str | None) -> BulkInputs:
    """Keys are file names; `image_root` is the folder of the file if none is given."""
    root = (image_root or file.rpartition("/")[0] or ".").rstrip("/")
    root = root if is_url(root) else str(Path(root).absolute())
    images = _images(file)
    if not images:
        raise DataError(f"{file}: lists no images")
    return BulkInputs(root, tuple(_item(image, root, f"{file}, image {n}") for n, image in enumerate(images)))


def _item(image: Any, root: str, place: str) -> BulkItem:
    if not isinstance(image, Mapping) or not isinstance(image.get("file_name"), str) or "id" not in image:
        raise DataError(f"{place}: expected a record with file_name and id, got {str(image)[:60]}")
    if isinstance(image["id"], bool) or not isinstance(image["id"], int | str):
        raise DataError(f"{place}: expected an id that is a number or a text, got {image['id']!r}")
    key = image["file_name"]
    return BulkItem(key, f"{root}/{key}", image["id"])


def _images(file: str) -> list[Any]:
    try:
        data = json.loads(read_object(file) if is_url(file) else Path(file).read_bytes())
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{file} is no JSON ({error})") from error
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        raise DataError(f"{file}: expected a COCO file with a list of images")
    images: list[Any] = data["images"]
    return images
