"""LabelMe 3 to 5: a folder of JSON files, one an image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import CROWDS, INSTANCES, Format, Source
from thingstuff.data.formats.image_files import files_below, first_files
from thingstuff.data.formats.instance_records import Instances, categories_of, shown
from thingstuff.data.formats.labelme_file import LabelmeFile, read_labelme_file
from thingstuff.data.formats.labelme_images import common_root, file_names_in
from thingstuff.data.formats.labelme_write import write_labelme
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.progress import watched

_HEAD_BYTES = 1 << 14
_PROBES = 3


def recognise_labelme(path: Path) -> bool:
    """A JSON file, or a folder whose first ones, speaks of shapes near its beginning."""
    is_file = os.path.isfile(path)  # noqa: PTH113  Path.is_file raises for long names
    names = [path] if is_file else [path / name for name in first_files(path, [".json"], _PROBES)]
    return bool(names) and all(_is_labelme(name) for name in names)


def read_labelme(source: Source) -> SplitTruth:
    """Shapes with one label and one `group_id` are one instance; what is neither an area nor a box is left out.

    Image ids are running numbers in the order of the files. Without `images` each image is where its file says it is.
    """
    folder, names = _files(source.annotations)
    ignored, faults = _ignored(source), Faults(source.lenient)
    files = list(_read_files(folder, watched(names, f"reading {source.annotations.name}"), faults))
    if not files:
        faults.refuse(str(source.annotations))
    root = source.images or common_root(folder, files)
    file_names = file_names_in(root, folder, files)
    images: list[Record] = []
    found = Instances()
    for number, (file, file_name) in enumerate(zip(files, file_names, strict=True), 1):
        size_hw = file.size_hw(root / file_name)
        size = {} if size_hw is None else {"width": size_hw[1], "height": size_hw[0]}
        images.append({"id": number, "file_name": file_name, **size})
        for each in file.instances:
            with faults.skipping("shapes that cannot be drawn"):
                if each.label not in ignored:
                    found.add(number, each.label, each.shape(size_hw), each.place, each.is_crowd)
    categories, notes = categories_of(source.categories, found.labels())
    return SplitTruth(
        name=str(source.annotations),
        image_root=root,
        categories=categories,
        images=images,
        annotations=found.categorised(categories),
        annotation_places=found.places,
        image_places=[file.name for file in files],
        notes=(*notes, *_left_out(files, ignored), *faults.settle(str(source.annotations))),
    )


def _read_files(folder: Path, names: Iterable[str], faults: Faults) -> Iterator[LabelmeFile]:
    for name in names:
        with faults.skipping("files that cannot be read"):
            yield read_labelme_file(folder, name)


def _files(annotations: Path) -> tuple[Path, list[str]]:
    if os.path.isfile(annotations):  # noqa: PTH113  Path.is_file raises for long names
        return annotations.parent, [annotations.name]
    names = files_below(annotations, [".json"])
    if not names:
        raise DataError(f"{annotations}: expected LabelMe's JSON files in this folder, found none")
    return annotations, names


def _ignored(source: Source) -> frozenset[str]:
    labels = source.options.get("ignore", [])
    if not isinstance(labels, list | tuple) or not all(isinstance(label, str) for label in labels):
        raise DataError(f"ignore: expected a list of labels, got {shown(labels)}")
    return frozenset(labels)


def _left_out(files: Sequence[LabelmeFile], ignored: frozenset[str]) -> Iterator[str]:
    kinds = Counter(kind for file in files for kind in file.left_out)
    for kind, count in sorted(kinds.items()):
        yield f"left out: {count} of the shapes, which are of the type {shown(kind)} and no areas"
    labels = Counter(each.label for file in files for each in file.instances if each.label in ignored)
    for label, count in sorted(labels.items()):
        yield f"left out: {count} of the label {shown(label)}, as `ignore` says"


def _is_labelme(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and (b'"shapes"' in head or b'"imagePath"' in head)


LABELME = Format(
    name="labelme",
    title="LabelMe: a folder of JSON files, one an image",
    recognises=recognise_labelme,
    read=read_labelme,
    write=write_labelme,
    holds=frozenset({INSTANCES, CROWDS}),
    options={"ignore": "labels that are left out"},
    files=".json",
)
