"""VGG Image Annotator, versions 1 and 2: one JSON, the annotations alone or a whole project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from thingstuff.data.formats.coco_images import guess_image_root
from thingstuff.data.formats.coco_json import find_json
from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import CROWDS, INSTANCES, Format, Source
from thingstuff.data.formats.image_files import image_record
from thingstuff.data.formats.instance_records import Instances, categories_of, checked_label, polygon_shape, shown
from thingstuff.data.formats.via_class import class_attribute, is_crowd, label_of
from thingstuff.data.formats.via_file import PROJECT, ViaFile, ViaImage, read_via_file
from thingstuff.data.formats.via_write import write_via
from thingstuff.data.formats.written_options import SINGLE, MaskOptions
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched

_HEAD_BYTES = 1 << 14


def recognise_via(path: Path) -> bool:
    """A JSON file, or that of a folder, which begins as VIA's do."""
    try:
        with _json(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False
    is_entry = b'"filename"' in head and (b'"regions"' in head or b'"base64_img_data"' in head)
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and (is_entry or PROJECT.encode() in head)


def read_via(source: Source) -> SplitTruth:
    """Each area is an instance, whose class is an attribute; without attributes there is one class.

    VIA states no sizes: they are those of the images, and what is in a missing image has no box and no area.
    """
    path = _json(source.annotations)
    faults = Faults(source.lenient)
    file = read_via_file(path, faults)
    attribute = class_attribute(file.regions, source.options.get("label"), str(path))
    root = source.images or guess_image_root(path, [{"file_name": image.reference.stated} for image in file.images])
    found = Instances()
    images = []
    for number, image in enumerate(watched(file.images, f"reading {path.name}"), 1):
        images.append(image_record(number, image.reference.below(root), root))
        _add_regions(found, image, images[-1], attribute, faults)
    categories, notes = _categories(source, file, attribute, found)
    return SplitTruth(
        name=str(path),
        image_root=root,
        categories=categories,
        images=images,
        annotations=found.categorised(categories) if attribute else found.all_as(categories[0]["id"]),
        annotation_places=found.places,
        image_places=[image.place for image in file.images],
        notes=(*notes, *_left_out(file.left_out), *faults.settle(str(path))),
    )


def _json(annotations: Path) -> Path:
    """The file, or the one of a folder that is called after VIA, or else the only one."""
    if not annotations.is_dir():
        return annotations
    try:
        named = [each for each in annotations.glob("via*.json") if each.is_file()]
    except OSError as error:
        raise DataError(f"{annotations}: cannot be read: {error.strerror}") from error
    return named[0] if len(named) == 1 else find_json(annotations)


def _add_regions(found: Instances, image: ViaImage, record: Record, attribute: str | None, faults: Faults) -> None:
    size_hw = (record["height"], record["width"]) if "height" in record else None
    for region in image.regions:
        with faults.skipping("regions without a class"):
            label = label_of(region, attribute) if attribute else SINGLE
            found.add(record["id"], label, polygon_shape([region.polygon], size_hw), region.place, is_crowd(region))


def _categories(
    source: Source, file: ViaFile, attribute: str | None, found: Instances
) -> tuple[list[Record], tuple[str, ...]]:
    """The declared ones, else the choices that a project has for the attribute, else the labels of the regions."""
    if attribute is None:
        way_out = "no region has an attribute that could be the class"
        return MaskOptions(source.categories, source.options).single(source.annotations, way_out), ()
    note = f"the class is the attribute {shown(attribute)} of the regions"
    if source.categories is None and attribute in file.options:
        place = f"{source.annotations}: the options of {shown(attribute)}"
        names = [checked_label(name, place) for name in file.options[attribute]]
        return [{"id": number, "name": name} for number, name in enumerate(names, 1)], (note,)
    categories, notes = categories_of(source.categories, found.labels())
    return categories, (note, *notes)


def _left_out(kinds: Counter[str]) -> Iterator[str]:
    for kind, count in sorted(kinds.items()):
        yield f"left out: {count} of the regions, which are of the shape {shown(kind)} and no areas"


VIA = Format(
    name="via",
    title="VGG Image Annotator 1 and 2: one JSON, annotations or a project",
    recognises=recognise_via,
    read=read_via,
    write=write_via,
    holds=frozenset({INSTANCES, CROWDS}),
    files=".json",
    options={"label": "the region attribute that is the class"},
)
