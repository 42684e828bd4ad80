"""Images that cannot be read, have another size than stated, are turned by EXIF, extreme, or not 8-bit RGB or grey."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from thingstuff.data.checks.check import Check, Checked, Code, Finding
from thingstuff.data.checks.image_facts import MOST_PX, ImageFacts, ImageFiles, orientation_of
from thingstuff.data.checks.shapes import OUTSIDE_PX, Kind, Shapes
from thingstuff.data.formats.image_files import image_size_hw
from thingstuff.data.truth import Record, SplitTruth

IMAGE_UNREADABLE = Code("image-unreadable", "error", "fetch or export the file again, or leave the image out")
IMAGE_SIZE = Code("image-size", "error", "take the size of the file, if the annotations lie inside it", is_fixable=True)
IMAGE_EXIF = Code("image-exif", "warning", "save the image as it is shown, without the tag")
IMAGE_EXTREME = Code("image-extreme", "warning", "cut the image into tiles, or leave it out")
IMAGE_KIND = Code("image-kind", "warning", "save the image as 8-bit RGB or grey, as it shall be seen")

LEAST_SIDE_PX, MOST_ASPECT = 16, 10


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        for number, facts in enumerate(data.image_files[name].facts):
            if facts is not None:
                for code, message in _faults(split.images[number], facts):
                    yield Finding(code, name, split.image_place(number), message)


def _faults(image: Record, facts: ImageFacts) -> Iterator[tuple[Code, str]]:
    if facts.fault is not None:
        yield IMAGE_UNREADABLE, facts.fault
        return
    height, width = facts.size_hw
    if _is_stated(image) and (image["height"], image["width"]) != facts.size_hw:
        yield IMAGE_SIZE, _say_size(image, facts)
    if 2 <= facts.orientation <= 8:
        turned = "turned" if facts.orientation >= 3 and facts.orientation != 4 else "mirrored"
        message = f"its EXIF orientation is {facts.orientation}: it is read {turned}, as {width} x {height} pixels"
        yield IMAGE_EXIF, f"{message}; the annotations must have been drawn on it like that"
    if reasons := _extremes(height, width):
        yield IMAGE_EXTREME, f"it has {width} x {height} pixels (width x height): {reasons}"
    if facts.kinds:
        yield IMAGE_KIND, "; ".join(facts.kinds)


def _is_stated(image: Record) -> bool:
    """Whether it has a size at all; records without are named by another check."""
    return all(isinstance(image.get(key), int) and not isinstance(image[key], bool) for key in ("height", "width"))


def _say_size(image: Record, facts: ImageFacts) -> str:
    (height, width), stated = facts.size_hw, (image["height"], image["width"])
    message = f"the record says {stated[1]} x {stated[0]} (width x height), the file has {width} x {height}"
    if stated != (width, height):
        return message
    if facts.orientation >= 5:
        return f"{message}, turned by its EXIF orientation {facts.orientation}: the record has the size before that"
    return f"{message}: width and height are exchanged"


def _extremes(height: int, width: int) -> str:
    reasons = []
    if min(height, width) < LEAST_SIDE_PX:
        reasons.append(f"a side below {LEAST_SIDE_PX}")
    if max(height, width) > MOST_ASPECT * min(height, width):
        reasons.append(f"more than {MOST_ASPECT} times as long as wide")
    if height * width > MOST_PX:
        reasons.append(f"above {MOST_PX // 10**6} million, so that its pixels were not looked at")
    return " and ".join(reasons)


# ---- mending -----------------------------------------------------------------------------------------------------


def _mend(split: SplitTruth) -> SplitTruth:
    """Sizes of files where the record says another one and no annotation would lie outside.

    Not where EXIF turns the image and the record has the size before that: who knows what the annotations go by.
    """
    true_sizes = _other_sizes(split)
    for number in _with_annotations_outside(split, true_sizes):
        del true_sizes[number]
    if not true_sizes:
        return split
    note = f"{split.name}: {len(true_sizes)} images have the sizes of their files now"
    return replace(split, images=_resized(split, true_sizes), notes=(*split.notes, note))


def _other_sizes(split: SplitTruth) -> dict[int, tuple[int, int]]:
    """Number of an image -> height and width of its file, where the record says others."""
    wrong = {}
    for number, (image, found) in enumerate(zip(split.images, ImageFiles.of(split).located, strict=True)):
        if found.state != "there" or not _is_stated(image):
            continue
        size_hw, stated = image_size_hw(Path(found.path)), (image["height"], image["width"])
        if size_hw is None or size_hw == stated:
            continue
        if size_hw != stated[::-1] or orientation_of(Path(found.path)) < 5:
            wrong[number] = size_hw
    return wrong


def _with_annotations_outside(split: SplitTruth, true_sizes: Mapping[int, tuple[int, int]]) -> set[int]:
    """The numbers of those images that would have annotations beyond their border."""
    shapes = Shapes.of(replace(split, images=_resized(split, true_sizes)))
    ends = shapes.boxes_xywh[:, :2] + shapes.boxes_xywh[:, 2:]
    outside = (ends > shapes.sizes_wh + OUTSIDE_PX).any(axis=1)
    outside[shapes.polygons.annotations[~(shapes.outside_px <= OUTSIDE_PX)]] = True
    outside[[n for n in shapes.rows(Kind.RLE).tolist() if n not in shapes.rle_faults and not shapes.fits(n)]] = True
    return set(shapes.image_rows[outside].tolist()) & set(true_sizes)


def _resized(split: SplitTruth, sizes_hw: Mapping[int, tuple[int, int]]) -> list[Record]:
    images = list(split.images)
    for number, (height, width) in sizes_hw.items():
        images[number] = {**images[number], "height": height, "width": width}
    return images


IMAGE_FILES = Check(
    (IMAGE_UNREADABLE, IMAGE_SIZE, IMAGE_EXIF, IMAGE_EXTREME, IMAGE_KIND), _run, is_quick=False, mend=_mend
)
