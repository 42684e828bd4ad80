"""LVIS v1 (and 0.5): COCO's JSON, in which each image also says which categories nobody drew in it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from thingstuff.data.formats.coco import coco_truth
from thingstuff.data.formats.coco_ends import coco_ends
from thingstuff.data.formats.coco_images import guess_image_root
from thingstuff.data.formats.coco_json import find_json, read_coco_json
from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import INSTANCES, Format, Source
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.lvis_write import write_lvis
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError

_OF_2014 = "COCO_"  # how the names begin that LVIS 0.5 states, of files that are called otherwise since 2017


def _recognises(path: Path) -> bool:
    ends = coco_ends(path)
    return ends is not None and not ends.is_panoptic and ends.is_lvis


def _read(source: Source) -> SplitTruth:
    """Records stay as they are, but for `file_name`, and `iscrowd`, which is always 0: LVIS has no crowds."""
    path = find_json(source.annotations)
    content = read_coco_json(path)
    stated, faults = content["images"], Faults(source.lenient)
    kept, rows = [], []
    for number, image in enumerate(stated):
        with faults.skipping("images without a name"):
            kept.append(_named(image, f"{path.name}: images[{number}]"))
            rows.append(number)
    for note in content["annotations"]:
        note.setdefault("iscrowd", 0)
    notes = faults.settle(str(path))
    further = [folder / inner for folder in (path.parent, path.parent.parent) for inner in (".", "coco")]
    root = source.images or guess_image_root(path, kept, further=further)
    truth = coco_truth(path, content | {"images": kept}, root)
    truth = replace(truth, notes=(*truth.notes, *notes), json_path=None)
    return truth if len(kept) == len(stated) else _of_images(truth, stated, rows)


def _named(image: Record, place: str) -> Record:
    """The record with a `file_name`: its own, or else the folder and the name at the end of the URL."""
    name, url = image.get("file_name"), image.get("coco_url")
    from_url = "/".join(PurePosixPath(url).parts[-2:]) if isinstance(url, str) else ""
    is_old = isinstance(name, str) and name.startswith(_OF_2014) and PurePosixPath(from_url).name not in ("", name)
    if isinstance(name, str) and name and not is_old:
        return image
    if not from_url.strip("/"):
        raise DataError(f"{place}: expected a coco_url or a file_name, got {shown(url)} and {shown(name)}")
    return image | {"file_name": from_url.strip("/")}


def _of_images(truth: SplitTruth, stated: Sequence[Record], rows: Sequence[int]) -> SplitTruth:
    """Without the annotations of the images that are left out; records keep the places where they stand."""
    left_out = [stated[row].get("id") for row in sorted({*range(len(stated))} - {*rows})]
    gone = {own for own in left_out if isinstance(own, int | str)}
    notes = truth.annotations or []
    places = [n for n, note in enumerate(notes) if not _is_of(note.get("image_id"), gone)]
    return replace(
        truth,
        annotations=[notes[n] for n in places],
        annotation_places=[truth.annotation_place(n) for n in places],
        image_places=[truth.image_place(row) for row in rows],
    )


def _is_of(image_id: object, gone: set[int | str]) -> bool:
    return isinstance(image_id, int | str) and image_id in gone


LVIS = Format(
    name="lvis",
    title="LVIS: COCO's JSON with frequencies, and with what is known to be absent from each image",
    recognises=_recognises,
    read=_read,
    write=write_lvis,
    holds=frozenset({INSTANCES}),
    files=".json",
)
