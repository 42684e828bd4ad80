"""CVAT's XML 1.1 "for images": one file of a task or a project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from thingstuff.data.formats.cvat_file import CvatImage, CvatLabel, read_cvat_file
from thingstuff.data.formats.cvat_shapes import instances_of
from thingstuff.data.formats.cvat_write import write_cvat
from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import CROWDS, INSTANCES, Format, Source
from thingstuff.data.formats.instance_records import Instances, categories_of, checked_size_hw, shown
from thingstuff.data.truth import Record, SplitTruth

_FILE = "annotations.xml"
_HEAD_BYTES = 1 << 12


def recognise_cvat(path: Path) -> bool:
    """XML that begins with <annotations>, or a folder with such a file."""
    try:
        with _xml(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False
    # not the XML of Pascal VOC, which is one <annotation>
    return b"<annotations>" in head or b"<annotations " in head


def read_cvat(source: Source) -> SplitTruth:
    """Shapes of one label and one group that is not 0 are one instance; what is no area is left out.

    An image's instances are in the order of `z_order`, and as they stand in the file where that is equal.
    """
    path = _xml(source.annotations)
    found, left_out = Instances(), Counter[str]()
    images: list[Record] = []
    places = []
    faults = Faults(source.lenient)

    def add(image: CvatImage) -> None:
        with faults.skipping("images that cannot be read"):
            size_hw = checked_size_hw(image.height, image.width, image.place)
            instances, others = instances_of(image)
            shapes = [each.shape(size_hw) for each in instances]
            images.append({"id": image.id, "file_name": image.name, "width": image.width, "height": image.height})
            places.append(image.place)
            left_out.update(others)
            for each, shape in zip(instances, shapes, strict=True):
                found.add(image.id, each.label, shape, each.place, each.is_crowd)

    labels = read_cvat_file(path, add)
    categories, notes = _categories(source, labels, found)
    return SplitTruth(
        name=str(path),
        image_root=source.images or _image_root(path),
        categories=categories,
        images=images,
        annotations=found.categorised(categories),
        annotation_places=found.places,
        image_places=places,
        notes=(*notes, *_left_out(left_out), *faults.settle(str(path))),
    )


def _xml(annotations: Path) -> Path:
    return annotations / _FILE if annotations.is_dir() else annotations


def _image_root(path: Path) -> Path:
    images = path.parent / "images"
    return images if images.is_dir() else path.parent


def _categories(source: Source, labels: list[CvatLabel], found: Instances) -> tuple[list[Record], tuple[str, ...]]:
    """The declared ones, else the labels of the task, else those of the shapes."""
    if source.categories is not None or not labels:
        return categories_of(source.categories, found.labels())
    colors = [{} if label.color is None else {"color": label.color} for label in labels]
    pairs = enumerate(zip(labels, colors, strict=True), 1)
    return [{"id": number, "name": label.name, **color} for number, (label, color) in pairs], ()


def _left_out(kinds: Counter[str]) -> Iterator[str]:
    for kind, count in sorted(kinds.items()):
        yield f"left out: {count} of the shapes, which are of the type {shown(kind)} and no areas"


CVAT = Format(
    name="cvat",
    title='CVAT: the XML 1.1 "for images"',
    recognises=recognise_cvat,
    read=read_cvat,
    write=write_cvat,
    holds=frozenset({INSTANCES, CROWDS}),
    files=".xml",
)
