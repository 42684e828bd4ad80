"""Supervisely: the folder of a project, with data sets in it that hold a JSON file for each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import CROWDS, INSTANCES, Format, Source
from thingstuff.data.formats.instance_records import Instances, categories_of, shown
from thingstuff.data.formats.supervisely_file import read_supervisely_file
from thingstuff.data.formats.supervisely_meta import classes_of, meta_near, speaks_of_classes
from thingstuff.data.formats.supervisely_names import has_labels, labels_in, named_images
from thingstuff.data.formats.supervisely_write import write_supervisely
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched


def recognise_supervisely(path: Path) -> bool:
    """A folder with `meta.json` in it, or, of a data set, above it, that speaks of classes, and with folders `ann`."""
    try:
        meta = meta_near(path)
        return meta is not None and speaks_of_classes(meta) and has_labels(path)
    except (DataError, OSError, ValueError):
        return False


def read_supervisely(source: Source) -> SplitTruth:
    """Bitmaps, polygons and rectangles; other objects are left out, and so are images that nobody labelled.

    Image ids are running numbers in the order of the label files, category ids in that of the project's classes.
    """
    folder, faults = source.annotations, Faults(source.lenient)
    meta = meta_near(folder)
    labels = labels_in(folder, faults)
    named = named_images(folder, labels, source.images, faults)
    images: list[Record] = []
    places: list[str] = []
    found, left_out = Instances(), Counter[str]()
    for label, file_name in watched(named.pairs, f"reading {folder.name}"):
        with faults.skipping("label files that cannot be read"):
            file = read_supervisely_file(folder / label, label, named.root / file_name, faults)
            number, (height, width) = len(images) + 1, file.size_hw
            images.append({"id": number, "file_name": file_name, "width": width, "height": height})
            places.append(label)
            left_out.update(file.left_out)
            for each in file.objects:
                found.add(number, each.label, each.shape, each.place, each.is_crowd)
    if source.categories is not None or meta is None:
        categories, notes = categories_of(source.categories, found.labels())
    else:
        categories, notes = classes_of(meta), ()
    return SplitTruth(
        name=str(folder),
        image_root=named.root,
        categories=categories,
        images=images,
        annotations=found.categorised(categories),
        annotation_places=found.places,
        image_places=places,
        notes=(*notes, *named.notes, *_left_out(left_out), *faults.settle(str(folder))),
    )


def _left_out(kinds: Counter[str]) -> Iterator[str]:
    for kind, count in sorted(kinds.items()):
        yield f"left out: {count} of the objects, of the type {shown(kind)}, which is not read"


SUPERVISELY = Format(
    name="supervisely",
    title="Supervisely: the folder of a project, with a JSON file an image",
    recognises=recognise_supervisely,
    read=read_supervisely,
    write=write_supervisely,
    holds=frozenset({INSTANCES, CROWDS}),
    files=".json",
)
