"""COCO's panoptic format: one JSON of segments, and a folder of PNGs whose colours are the segments' ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thingstuff.data.formats.coco_ends import coco_ends
from thingstuff.data.formats.coco_images import guess_image_root
from thingstuff.data.formats.coco_json import expect_records, find_json, kind, read_coco_json
from thingstuff.data.formats.coco_write import write_json_list
from thingstuff.data.formats.copy_images import copy_below, copy_images
from thingstuff.data.formats.format import CROWDS, INSTANCES, PANOPTIC, STUFF, Format, Source, WriteOptions
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.nested_values import nested_refused
from thingstuff.data.truth import PanopticFiles, Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched

_FIELDS = {"image_id": (int, str), "file_name": (str,)}


def _recognises(path: Path) -> bool:
    ends = coco_ends(path)
    return ends is not None and ends.is_panoptic


def _read(source: Source) -> SplitTruth:
    path = find_json(source.annotations)
    content = read_panoptic_json(path)
    folder = _folder(path, source)
    return SplitTruth(
        name=str(path),
        image_root=source.images or guess_image_root(path, content["images"], maps=folder),
        categories=content["categories"],
        images=content["images"],
        panoptic=PanopticFiles(path, folder, content["annotations"]),
    )


def read_panoptic_json(path: Path) -> dict[str, Any]:
    """The whole content; every annotation has an image_id, a file_name and segments_info that are of their types."""
    content = read_coco_json(path)
    for number, record in enumerate(content["annotations"]):
        place = f"{path}: annotations[{number}]"
        for key, types in _FIELDS.items():
            if not isinstance(record.get(key), types):
                raise DataError(
                    f"{place}: expected {key} as COCO's panoptic format has it, got {kind(record.get(key))}"
                )
        expect_records(record.get("segments_info"), place, "segments_info")
    return content


def _folder(path: Path, source: Source) -> Path:
    stated = source.options.get("folder")
    if stated is None:
        return path.with_suffix("")
    if not isinstance(stated, str) or not stated:
        raise DataError(f"folder: expected the folder of the PNGs, relative to {path.parent}, got {shown(stated)}")
    return path.parent / stated


def _write(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `panoptic.json`, and the PNGs to `panoptic/`, as they are; the images to `images/` if they are copied."""
    if truth.panoptic is None:
        raise DataError(f"{truth.name} has no panoptic truth: build it of instances and stuff first")
    if options.copy_images:
        copy_images(truth, folder / "images")
    path = folder / "panoptic.json"
    for number, record in enumerate(watched(truth.panoptic.annotations, "copies of panoptic maps")):
        place = f"{truth.panoptic.json_path}: annotations[{number}]"
        copy_below(record.get("file_name"), truth.panoptic.folder, path.with_suffix(""), place)
    head = {"images": truth.images, "categories": list(_with_isthing(truth.categories))}
    with nested_refused(truth.name):
        write_json_list(path, head, truth.panoptic.annotations)
    return path


def _with_isthing(categories: list[Record]) -> Iterator[Record]:
    """Other programs insist on the key."""
    for category in categories:
        yield {"isthing": 1, **category}


COCO_PANOPTIC = Format(
    name="coco_panoptic",
    title="COCO panoptic, one JSON and a folder of PNGs a split",
    recognises=_recognises,
    read=_read,
    write=_write,
    holds=frozenset({INSTANCES, CROWDS, STUFF, PANOPTIC}),
    files=".json",
    options={"folder": "the folder of the PNGs, relative to the JSON; by default the JSON's name without suffix"},
)
