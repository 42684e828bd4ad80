"""A split as COCO's instances JSON: ids, polygons and keys of others stay as they are, masks are compressed RLE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from thingstuff.data.formats.copy_images import copy_images
from thingstuff.data.formats.format import WriteOptions
from thingstuff.data.formats.nested_values import nested_refused
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.files import plain
from thingstuff.store.exports.json_stream import write_with_list
from thingstuff.structures.rle_string import compress


def write_coco(truth: SplitTruth, folder: Path, options: WriteOptions) -> Path:
    """Write `annotations.json`, and the images to `images/` if they are to be copied; the path of the JSON.

    Without copies the JSON names the images as before, relative to `truth.image_root`.
    """
    return write_coco_files(truth, folder / "annotations.json", folder / "images", options)


def write_coco_files(truth: SplitTruth, path: Path, image_folder: Path, options: WriteOptions) -> Path:
    """The same with other names for the JSON and for the folder of copied images."""
    if truth.annotations is None:
        raise DataError(
            f"{truth.name} has no instances, which COCO's format is about: choose coco_panoptic or semantic"
        )
    if options.copy_images:
        copy_images(truth, image_folder)
    head = {"images": truth.images, "categories": truth.categories}
    with nested_refused(truth.name):
        write_json_list(path, head, truth.annotations)
    return path


def write_json_list(path: Path, head: Mapping[str, Any], annotations: Iterable[Record]) -> None:
    """`head` and the list `annotations`, one a line; what no JSON can hold, as NaN, becomes null."""
    records = list(annotations)
    try:
        write_with_list(path, head, "annotations", _compressed(records))
    except (ValueError, TypeError):  # there is such a number somewhere: search for it, which takes its time
        write_with_list(path, plain(head), "annotations", (plain(record) for record in _compressed(records)))


def _compressed(annotations: Iterable[Record]) -> Iterator[Record]:
    for record in annotations:
        segmentation = record.get("segmentation")
        if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), list | bytes):
            yield {**record, "segmentation": {**segmentation, "counts": _text(segmentation["counts"])}}
        else:
            yield record


def _text(counts: Any) -> Any:
    """Run lengths as COCO's string; damaged ones as they are."""
    if isinstance(counts, bytes):
        return counts.decode("ascii", "replace")
    are_counts = all(type(count) is int and 0 <= count < 1 << 32 for count in counts)
    return compress(counts) if counts and are_counts else counts
