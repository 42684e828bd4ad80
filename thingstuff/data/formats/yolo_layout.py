"""Which images belong to which label files of YOLO: `images` beside `labels`, all in one folder, or a list."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import Source
from thingstuff.data.formats.image_files import files_below, images_near, stem_of
from thingstuff.data.formats.instance_records import shown
from thingstuff.data.formats.label_pairs import images_of_labels, label_images
from thingstuff.data.formats.text_file import read_lines
from thingstuff.data.formats.utf8_names import utf8_names
from thingstuff.data.formats.yolo_names import NAME_LISTS, has_all_labels
from thingstuff.errors import DataError

_LABELS, _IMAGES = "labels", "images"
_LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class YoloPairs:
    """Image -> its label file, None where it has none; images are named relative to `image_root`."""

    image_root: Path
    labels: dict[str, Path | None]
    folder: Path

    def place_of(self, label: Path) -> str:
        """The name of a label file in messages."""
        return label.relative_to(self.folder).as_posix() if label.is_relative_to(self.folder) else str(label)

    def notes(self) -> tuple[str, ...]:
        alone = [image for image, label in self.labels.items() if label is None]
        if not alone:
            return ()
        first = f"the first is {alone[0]}"
        return (f"{len(alone)} of {len(self.labels)} images have no label file, so nothing is in them: {first}",)


def pairs_of(source: Source, faults: Faults) -> YoloPairs:
    """Labels without their image, and names that are no text, are faults."""
    if not source.annotations.exists():
        raise DataError(f"there is no folder of label files {source.annotations}")
    if source.annotations.is_dir():
        return _of_folders(source, faults)
    if source.annotations.suffix != _LIST_SUFFIX:
        raise DataError(f"{source.annotations}: expected a folder of label files, or a list of images (.txt)")
    return _of_list(source.annotations, source.images, faults)


def label_folder(annotations: Path) -> Path:
    """The folder of the label files of a split, which may be given by the folder that holds `labels` and `images`."""
    inner = annotations / _LABELS
    return inner if inner.is_dir() else annotations


def _of_folders(source: Source, faults: Faults) -> YoloPairs:
    folder = label_folder(source.annotations)
    root = source.images or images_near(folder)
    images = label_images(root, faults)
    names = [name for name in files_below(folder, [_LIST_SUFFIX]) if PurePosixPath(name).name not in NAME_LISTS]
    labels = images_of_labels({name: [stem_of(name)] for name in utf8_names(names, faults)}, images, faults)
    pairs = dict.fromkeys(images.names) | {image: folder / label for image, label in labels.items()}
    if has_all_labels(folder):
        pairs = {image: label for image, label in pairs.items() if label is not None}
    if not pairs:
        raise DataError(f"{folder}: there are neither label files (.txt) in it nor images in {root}")
    return YoloPairs(root, dict(sorted(pairs.items())), folder)


# ---- a list of images --------------------------------------------------------------------------------------------


def _of_list(path: Path, images: Path | None, faults: Faults) -> YoloPairs:
    """Labels lie where Ultralytics looks for them: the last folder `images` of a path is `labels` there."""
    beside = images or path.parent
    lines = [line.strip() for line in read_lines(path)]
    places = [os.path.normpath(beside / line.removeprefix("./")) for line in lines if line]
    if not places:
        raise DataError(f"{path}: expected a list of images, one a line, and it is empty")
    root = images or Path(os.path.commonpath([os.path.dirname(place) for place in places]))  # noqa: PTH120
    pairs: dict[str, Path | None] = {}
    for place in places:
        name = Path(os.path.relpath(place, root)).as_posix()
        if not os.path.isfile(place):  # noqa: PTH113  Path.is_file raises for long names
            faults.add("listed images that are not there", shown(name))
        elif name in pairs:
            faults.add("images that are listed twice", shown(name))
        else:
            pairs[name] = _label_of(Path(place))
    return YoloPairs(root, pairs, path)


def _label_of(image: Path) -> Path | None:
    parts = list(image.parts)
    for number in range(len(parts) - 2, 0, -1):
        if parts[number] == _IMAGES:
            parts[number] = _LABELS
            break
    label = Path(*parts).with_suffix(_LIST_SUFFIX)
    return label if label.is_file() else None
