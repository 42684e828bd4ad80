"""COCO's instances and keypoints: one JSON for all images, as from COCO itself, Roboflow and most other programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thingstuff.data.formats.coco_ends import coco_ends
from thingstuff.data.formats.coco_images import guess_image_root
from thingstuff.data.formats.coco_json import find_json, read_coco_json
from thingstuff.data.formats.coco_write import write_coco
from thingstuff.data.formats.format import CROWDS, INSTANCES, KEYPOINTS, Format, Source
from thingstuff.data.truth import Record, SplitTruth


def _recognises(path: Path) -> bool:
    ends = coco_ends(path)
    return ends is not None and not ends.is_panoptic and not ends.is_stuff


def _read(source: Source) -> SplitTruth:
    path = find_json(source.annotations)
    content = read_coco_json(path)
    return coco_truth(path, content, source.images or guess_image_root(path, content["images"]))


def coco_truth(path: Path, content: Mapping[str, Any], image_root: Path) -> SplitTruth:
    """The truth of a JSON that is read, in which images, annotations and categories are lists of dictionaries."""
    images, annotations, categories = content["images"], content["annotations"], content["categories"]
    root = _unused_root(categories, annotations)
    used = [category for category in categories if category is not root]
    note = "" if root is None else f"{path}: the category {root['name']!r} (id 0) only groups the others: left out"
    return SplitTruth(
        name=str(path),
        image_root=image_root,
        categories=used,
        images=images,
        annotations=annotations,
        json_path=path if root is None else None,
        notes=(note,) if note else (),
    )


def _unused_root(categories: list[Record], annotations: list[Record]) -> Record | None:
    """Roboflow's category 0, which no annotation uses: the supercategory of all others, listed among them."""
    roots = [category for category in categories if type(category.get("id")) is int and category["id"] == 0]
    others = [category for category in categories if category not in roots]
    if len(roots) != 1 or not others or not isinstance(roots[0].get("name"), str):
        return None
    if any(category.get("supercategory") != roots[0]["name"] for category in others):
        return None
    return None if any(note.get("category_id") == 0 for note in annotations) else roots[0]


COCO = Format(
    name="coco",
    title="COCO instances and keypoints, one JSON a split (also Roboflow's)",
    recognises=_recognises,
    read=_read,
    write=write_coco,
    holds=frozenset({INSTANCES, CROWDS, KEYPOINTS}),
    files=".json",
)
