"""Panoptic truth that contradicts itself: the JSON against the images and categories, and the PNGs against the JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thingstuff.data.checks.check import Check, Checked, Code, Finding, as_text
from thingstuff.data.checks.image_facts import in_threads
from thingstuff.data.checks.listed_files import ListedFiles, Located
from thingstuff.data.checks.numbers import is_key, is_whole_number, rows_by_key
from thingstuff.data.checks.segments import Measured, area_or_box_is_wrong, measured_segments, mended, read_ids
from thingstuff.data.truth import PanopticFiles, Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.structures.panoptic_map import MAX_RGB_ID

PANOPTIC_RECORD = Code("panoptic-record", "error", "write the annotation as COCO's panoptic format has it")
PANOPTIC_IMAGE = Code("panoptic-image", "error", "give each image one annotation, and no annotation to others")
PANOPTIC_MISSING = Code("panoptic-missing", "error", "put the PNG there, or leave the image out")
PANOPTIC_CATEGORY = Code("panoptic-category", "error", "add the category, or correct the id")
PANOPTIC_DUPLICATE_SEGMENT = Code("panoptic-duplicate-segment", "error", "give each segment of an image its own id")
PANOPTIC_ISTHING = Code("panoptic-isthing", "warning", "make the segments one, or the category a thing")
PANOPTIC_UNREADABLE = Code("panoptic-unreadable", "error", "fetch or write the PNG again, as 8-bit RGB")
PANOPTIC_SIZE = Code("panoptic-size", "error", "write the PNG in the size of its image")
PANOPTIC_UNLISTED_PIXELS = Code(
    "panoptic-unlisted-pixels", "error", "describe the segment, or make its pixels void (0)"
)
PANOPTIC_EMPTY_SEGMENT = Code("panoptic-empty-segment", "error", "leave the segment out", is_fixable=True)
PANOPTIC_AREA = Code("panoptic-area", "warning", "take area and box of the pixels", is_fixable=True)
_CODES = (
    *(PANOPTIC_RECORD, PANOPTIC_IMAGE, PANOPTIC_MISSING, PANOPTIC_CATEGORY, PANOPTIC_DUPLICATE_SEGMENT),
    *(PANOPTIC_ISTHING, PANOPTIC_UNREADABLE, PANOPTIC_SIZE, PANOPTIC_UNLISTED_PIXELS, PANOPTIC_EMPTY_SEGMENT),
    PANOPTIC_AREA,
)

_Fault = tuple[Code, str]


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        if split.panoptic is None:
            continue
        located = _located(split.panoptic)
        for place, code, message in (*_of_json(split, split.panoptic, located), *_without_annotation(split)):
            yield Finding(code, name, place, message)
        if not data.is_quick:
            for place, code, message in _of_pngs(split, split.panoptic, located):
                yield Finding(code, name, place, message)


def _located(files: PanopticFiles) -> list[Located]:
    listed = ListedFiles(files.folder)
    return [listed.find(record.get("file_name") if isinstance(record, dict) else None) for record in files.annotations]


def _place(files: PanopticFiles, number: int) -> str:
    if files.is_whole:
        return f"{files.json_path.name}: annotations[{number}]"
    record = files.annotations[number]
    image_id = record.get("image_id") if isinstance(record, dict) else None
    return f"{files.json_path.name}: the annotation of image {as_text(image_id)}"


# ---- the JSON ----------------------------------------------------------------------------------------------------


def _of_json(split: SplitTruth, files: PanopticFiles, located: list[Located]) -> Iterator[tuple[str, Code, str]]:
    images = rows_by_key(image.get("id") for image in split.images)
    isthing = {c.get("id"): bool(c.get("isthing", 1)) for c in split.categories if is_key(c.get("id"))}
    first: dict[Any, int] = {}
    for number, record in enumerate(files.annotations):
        place = _place(files, number)
        if not isinstance(record, dict) or not isinstance(record.get("segments_info"), list):
            yield (
                place,
                PANOPTIC_RECORD,
                f"expected image_id, file_name and a list segments_info, got {as_text(record)}",
            )
            continue
        image_id = record.get("image_id")
        if not is_key(image_id) or image_id not in images:
            yield place, PANOPTIC_IMAGE, f"there is no image with the id {as_text(image_id)}"
        elif first.setdefault(image_id, number) != number:
            yield (
                place,
                PANOPTIC_IMAGE,
                f"image {as_text(image_id)} has an annotation already, number {first[image_id]}",
            )
        if located[number].state != "there":
            yield place, PANOPTIC_MISSING, _say_missing(record, files, located[number])
        for inner, code, message in _of_segments(record["segments_info"], isthing):
            yield f"{place}{inner}", code, message


def _say_missing(record: Record, files: PanopticFiles, found: Located) -> str:
    name = as_text(record.get("file_name"))
    if found.state == "no name":
        return f"expected the name of a PNG as file_name, got {name}"
    if found.state == "outside":
        return f"{name} leads out of the folder {files.folder}, and is not opened"
    hint = "" if files.folder.is_dir() else ", which is no folder"
    hint = hint if found.other_case is None else f": there is {found.other_case!r}, which differs in case alone"
    return f"there is no file {name} in {files.folder}{hint}"


def _of_segments(infos: list[Any], isthing: Mapping[Any, bool]) -> Iterator[tuple[str, Code, str]]:
    first: dict[int, int] = {}
    stuff: dict[Any, list[int]] = {}
    for number, info in enumerate(infos):
        place = f": segments_info[{number}]"
        if not _is_segment(info):
            message = f"expected a segment with an id from 1 to {MAX_RGB_ID} and a category_id, got {as_text(info)}"
            yield place, PANOPTIC_RECORD, message
            continue
        category_id = info["category_id"]
        if first.setdefault(info["id"], number) != number:
            message = f"the id {info['id']} is that of segments_info[{first[info['id']]}] already"
            yield place, PANOPTIC_DUPLICATE_SEGMENT, message
        elif not is_key(category_id) or category_id not in isthing:
            yield place, PANOPTIC_CATEGORY, f"segment {info['id']}: no category has the id {as_text(category_id)}"
        elif not isthing[category_id]:
            stuff.setdefault(category_id, []).append(info["id"])
    for category_id, ids in stuff.items():
        if len(ids) > 1:
            message = f"the stuff category {as_text(category_id)} has {len(ids)} segments, {as_text(ids)}, expected one"
            yield "", PANOPTIC_ISTHING, message


def _is_segment(info: Any) -> bool:
    if not isinstance(info, dict) or "category_id" not in info:
        return False
    return is_whole_number(info.get("id")) and 0 < info["id"] <= MAX_RGB_ID


def _without_annotation(split: SplitTruth) -> Iterator[tuple[str, Code, str]]:
    records = [] if split.panoptic is None else split.panoptic.annotations
    known = rows_by_key(record.get("image_id") for record in records if isinstance(record, dict))
    for number, image in enumerate(split.images):
        image_id = image.get("id")
        if is_key(image_id) and image_id is not None and image_id not in known:
            yield split.image_place(number), PANOPTIC_IMAGE, f"image {as_text(image_id)} has no panoptic annotation"


# ---- the PNGs ----------------------------------------------------------------------------------------------------


def _of_pngs(split: SplitTruth, files: PanopticFiles, located: list[Located]) -> Iterator[tuple[str, Code, str]]:
    sizes = {image.get("id"): image for image in reversed(split.images) if is_key(image.get("id"))}
    there = [n for n, found in enumerate(located) if found.state == "there" and _infos(files, n) is not None]

    def look(number: int) -> list[_Fault]:
        image_id = files.annotations[number].get("image_id")
        image = sizes.get(image_id, {}) if is_key(image_id) else {}
        return list(_of_png(Path(located[number].path), image, _infos(files, number) or []))

    for number, faults in zip(there, in_threads(look, there, "panoptic maps"), strict=True):
        yield from ((_place(files, number), code, message) for code, message in faults)


def _infos(files: PanopticFiles, number: int) -> list[Record] | None:
    """The sound segments of an annotation; None where it has no list of them."""
    record = files.annotations[number]
    infos = record.get("segments_info") if isinstance(record, dict) else None
    return [info for info in infos if _is_segment(info)] if isinstance(infos, list) else None


def _of_png(path: Path, image: Record, infos: list[Record]) -> Iterator[_Fault]:
    try:
        ids = read_ids(path)
    except DataError as error:
        yield PANOPTIC_UNREADABLE, str(error)
        return
    stated = (image.get("height"), image.get("width"))
    if None not in stated and stated != ids.shape:
        found = f"{ids.shape[1]} x {ids.shape[0]} pixels (width x height)"
        yield PANOPTIC_SIZE, f"{path.name} has {found}, its image {as_text(stated[1])} x {as_text(stated[0])}"
    measured = measured_segments(ids)
    unlisted = sorted(set(measured) - {info["id"] for info in infos})
    if unlisted:
        pixels = sum(measured[one].area_px for one in unlisted)
        message = f"{pixels} pixels of {path.name} are of segments that are not described: {as_text(unlisted)}"
        yield PANOPTIC_UNLISTED_PIXELS, message
    for info in infos:
        if info["id"] not in measured:
            yield PANOPTIC_EMPTY_SEGMENT, f"segment {info['id']} has no pixel in {path.name}"
        elif area_or_box_is_wrong(info, measured[info["id"]]):
            yield PANOPTIC_AREA, _say_area(info, measured[info["id"]])


def _say_area(info: Record, found: Measured) -> str:
    stated = f"area {as_text(info.get('area'))} and box {as_text(info.get('bbox'))}"
    return f"segment {info['id']}: {stated} are stated, its pixels have {found.area_px} and {list(found.bbox_xywh)}"


# ---- mending -----------------------------------------------------------------------------------------------------


def _mend(split: SplitTruth) -> SplitTruth:
    """Segments without pixels are left out, and areas and boxes are those of the pixels; the PNGs stay as they are."""
    files = split.panoptic
    if files is None:
        return split
    located = _located(files)
    there = [n for n, found in enumerate(located) if found.state == "there" and _infos(files, n) is not None]
    records = list(files.annotations)
    for number, infos in zip(there, in_threads(_Mender(files, located), there, "panoptic maps"), strict=True):
        if infos != records[number]["segments_info"]:
            records[number] = {**records[number], "segments_info": infos}
    count = sum(new is not old for new, old in zip(records, files.annotations, strict=True))
    if not count:
        return split
    note = f"{split.name}: the segments of {count} panoptic maps are described as their pixels have them"
    return replace(split, panoptic=replace(files, annotations=records, is_whole=False), notes=(*split.notes, note))


@dataclass(frozen=True)
class _Mender:
    """Number of an annotation -> its segments, mended."""

    files: PanopticFiles
    located: list[Located]

    def __call__(self, number: int) -> list[Any]:
        infos = self.files.annotations[number]["segments_info"]
        try:
            return mended(infos, measured_segments(read_ids(Path(self.located[number].path))))
        except DataError:
            return infos


PANOPTIC = Check(_CODES, _run, is_quick=True, mend=_mend)
